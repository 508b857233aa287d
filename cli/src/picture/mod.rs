//! The map of a store: who owns what, to be drawn or printed.

mod model;
mod svg;
mod terminal;

pub(crate) use model::Picture;
pub(crate) use svg::svg;
pub(crate) use terminal::{Style, draw};
