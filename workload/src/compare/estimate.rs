//! How sure a median is.

use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// How often the figures are drawn again.
const RESAMPLES: usize = 2_000;

/// The median of some figures, and the 95 % interval that a bootstrap puts around it: the figures are
/// drawn again and again, with replacement, and 95 % of the medians of these samples are inside
/// (Efron 1979).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// Where the interval begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
}

impl Estimate {
    /// Returns the interval of some figures; `None` if there are none. The same figures always have
    /// the same interval.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        let median = median(&mut figures)?;
        let mut random = Rng::with_seed(figures.len() as u64);
        let mut sample = figures.clone();
        let mut medians = Vec::with_capacity(RESAMPLES);
        for _ in 0..RESAMPLES {
            for place in &mut sample {
                *place = *random.choice(&figures)?;
            }
            medians.push(self::median(&mut sample)?);
        }
        medians.sort_by(f64::total_cmp);
        let at = |part: usize| medians.get(part * (RESAMPLES - 1) / 1_000).copied();
        Some(Self { median, low: at(25)?, high: at(975)? })
    }

    /// Returns true if a ratio may as well be 1.
    #[must_use]
    pub fn holds_one(&self) -> bool {
        self.low <= 1.0 && self.high >= 1.0
    }
}

/// Returns the median: of an even number of figures, the mean of the two in the middle.
pub(super) fn median(figures: &mut [f64]) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let last = figures.len().checked_sub(1)?;
    Some((figures.get(last / 2)? + figures.get(last.div_ceil(2))?) / 2.0)
}
