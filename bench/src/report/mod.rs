//! `annulus report`: measures what it takes to choose between hash and range, and makes one page of it.

mod data;
mod machine;
mod measure;
mod page;
mod verdict;

pub use data::{FORMAT, Raw, Run};
pub use measure::{Settings, measure, place};
pub use page::page;
