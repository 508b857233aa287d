//! Pieces of HTML. Whatever comes from outside goes through [`escape`].

use std::fmt::Write as _;

/// Text as it stands in HTML or SVG, also in an attribute of either kind of quotes. Lines stay lines.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push('\n'),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A part of the page, with its heading.
pub(super) fn section(id: &str, title: &str, body: &str) -> String {
    format!("<section id=\"{id}\">\n<h2>{}</h2>\n{body}</section>\n", escape(title))
}

/// A paragraph of text, in which what stands between backticks is code.
pub(super) fn paragraph(text: &str) -> String {
    let mut parts = String::new();
    for (place, part) in text.split('`').enumerate() {
        let part = escape(part);
        parts.push_str(&if place % 2 == 1 { format!("<code>{part}</code>") } else { part });
    }
    format!("<p>{parts}</p>\n")
}

/// Charts beside each other where there is room.
pub(super) fn charts(charts: &[String]) -> String {
    format!("<div class=\"charts\">\n{}</div>\n", charts.concat())
}

/// A table; the cells of its first column are headings, the others are aligned as numbers are.
pub(super) fn table(caption: &str, heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = format!(
        "<div class=\"scroll\"><table>\n<caption>{}</caption>\n<thead><tr>",
        escape(caption)
    );
    // Writing to a string cannot fail.
    for head in heads {
        let _ = write!(table, "<th scope=\"col\">{}</th>", escape(head));
    }
    table.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        table.push_str("<tr>");
        for (place, cell) in row.iter().enumerate() {
            let cell = escape(cell);
            let _ = match place {
                0 => write!(table, "<th scope=\"row\">{cell}</th>"),
                _ => write!(table, "<td>{cell}</td>"),
            };
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</tbody>\n</table></div>\n");
    table
}

/// A list of plain texts.
pub(super) fn list(items: &[String]) -> String {
    let items: String = items.iter().map(|item| format!("<li>{}</li>\n", escape(item))).collect();
    format!("<ul>\n{items}</ul>\n")
}

/// What is folded away until it is asked for; needs no script.
pub(super) fn folded(summary: &str, body: &str) -> String {
    format!("<details><summary>{}</summary>\n{body}</details>\n", escape(summary))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out() {
        assert_eq!(
            escape("<a href=\"x\">&'\u{7}"),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\u{fffd}"
        );
        let table = table("<c>", &["<h>"], &[vec!["<r>".into(), "<d>".into()]]);
        for bad in ["<c>", "<h>", "<r>", "<d>"] {
            assert!(!table.contains(bad), "{table}");
        }
        assert_eq!(paragraph("a<b `<c>`"), "<p>a&lt;b <code>&lt;c&gt;</code></p>\n");
        assert!(list(&["<i>".into()]).contains("&lt;i&gt;"));
    }
}
