//! Heat maps as one HTML page that needs nothing else: no other file, no network, and for
//! everything except the tooltips no script. What colours say, tables say in numbers.

use super::model::{HeatMap, HeatPicture};
use super::parts::{cells, legend, load, marks, owners};
use super::tables::{numbers, reshapes};
use super::words::{percent, time};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::json;

/// The number of labels of the key space.
const LABELS: usize = 13;

/// The number of labels of the time.
const TIMES: u64 = 7;

/// Nothing is loaded, and no script runs except the page's own.
const POLICY: &str = "default-src 'none';style-src 'unsafe-inline';script-src 'unsafe-inline'";

/// Draws a page.
pub(crate) fn page(picture: &HeatPicture) -> String {
    let names: Vec<&str> = picture.maps.iter().map(|map| &*map.name).collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { "Heat of " (names.join(", ")) }
                style { (PreEscaped(include_str!("page.css"))) }
            }
            body {
                h1 { "Where the load fell" }
                p {
                    "Recorded " (picture.written) ". Time runs to the right, from the beginning "
                    "of the record; tokens or keys upward, keys by their rank among those that were "
                    "sampled. Loads are estimated from samples, in operations a second."
                }
                @for map in &picture.maps { (section(map)) }
                div id="tip" role="status" hidden {}
                script { (PreEscaped(include_str!("page.js"))) }
            }
        }
    };
    page.into_string()
}

fn section(map: &HeatMap) -> Markup {
    html! {
        section {
            h2 { (map.name) " " small { "(" (map.partitioning) ")" } }
            (legend(map))
            div class="map" { (drawn(map)) }
            (numbers(map))
            (reshapes(map))
        }
    }
}

/// Returns the fields of the grid that makes up the map, row by row: labels, drawing, shards.
fn drawn(map: &HeatMap) -> Markup {
    let up = if map.partitioning == "hash" { "tokens" } else { "keys, by rank" };
    let step = map.rows.div_ceil(LABELS).max(1);
    let length = map.column_ms * map.columns.len() as u64;
    html! {
        div class="head right" { "all load" }
        div class="load" { (load(map)) }
        div {}
        div class="head right" { (up) }
        div {}
        div class="head" { "shard" }
        div class="keys k" {
            @for (row, begin) in map.begins.iter().enumerate().step_by(step) {
                @let bottom = percent(row as f64 / map.rows as f64);
                div style={ "bottom:" (bottom) } title=(begin) { (begin) }
            }
        }
        div class="plot" {
            (cells(map))
            (marks(map))
            script type="application/json" { (PreEscaped(data(map))) }
        }
        div class="now" { (owners(map)) }
        div {}
        div class="times" {
            @for n in 0..TIMES {
                @let left = percent(n as f64 / (TIMES - 1) as f64);
                span style={ "left:" (left) } { (time(map.first_ms + length * n / (TIMES - 1))) }
            }
        }
        div {}
    }
}

/// Returns the content of the tooltips, as JSON that cannot end the script it is in.
fn data(map: &HeatMap) -> String {
    let round = |load: &f64| (load * 10.0).round() / 10.0;
    let cells: Vec<Vec<f64>> =
        map.columns.iter().map(|column| column.iter().map(round).collect()).collect();
    let data = json!({
        "first": map.first_ms,
        "column": map.column_ms,
        "begins": map.begins,
        "cells": cells,
    });
    data.to_string().replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
    use super::super::model::{Boundary, Mark};
    use super::*;
    use annulus::ShardId;
    use annulus::topology::ReshapeKind;

    fn picture(key: &str) -> HeatPicture {
        let mark = |at_ms, kind, owners: &[u32]| Mark {
            at: at_ms as f64 / 4_000.0,
            at_ms,
            kind,
            from: 0.0,
            to: 1.0,
            owners: owners.iter().copied().map(ShardId).collect(),
            places: owners.iter().map(|_| key.to_owned()).collect(),
        };
        let map = HeatMap {
            name: format!("names {key}"),
            partitioning: "range".into(),
            first_ms: 0,
            column_ms: 1_000,
            rows: 2,
            columns: vec![vec![0.0, 400.0], vec![1.0, 100.0], vec![0.0, 0.0], vec![50.0, 50.0]],
            begins: vec!["\"a\"".into(), key.into()],
            marks: vec![
                mark(1_000, ReshapeKind::Split, &[0, 1]),
                mark(2_000, ReshapeKind::Move, &[3]),
                mark(3_000, ReshapeKind::Merge, &[1]),
            ],
            boundaries: vec![Boundary { height: 0.5, from: 0.25, to: 0.75 }],
            partitions: vec![(0.0, 0.5, ShardId(0)), (0.5, 1.0, ShardId(1))],
        };
        HeatPicture { written: "2026-11-22T05:00:00Z".into(), maps: vec![map] }
    }

    /// Goal: a key is text, wherever it is shown. Method: a key that would be markup.
    #[test]
    fn keys_are_no_markup() {
        let page = page(&picture("</script><img src=x onerror=alert(1)>\"'&"));
        assert!(!page.contains("<img"), "{page}");
        assert_eq!(page.matches("<script").count(), page.matches("</script>").count());
        assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;&quot;"));
        assert!(page.contains("\\u003c/script\\u003e\\u003cimg"));
    }

    #[test]
    fn nothing_is_fetched_and_everything_is_drawn() {
        let page = page(&picture("\"m\""));
        for outside in ["http:", "https:", "src=", "@import", "url("] {
            let page = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!page.contains(outside), "{outside}");
        }
        for drawn in [">S<", ">→3<", ">M<", "400", "split at", "move", "merge", "1.0 s"] {
            assert!(page.contains(drawn), "{drawn}: {page}");
        }
        // Every tag that is opened is closed.
        for tag in ["div", "table", "tr", "td", "th", "svg", "section", "details", "span", "i"] {
            let opened = page.matches(&format!("<{tag}>")).count()
                + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}: {page}");
        }
    }

    #[test]
    fn the_data_of_the_tooltips_is_that_of_the_map() {
        let picture = picture("m");
        let data: serde_json::Value = serde_json::from_str(&data(&picture.maps[0])).unwrap();
        assert_eq!(data["cells"].to_string(), "[[0.0,400.0],[1.0,100.0],[0.0,0.0],[50.0,50.0]]");
        assert_eq!(data["begins"], serde_json::json!(["\"a\"", "m"]));
    }
}
