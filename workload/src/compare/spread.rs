//! The spread of a figure that was measured several times.

use serde::{Deserialize, Serialize};

/// The median of some figures, with their minimum and maximum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the type says it")]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Returns the spread of some figures; `None` if there are none. With an even number of
    /// figures, the median is the mean of the two in the middle.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let at = |place: usize| sorted.get(place).copied();
        let median = (at(last / 2)? + at(last.div_ceil(2))?) / 2.0;
        Some(Self { median, min: at(0)?, max: at(last)? })
    }

    /// Returns true if a ratio may as well be 1.
    #[must_use]
    pub fn straddles_one(&self) -> bool {
        self.min <= 1.0 && self.max >= 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ends() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([3.0]), Some(Spread { median: 3.0, min: 3.0, max: 3.0 }));
        let spread = Spread::of([4.0, 1.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.min, spread.max), (2.0, 1.0, 4.0));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0]).unwrap().median, 3.0);
    }

    #[test]
    fn noise_is_on_both_sides_of_one() {
        let noise = |figures: [f64; 3]| Spread::of(figures).unwrap().straddles_one();
        assert!(noise([0.9, 1.1, 1.2]));
        assert!(!noise([1.05, 1.1, 1.2]));
        assert!(!noise([0.7, 0.8, 0.99]));
    }
}
