//! The load of `annulus demo`: generated rows, threads that overwrite them and check what they read,
//! and the comparison of everything at the end.

mod check;
mod generate;
mod load;

pub use check::{Differences, Expected, Row, Version, read_back, scan};
pub use generate::generate;
pub use load::{Counts, Load};
