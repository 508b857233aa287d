//! The page: from the measurements to one HTML file that needs nothing else. Pure.
//!
//! Its charts are drawn here: lines and bars with what their figures range over, in the reader's
//! light or dark theme, with shapes and texts for those who see no colours. `charming` draws with a
//! script in the reader's browser, or needs a JavaScript engine to build, and `plotters` writes
//! colours and fonts as attributes of each shape, for one theme. `poloto` leaves the style to the
//! page, but draws no ranges, so most of what is here would remain, next to a second kind of scale.

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
use html::{list, paragraph, section};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The sections, in their order: name, title, content.
type Section = (&'static str, &'static str, Markup);

/// Draws the whole page.
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
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Annulus: hash against range, measured" }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                h1 { "Hash against range, measured" }
                (head(raw))
                nav aria-label="Sections" {
                    ul {
                        @for (id, title, _) in &sections { li { a href={ "#" (id) } { (title) } } }
                    }
                }
                @for (id, title, content) in &sections { (section(id, title, content)) }
            }
        }
    };
    page.into_string()
}

fn head(raw: &Raw) -> Markup {
    let wrong = raw.wrong_reads();
    html! {
        @if raw.made.quick {
            p class="warning" {
                "A quick run, to see that everything runs: its figures say nothing."
            }
        }
        @if wrong > 0 { p class="warning" { (wrong) " WRONG READS" } }
        (paragraph(
            "Stores of Annulus, partitioned by hash and by range, next to one plain RocksDB with the \
             same memory, compression and filters. All candidates of a comparison take turns within \
             one run; a figure is the median of its rounds, shown with the least and the greatest. \
             Ratios are taken round by round. A ratio that is below 1 in one round and above in \
             another is called noise.",
        ))
    }
}

fn notes(raw: &Raw) -> Markup {
    if raw.notes.is_empty() {
        return paragraph("None were given (--notes FILE).");
    }
    list(&raw.notes)
}

#[cfg(test)]
mod tests;
