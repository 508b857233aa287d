//! The content of a heat map in numbers and words.

use super::model::HeatMap;
use super::words::{rate, time, told};
use maud::{Markup, html};

/// How many bands of time and of keys the table of numbers has.
const TIME_BANDS: usize = 12;
const KEY_BANDS: usize = 8;

/// Returns the map in numbers, in broader bands.
pub(super) fn numbers(map: &HeatMap) -> Markup {
    let rows = map.rows.div_ceil(KEY_BANDS).max(1);
    let columns = map.columns.len().div_ceil(TIME_BANDS).max(1);
    let bands: Vec<usize> = (0..map.rows).step_by(rows).collect();
    let load = |band: &[Vec<f64>], row: usize| {
        let cells = band.iter().flat_map(|column| column.iter().skip(row).take(rows));
        rate(cells.sum::<f64>() / band.len() as f64)
    };
    html! {
        details {
            summary { "The same in numbers" }
            div class="scroll" {
                table {
                    tr {
                        th class="l" { "operations/s, from" }
                        @for column in (0..map.columns.len()).step_by(columns) {
                            th { (time(map.first_ms + column as u64 * map.column_ms)) }
                        }
                    }
                    @for row in bands.into_iter().rev() {
                        tr {
                            td class="l k" { (map.begins.get(row).map_or("", String::as_str)) }
                            @for band in map.columns.chunks(columns) { td { (load(band, row)) } }
                        }
                    }
                }
            }
        }
    }
}

/// Returns all reshapes, in words.
pub(super) fn reshapes(map: &HeatMap) -> Markup {
    if map.marks.is_empty() {
        return html! { p { "No reshapes." } };
    }
    html! {
        details {
            summary { "Reshapes (" (map.marks.len()) ")" }
            div class="scroll" {
                table {
                    tr { th { "at" } th class="l" { "what" } }
                    @for mark in &map.marks {
                        tr { td { (time(mark.at_ms)) } td class="l w" { (told(mark)) } }
                    }
                }
            }
        }
    }
}
