//! Estimates of medians.

use super::Estimate;
use fastrand::Rng;

#[test]
fn more_figures_make_it_narrower() {
    assert_eq!(Estimate::of([]), None);
    assert_eq!(Estimate::of([2.0]), Some(Estimate { median: 2.0, low: 2.0, high: 2.0 }));
    let mut random = Rng::with_seed(1);
    let mut width = |count: usize| {
        let figures: Vec<f64> = (0..count).map(|_| 1.2 + 0.4 * (random.f64() - 0.5)).collect();
        let estimate = Estimate::of(figures).unwrap();
        assert!(estimate.low <= estimate.median && estimate.median <= estimate.high);
        estimate.high - estimate.low
    };
    let (few, many) = (width(8), width(200));
    assert!(many < few / 2.0, "{many} {few}");
}

#[test]
fn noise_is_an_interval_that_holds_one() {
    let noise = |figures: &[f64]| Estimate::of(figures.iter().copied()).unwrap().holds_one();
    assert!(noise(&[0.8, 0.9, 1.0, 1.1, 1.2, 1.3]));
    // One slow turn among many does not make noise.
    assert!(!noise(&[0.7, 1.19, 1.2, 1.2, 1.21, 1.22, 1.2, 1.2, 1.19, 1.21]));
    assert!(!noise(&[0.7, 0.8, 0.9, 0.95]));
}

/// Of many samples from a distribution whose median is known, nearly all intervals hold it.
#[test]
fn intervals_hold_the_median() {
    let mut random = Rng::with_seed(7);
    let held = (0..200).filter(|_| {
        let figures = (0..30).map(|_| random.f64() * random.f64());
        let estimate = Estimate::of(figures.collect::<Vec<_>>()).unwrap();
        // Of the product of two uniform numbers: m (1 - ln m) = 1/2.
        estimate.low <= 0.186_682 && 0.186_682 <= estimate.high
    });
    let held = held.count();
    assert!((180..=199).contains(&held), "{held} of 200");
}
