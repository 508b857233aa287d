//! Comparison of candidates: all run the same, in turns, so that a slow moment of the machine hits
//! all of them, and ratios are taken within a turn.

mod contest;
mod estimate;
mod plan;
mod report;
mod spread;
mod turns;

pub use estimate::Estimate;
pub use plan::Plan;
pub use report::Report;
pub use spread::Spread;
pub use turns::compare;

#[cfg(test)]
mod tests;
