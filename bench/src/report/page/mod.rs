//! The page: from what was measured to one HTML file that needs nothing else. Pure.

mod bars;
mod html;
mod lines;
mod marks;
mod names;
mod scale;
mod scaling;
mod shards;
mod source;
mod timeline;
mod workloads;

use super::data::Raw;
use html::{escape, list, paragraph, section};
use std::fmt::Write as _;

/// The sections, in their order: name, title, content.
type Section = (&'static str, &'static str, String);

/// The whole page.
#[must_use]
pub fn page(raw: &Raw) -> String {
    let sections: Vec<Section> = vec![
        ("workloads", "Throughput and latency by workload", workloads::workloads(raw)),
        ("peers", "Other stores", workloads::peers(raw)),
        ("threads", "Scaling by threads", scaling::threads(raw)),
        ("shards", "Scaling by shards", scaling::shards(raw)),
        ("growth", "Balance and movement as shards are added", shards::growth(raw)),
        ("scans", "Scan length against cost", shards::scans(raw)),
        ("moves", "Cost of a move by size and transport", shards::moves(raw)),
        ("timeline", "A shard is added, and a hot spot appears", timeline::timelines(raw)),
        ("notes", "Notes", notes(raw)),
        ("source", "What was run on what", source::source(raw)),
    ];
    let mut links = String::new();
    let mut body = String::new();
    for (id, title, content) in &sections {
        // Writing to a string cannot fail.
        let _ = writeln!(links, "<li><a href=\"#{id}\">{}</a></li>", escape(title));
        body.push_str(&section(id, title, content));
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Annulus: hash against range, measured</title>\n<style>\n{}</style>\n</head>\n<body>\n<h1>Hash against range, measured</h1>\n{}<nav aria-label=\"Sections\"><ul>\n{links}</ul></nav>\n{body}</body>\n</html>\n",
        include_str!("style.css"),
        head(raw),
    )
}

fn head(raw: &Raw) -> String {
    let mut head = String::new();
    if raw.made.quick {
        head.push_str(
            "<p class=\"warning\">A quick run, to see that everything runs: its figures say \
             nothing.</p>\n",
        );
    }
    let wrong = raw.wrong_reads();
    if wrong > 0 {
        let _ = writeln!(head, "<p class=\"warning\">{wrong} WRONG READS</p>");
    }
    head.push_str(&paragraph(
        "Stores of Annulus, partitioned by hash and by range, next to one plain RocksDB with the \
         same memory, compression and filters. All candidates of a comparison take turns within \
         one run; a figure is the median of its rounds, with the least and the greatest beside it. \
         Ratios are taken round by round. A ratio that is below 1 in one round and above in another \
         is called noise.",
    ));
    head
}

fn notes(raw: &Raw) -> String {
    if raw.notes.is_empty() {
        return paragraph("None were given (--notes FILE).");
    }
    list(&raw.notes)
}

#[cfg(test)]
mod tests;
