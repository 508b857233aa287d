//! The map of a store: who owns what, to be drawn or printed.

mod heat;
mod model;
mod svg;
mod terminal;

pub(crate) use heat::{HeatPicture, page};
pub(crate) use model::Picture;
pub(crate) use svg::svg;
pub(crate) use terminal::{Style, draw};
