//! `annulus report`: measures what is needed to choose between hash and range, and makes a page of
//! it.

mod data;
mod machine;
mod measure;
mod page;
mod verdict;

pub use data::{FORMAT, Raw, Run};
pub use measure::{Settings, measure, place};
pub use page::page;
