//! The YCSB core workloads, and a runner that compares storage engines with them.
//!
//! Brian F. Cooper, Adam Silberstein, Erwin Tam, Raghu Ramakrishnan, Russell Sears, "Benchmarking
//! Cloud Serving Systems with YCSB", SoCC 2010. What is drawn here is drawn as in YCSB, except
//! where a module says otherwise.
//!
//! By itself this crate knows no engine. The feature `engines` adds stores of Annulus and one plain
//! RocksDB. A program that compares others implements [`Engine`] for each, and
//! [`Candidate`] to open it; takes [`Args`] into its command line; and calls [`compare()`].
//!
//! ```
//! use annulus_workload::{Args, Candidate, Description, Engine, Identity, Observer, Result, Setup};
//! use clap::Parser;
//! use std::{collections::BTreeMap, path::Path, sync::RwLock};
//!
//! /// An engine that lives as long as the process.
//! #[derive(Default)]
//! struct Tree(RwLock<BTreeMap<Vec<u8>, Vec<u8>>>);
//!
//! impl Engine for Tree {
//!     fn describe(&self) -> Description {
//!         Description { version: "std".into(), ..Description::default() }
//!     }
//!
//!     fn get(&self, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<()> {
//!         self.0.read().unwrap().get(key).map(Vec::as_slice).map(found);
//!         Ok(())
//!     }
//!
//!     fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
//!         self.0.write().unwrap().insert(key.to_vec(), value.to_vec());
//!         Ok(())
//!     }
//!
//!     fn scan(&self, from: &[u8], rows: usize, row: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
//!         let tree = self.0.read().unwrap();
//!         tree.range(from.to_vec()..).take(rows).for_each(|(key, value)| row(key, value));
//!         Ok(())
//!     }
//! }
//!
//! struct Trees;
//!
//! impl Candidate for Trees {
//!     fn identity(&self) -> Identity {
//!         Identity { engine: "btree".into(), partitioning: "none".into(), shards: 1 }
//!     }
//!
//!     fn open(&self, _: &Path, _: &Setup) -> Result<Box<dyn Engine>> {
//!         Ok(Box::new(Tree::default()))
//!     }
//! }
//!
//! #[derive(Parser)]
//! struct Cli {
//!     #[command(flatten)]
//!     workload: Args,
//! }
//!
//! let line = ["x", "--workload", "a,e", "--records", "100", "--operations", "200", "--rounds", "1"];
//! let args = Cli::parse_from(line).workload;
//! let report = annulus_workload::compare(&args.plan()?, &[&Trees], &mut Observer::silent())?;
//! assert_eq!(report.records.len(), 3); // the load, A and E
//! assert_eq!((report.records[1].operations, report.wrong_reads()), (200, 0));
//! println!("{report}");
//! # Ok::<(), annulus_workload::Error>(())
//! ```

#![cfg_attr(
    test,
    allow(clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")
)]

mod args;
pub mod checked;
mod chooser;
#[expect(clippy::disallowed_methods, reason = "acts: it may ask the clock and start threads")]
mod compare;
mod engine;
#[cfg(feature = "engines")]
pub mod engines;
mod growth;
mod hot;
pub mod human;
mod keys;
#[cfg(any(test, feature = "model"))]
pub mod model;
mod operations;
#[expect(clippy::disallowed_methods, reason = "acts: it may ask the clock and start threads")]
mod quiet;
mod random;
mod record;
#[expect(clippy::disallowed_methods, reason = "acts: it may ask the clock and start threads")]
mod runner;
mod source;
mod text;
mod usage;
mod values;
mod workload;

pub use args::Args;
pub use chooser::{
    Chooser, Distribution, Hotspot, Latest, Scrambled, Sequential, Uniform, Zipfian,
};
pub use compare::{Estimate, Plan, Report, Spread, compare};
pub use engine::{
    CacheReads, Candidate, Description, Durability, Engine, Error, Event, Identity,
    InvalidArgument, Result, Setup,
};
pub use growth::Growth;
pub use hot::HotRange;
pub use keys::{KEY_BYTES, Key, KeyOrder, Keys};
pub use operations::{Kind, Operation, Operations};
pub use record::{KindRecord, Ratio, RunRecord, UsageRecord};
pub use runner::{EventTimes, Interval, Length, Observer, Outcome, Run, Stage, load, run};
pub use source::{locked_version, source_commit};
pub use values::{ValueBytes, Values};
pub use workload::{Mix, Workload};
