//! The distributions against their formulas. Seeds are fixed: a test that passes, passes always.

use super::*;

const SEEDS: [u64; 4] = [1, 2, 77, 0xdead_beef];
const DRAWS: u64 = 400_000;

fn counts(chooser: &Chooser, seed: u64, records: u64) -> Vec<u64> {
    let (mut chooser, mut random) = (chooser.clone(), Rng::with_seed(seed));
    let mut counts = vec![0; records as usize];
    for _ in 0..DRAWS {
        counts[chooser.choose(&mut random, records) as usize] += 1;
    }
    counts
}

/// Pearson's χ² of the counts against the probabilities stays within five standard deviations of
/// what is expected, the number of classes less one. Classes of few expected draws are pooled.
fn assert_fits(what: &str, counts: &[u64], probabilities: impl Fn(u64) -> f64) {
    let (mut statistic, mut classes) = (0.0, 0_i32);
    let (mut expected, mut found) = (0.0, 0.0);
    for (record, count) in (0..).zip(counts) {
        expected += probabilities(record) * DRAWS as f64;
        found += *count as f64;
        if expected >= 20.0 {
            statistic += (found - expected).powi(2) / expected;
            classes += 1;
            (expected, found) = (0.0, 0.0);
        }
    }
    let freedom = f64::from(classes - 1);
    assert!(classes > 1, "{what}");
    assert!(
        statistic < freedom + 5.0 * (2.0 * freedom).sqrt(),
        "{what}: χ² {statistic:.0} with {freedom} degrees of freedom"
    );
}

#[test]
fn uniform_is_uniform() {
    for seed in SEEDS {
        let counts = counts(&Distribution::Uniform.chooser(1000), seed, 1000);
        assert_fits("uniform", &counts, |_| 1.0 / 1000.0);
    }
}

#[test]
fn zipfian_follows_its_formula_and_nearly_the_law() {
    for items in [3, 10, 1000, 20_000] {
        let zipfian = Zipfian::new(items);
        let below = |rank: u64| match rank {
            0 => 0.0,
            1 => zipfian.probability(0),
            2 => zipfian.probability(0) + zipfian.probability(1),
            rank => zipfian.below(rank),
        };
        for seed in SEEDS {
            let counts = counts(&Chooser::Zipfian(zipfian.clone()), seed, items);
            assert_fits("zipfian", &counts, |rank| below(rank + 1) - below(rank));
        }
        // The formula against the law itself: how much of all draws falls below a rank.
        let mut law = 0.0;
        for rank in 0..items {
            assert!((law - below(rank)).abs() < 0.02, "{items}: {rank}: {law} {}", below(rank));
            law += zipfian.probability(rank);
        }
        assert!((law - 1.0).abs() < 1e-9);
    }
}

#[test]
fn the_check_of_the_formula_notices_another_law() {
    let counts = counts(&Distribution::Hotspot.chooser(1000), 1, 1000);
    let differs = std::panic::catch_unwind(|| assert_fits("", &counts, |_| 1.0 / 1000.0));
    assert!(differs.is_err());
}

#[test]
fn scrambling_keeps_the_probabilities() {
    for items in [1, 2, 3, 5, 64, 65, 1000, 4096, 100_003] {
        let scrambled = Scrambled::new(items);
        let mut records: Vec<u64> = (0..items).map(|rank| scrambled.record(rank)).collect();
        let in_place = (0..).zip(&records).filter(|(rank, record)| rank == *record).count();
        assert!(items < 64 || in_place < 10, "{items}: {in_place} stay in their place");
        records.sort_unstable();
        assert!(records.into_iter().eq(0..items), "{items}");
    }
    // The popular ones are anywhere: each sixteenth of the records has its share of them.
    let scrambled = Scrambled::new(100_003);
    let mut parts = [0; 16];
    for rank in 0..1600 {
        parts[(scrambled.record(rank) * 16 / 100_003) as usize] += 1;
    }
    assert!(parts.iter().all(|part| (50..=150).contains(part)), "{parts:?}");
    for seed in SEEDS {
        let unscrambled = Distribution::Zipfian.chooser(5000);
        let (mut plain, mut chosen) = (
            counts(&unscrambled, seed, 5000),
            counts(&Distribution::Scrambled.chooser(5000), seed, 5000),
        );
        plain.sort_unstable();
        chosen.sort_unstable();
        assert_eq!(plain, chosen);
    }
}

#[test]
fn latest_follows_the_inserts() {
    let mut latest = Latest::new(1000);
    let mut random = Rng::with_seed(5);
    let mut ages = vec![0; 1000];
    for draw in 0..DRAWS {
        // A record arrives with every twentieth operation, as in workload D.
        let records = 1000 + draw / 20;
        let record = latest.choose(&mut random, records);
        assert!(record < records);
        let age = records - 1 - record;
        if let Some(count) = ages.get_mut(age as usize) {
            *count += 1;
        }
    }
    // The newest one has Zipf's share of the draws, whose number of items grows by 20,000.
    let shares = [Zipfian::new(1000), Zipfian::new(21_000)].map(|z| z.probability(0));
    let newest = ages[0] as f64 / DRAWS as f64;
    assert!((shares[1]..shares[0]).contains(&newest), "{newest} {shares:?}");
    assert!(ages[0] > ages[1] && ages[1] > ages[4] && ages[4] > ages[40]);
}

#[test]
fn hot_records_get_their_operations() {
    for (hot, operations) in [(0.2, 0.8), (0.01, 0.5), (0.5, 0.5)] {
        let chooser = Chooser::Hotspot(Hotspot::new(hot, operations));
        for seed in SEEDS {
            let counts = counts(&chooser, seed, 1000);
            let number = 1000.0 * hot;
            assert_fits("hotspot", &counts, |record| {
                if (record as f64) < number {
                    operations / number
                } else {
                    (1.0 - operations) / (1000.0 - number)
                }
            });
        }
    }
}

#[test]
fn sequential_chooses_all_in_turn() {
    let mut threads = [Sequential::new(0, 2), Sequential::new(1, 2)];
    let chosen: Vec<u64> = (0..5).flat_map(|_| threads.each_mut().map(|t| t.choose(6))).collect();
    assert_eq!(chosen, [0, 1, 2, 3, 4, 5, 0, 1, 2, 3]);
}

#[test]
fn what_is_not_there_yet_is_not_chosen() {
    for distribution in [Distribution::Zipfian, Distribution::Scrambled] {
        let mut chooser = distribution.chooser(1000);
        let mut random = Rng::with_seed(3);
        assert!((0..10_000).all(|_| chooser.choose(&mut random, 700) < 700));
    }
}

#[test]
fn a_seed_gives_the_same_records_again() {
    for distribution in <Distribution as clap::ValueEnum>::value_variants() {
        let draw = |seed| {
            let (mut chooser, mut random) = (distribution.chooser(5000), Rng::with_seed(seed));
            (0..100).map(|_| chooser.choose(&mut random, 5000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(9), draw(9));
        assert!(*distribution == Distribution::Sequential || draw(9) != draw(10));
    }
}
