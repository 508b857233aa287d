//! Heat maps: where the load fell, and when, and what was reshaped in the meantime.

mod axis;
mod model;
mod page;
mod parts;
mod tables;
mod words;

pub(crate) use model::HeatPicture;
pub(crate) use page::page;
