//! The sources: what was run on which machine, so that others can run it, too.

use super::html::{facts, folded, list, paragraph};
use super::names::distinct;
use crate::report::data::Raw;
use annulus_workload::human;
use maud::{Markup, html};
use std::time::Duration;

pub(super) fn source(raw: &Raw) -> Markup {
    let (made, machine) = (&raw.made, &raw.machine);
    let unknown = || "unknown".to_owned();
    let found = [
        ("made", human::moment(made.unix_seconds)),
        ("took", human::span(Duration::from_secs_f64(made.seconds.clamp(0.0, 1e9)))),
        ("annulus", made.version.clone()),
        ("commit", made.commit.clone().unwrap_or_else(unknown)),
        ("rustc at hand", machine.rustc.clone().unwrap_or_else(unknown)),
        ("seed", made.seed.to_string()),
        ("processor", machine.processor.clone()),
        ("processors", machine.processors.to_string()),
        ("memory", machine.memory_bytes.map_or_else(unknown, human::bytes)),
        ("disk", machine.disk.clone()),
        ("system", machine.system.clone()),
    ];
    let rows: Vec<Vec<String>> =
        found.into_iter().map(|(name, fact)| vec![name.to_owned(), fact]).collect();
    let settings = distinct(raw.runs().map(|run| {
        format!(
            "{}: {}; durability: {}; cache {}, write buffers {}; values of {} bytes; seed {}{}. {}",
            run.name(),
            run.version,
            run.durability,
            human::bytes(run.cache_bytes),
            human::bytes(run.write_buffer_bytes),
            run.value_bytes,
            run.seed,
            run.commit.as_ref().map_or(String::new(), |commit| format!("; commit {commit}")),
            run.settings.join("; "),
        )
    }));
    let again = "Again, with the same operations: `annulus report`, with the same --seed. The figures \
                 themselves: --save FILE; a page from them: --from FILE.";
    html! {
        (facts("The machine and the program", &rows))
        (folded("Every candidate's settings", &list(&settings)))
        (paragraph(again))
    }
}
