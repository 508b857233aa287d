//! The cost of the generator itself: every workload on an engine that does nothing.
//!
//! ```text
//! cargo bench --bench generator
//! ```

#![allow(missing_docs, reason = "a bench")]

use annulus_workload::{
    Description, Engine, Growth, Keys, Length, Result, Run, ValueBytes, Values, Workload, load, run,
};
use std::ops::ControlFlow;
use std::time::Duration;

/// Keeps nothing, and finds the same value under each key.
struct Nothing(Vec<u8>);

impl Engine for Nothing {
    fn describe(&self) -> Description {
        Description::default()
    }

    fn get(&self, _: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
        found(&self.0);
        Ok(())
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        std::hint::black_box((key, value));
        Ok(())
    }

    fn scan(&self, from: &[u8], _: usize, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        row(from, &self.0);
        Ok(())
    }
}

fn main() -> Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick" || argument == "--test");
    let records = if quick { 1_000 } else { 1_000_000 };
    println!("an engine that does nothing; {records} records");
    println!("{:<10} {:>8} {:>14} {:>16}", "value", "workload", "threads", "million op/s");
    for bytes in [100, 1000] {
        let values = Values::new(ValueBytes::Constant(bytes));
        let mut value = Vec::new();
        values.fill(&mut value, 1, 1);
        let engine = Nothing(value);
        for threads in [1, 2] {
            for workload in Workload::ALL {
                let go_on = &mut |_, _| ControlFlow::Continue(());
                let plan = Run {
                    mix: workload.mix(),
                    distribution: workload.distribution(),
                    keys: Keys::default(),
                    values: &values,
                    threads,
                    length: Length::Operations(if quick { 10_000 } else { 5_000_000 }),
                    warm_up_percent: 5,
                    rate: None,
                    seed: 1,
                    event: None,
                    hotspot_at: None,
                    interval: Duration::from_secs(1),
                };
                let growth = Growth::new(0, threads);
                load(&engine, &growth, records, &plan, go_on)?;
                let outcome = run(&engine, &growth, &plan, go_on)?;
                let rate = outcome.operations as f64 / outcome.elapsed.as_secs_f64() / 1e6;
                println!("{bytes:<10} {workload:>8} {threads:>14} {rate:>16.2}");
            }
        }
    }
    Ok(())
}
