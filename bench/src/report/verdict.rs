//! Verdicts on figures, in words. A ratio that may as well be 1 is called noise.

use super::data::Run;
use annulus_workload::{Estimate, Spread};

/// Returns the smallest count from which no greater one is better than its best round; `None`
/// without figures. With several counts, that is the point where more no longer helps.
pub(super) fn stops_helping(figures: &[(u32, Spread)]) -> Option<u32> {
    let no_better = |(count, figure): &&(u32, Spread)| {
        figures.iter().all(|(other, more)| other <= count || more.median <= figure.max)
    };
    figures.iter().filter(no_better).map(|(count, _)| *count).min()
}

/// Returns a ratio with its interval.
pub(super) fn ratio(ratio: Estimate) -> String {
    let Estimate { median, low, high } = ratio;
    format!("{median:.2} [{low:.2} … {high:.2}]")
}

/// Describes a ratio of rates over this number of rounds.
pub(super) fn words(ratio: Estimate, rounds: usize) -> &'static str {
    match ratio {
        _ if rounds < 2 => "one round",
        ratio if ratio.holds_one() => "noise",
        ratio if ratio.median > 1.0 => "ahead",
        _ => "behind",
    }
}

/// Returns the run of the same workload, threads and turns by one plain RocksDB.
pub(super) fn baseline<'a>(runs: &'a [Run], run: &Run) -> Option<&'a Run> {
    runs.iter().find(|other| other.engine == "rocksdb" && same(other, run))
}

/// Returns true if two runs can be compared.
pub(super) fn same(one: &Run, other: &Run) -> bool {
    (&one.workload, one.threads) == (&other.workload, other.threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(median: f64, spread: f64) -> Spread {
        Spread { median, min: median - spread, max: median + spread }
    }

    #[test]
    fn more_stops_helping_where_the_spread_covers_it() {
        let of = |figures: &[(u32, f64, f64)]| {
            let figures: Vec<_> =
                figures.iter().map(|(count, median, by)| (*count, figure(*median, *by))).collect();
            stops_helping(&figures)
        };
        assert_eq!(of(&[(1, 10.0, 1.0), (2, 15.0, 1.0), (4, 15.5, 1.0), (8, 14.0, 1.0)]), Some(2));
        assert_eq!(of(&[(1, 10.0, 1.0), (2, 20.0, 1.0), (4, 40.0, 1.0)]), Some(4));
        assert_eq!(of(&[(1, 10.0, 1.0), (2, 9.0, 1.0)]), Some(1));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn noise_is_called_noise() {
        let estimate = |median, by| Estimate { median, low: median - by, high: median + by };
        assert_eq!(words(estimate(1.05, 0.1), 3), "noise");
        assert_eq!(words(estimate(1.2, 0.1), 3), "ahead");
        assert_eq!(words(estimate(0.8, 0.1), 3), "behind");
        assert_eq!(words(estimate(1.2, 0.0), 1), "one round");
        assert_eq!(ratio(estimate(1.2, 0.1)), "1.20 [1.10 … 1.30]");
    }
}
