//! Pieces of HTML.

use maud::{Markup, html};

/// Returns a part of the page, with its heading.
pub(super) fn section(id: &str, title: &str, body: &Markup) -> Markup {
    html! { section id=(id) { h2 { (title) } (body) } }
}

/// Returns a paragraph of text, in which text between backticks is code.
pub(super) fn paragraph(text: &str) -> Markup {
    html! {
        p {
            @for (place, part) in text.split('`').enumerate() {
                @if place % 2 == 1 { code { (part) } } @else { (part) }
            }
        }
    }
}

/// Places charts next to each other where there is room.
pub(super) fn charts(charts: &[Markup]) -> Markup {
    html! { div class="charts" { @for chart in charts { (chart) } } }
}

/// Returns a chart: its title, the drawing, described by `label`, and what its marks mean.
pub(super) fn figure(
    title: &str,
    label: &str,
    (width, height): (f64, f64),
    drawing: &Markup,
    legend: &Markup,
) -> Markup {
    html! {
        figure {
            figcaption { (title) }
            svg viewBox={ "0 0 " (width) " " (height) } role="img" aria-label=(label) { (drawing) }
            div class="legend" { (legend) }
        }
    }
}

/// Returns a table; the cells of its first column are headings, the others are aligned like
/// numbers.
pub(super) fn table(caption: &str, heads: &[&str], rows: &[Vec<String>]) -> Markup {
    scrollable("scroll", caption, heads, rows)
}

/// Returns a table of names and texts.
pub(super) fn facts(caption: &str, rows: &[Vec<String>]) -> Markup {
    scrollable("scroll facts", caption, &["", ""], rows)
}

fn scrollable(class: &str, caption: &str, heads: &[&str], rows: &[Vec<String>]) -> Markup {
    html! {
        div class=(class) {
            table {
                caption { (caption) }
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody { @for row in rows { (cells(row)) } }
            }
        }
    }
}

fn cells(row: &[String]) -> Markup {
    html! {
        tr {
            @if let Some((first, others)) = row.split_first() {
                th scope="row" { (first) }
                @for cell in others { td { (cell) } }
            }
        }
    }
}

/// Returns a list of plain texts.
pub(super) fn list(items: &[String]) -> Markup {
    html! { ul { @for item in items { li { (item) } } } }
}

/// Returns content that is folded until it is opened; needs no script.
pub(super) fn folded(summary: &str, body: &Markup) -> Markup {
    html! { details { summary { (summary) } (body) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out() {
        let table = table("<c>", &["<h>"], &[vec!["<r>".into(), "<d>".into()]]).into_string();
        for bad in ["<c>", "<h>", "<r>", "<d>"] {
            assert!(!table.contains(bad), "{table}");
        }
        let text = paragraph("a<b `<c>`").into_string();
        assert_eq!(text, "<p>a&lt;b <code>&lt;c&gt;</code></p>");
        let section = section("\"><i>", "t", &list(&["<i>".into()])).into_string();
        assert!(section.contains("id=\"&quot;&gt;&lt;i&gt;\""), "{section}");
        assert!(!section.contains("<i>"), "{section}");
    }
}
