//! Lists whose indices are numbers by which others refer to their items.

use std::ops::{Index, IndexMut};

/// A list that only grows, so that a number once assigned stays valid. It must be used with the
/// lists that the number is for: an unknown number is a defect, and panics.
#[derive(Debug)]
pub(super) struct Numbered<T>(Vec<T>);

impl<T> Numbered<T> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds an item, and returns its number.
    pub(super) fn push(&mut self, item: T) -> usize {
        self.0.push(item);
        self.0.len() - 1
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.0.iter_mut()
    }
}

impl<T> FromIterator<T> for Numbered<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}

#[expect(clippy::indexing_slicing, reason = "numbers are valid for as long as their list")]
impl<T> Index<usize> for Numbered<T> {
    type Output = T;

    fn index(&self, number: usize) -> &T {
        &self.0[number]
    }
}

#[expect(clippy::indexing_slicing, reason = "numbers are valid for as long as their list")]
impl<T> IndexMut<usize> for Numbered<T> {
    fn index_mut(&mut self, number: usize) -> &mut T {
        &mut self.0[number]
    }
}
