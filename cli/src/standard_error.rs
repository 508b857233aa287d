//! Messages on the standard error. A closed standard error does not end the command.

use crate::text;
use std::io::{self, Write as _};

/// Prints a line.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "{}", text::line(line));
}

/// The same for a message of several lines, in which everything quoted is escaped already.
pub(crate) fn complain_lines(lines: &str) {
    let _ = writeln!(io::stderr(), "{}", text::plain(lines));
}
