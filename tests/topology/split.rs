//! Decisions to split against what they promise: exhaustively for few places, at random for many.

use super::config;
use super::demand::{at, even, inside};
use annulus::heat::{
    NoSplitReason, Profile, Sample, ScanSample, SplitDecision, SplitOptions, decide,
};
use annulus::placement::{KeyRange, PartitionRange, Token, TokenRange};
use annulus::topology::SplitPoint;
use proptest::prelude::*;

fn token(token: u64) -> SplitPoint {
    SplitPoint::Token(Token(token))
}

fn key(key: &str) -> SplitPoint {
    SplitPoint::Key(key.as_bytes().into())
}

/// Tokens from 0 to 15.
fn narrow() -> PartitionRange {
    TokenRange::new(Token(0), Some(Token(16))).into()
}

fn options() -> SplitOptions {
    SplitOptions::new().samples_min(2)
}

/// Returns the share of the samples before a cut, by counting.
fn before(samples: &[Sample], cut: &SplitPoint) -> f64 {
    let weight = |inside: &dyn Fn(&Sample) -> bool| -> f64 {
        samples.iter().filter(|sample| inside(sample)).map(|sample| sample.weight).sum()
    };
    weight(&|sample| sample.at < *cut) / weight(&|_| true)
}

/// Checks a decision against the samples.
fn check(samples: &[Sample], scans: &[ScanSample], range: &PartitionRange, options: &SplitOptions) {
    let profile = Profile::new(samples.to_vec(), scans.to_vec());
    let decision = decide(&profile, range, 1000.0, options);
    assert!(!decision.to_string().contains('\n'));
    let halves = |cut: &SplitPoint| {
        let left = before(samples, cut);
        left.max(1.0 - left) <= options.half_share_max + 1e-9
    };
    let crossed =
        |cut: &SplitPoint| scans.iter().filter(|it| it.from < *cut && *cut <= it.to).count();
    let share = |count: usize| count as f64 / scans.len().max(1) as f64;
    let admissible: Vec<&SplitPoint> =
        samples.iter().map(|it| &it.at).filter(|it| halves(it)).collect();
    let fewest = admissible.iter().map(|cut| crossed(cut)).min().map(share);
    match &decision {
        SplitDecision::Median { at, left_share, scans_cut } => {
            assert!(halves(at) && (before(samples, at) - left_share).abs() < 1e-9);
            assert_eq!(*scans_cut, share(crossed(at)));
            assert!(*scans_cut <= options.scans_cut_max && *scans_cut <= fewest.unwrap() + 0.01);
        }
        SplitDecision::Isolate { place, share, split_points, .. } => {
            assert!(admissible.is_empty(), "{decision} but {admissible:?}");
            let own = samples.iter().filter(|it| it.at == *place).map(|it| it.weight).sum::<f64>();
            assert!((own / samples.iter().map(|it| it.weight).sum::<f64>() - share).abs() < 1e-9);
            assert!((1..=2).contains(&split_points.len()) && *share >= options.isolate_share_min);
        }
        SplitDecision::NotEnough { samples, wanted } => assert!(*samples < f64::from(*wanted)),
        SplitDecision::WouldNotHelp { reason: NoSplitReason::InTheWay { share, .. } } => {
            assert!(admissible.is_empty() && *share < options.isolate_share_min);
        }
        SplitDecision::WouldNotHelp { reason: NoSplitReason::CutsScans { scans_cut, most } } => {
            assert!(scans_cut > most);
            assert!(fewest.is_none_or(|fewest| fewest + 0.01 > *most));
        }
        other => panic!("{other}"),
    }
}

/// Every way to lay 0 to 5 samples on each of five tokens.
#[test]
fn few_places() {
    let mut decisions = [0; 3];
    for code in 0..6_usize.pow(5) {
        let counts = (0..5).map(|place| code / 6_usize.pow(place) % 6);
        let samples: Vec<Sample> = (0..)
            .step_by(3)
            .zip(counts)
            .flat_map(|(place, count)| vec![at(token(place)); count])
            .collect();
        check(&samples, &[], &narrow(), &options());
        let profile = Profile::new(samples, Vec::new());
        match decide(&profile, &narrow(), 1000.0, &options()) {
            SplitDecision::Median { .. } => decisions[0] += 1,
            SplitDecision::Isolate { .. } => decisions[1] += 1,
            _ => decisions[2] += 1,
        }
    }
    assert!(decisions.iter().all(|count| *count > 0), "{decisions:?}");
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn any_profile(
        samples in prop::collection::vec((0..64_u64, 1..100_u32), 0..300),
        scans in prop::collection::vec((0..64_u64, 0..16_u64), 0..40),
        samples_min in 2..80_u32,
    ) {
        let samples: Vec<Sample> = samples
            .into_iter()
            .map(|(place, weight)| Sample { weight: f64::from(weight), ..at(token(place * 5)) })
            .collect();
        let scan = |(from, more): (u64, u64)| {
            ScanSample { from: token(from * 5), to: token((from + more) * 5), weight: 1.0 }
        };
        let scans: Vec<ScanSample> = scans.into_iter().map(scan).collect();
        let range = TokenRange::new(Token(0), Some(Token(1000))).into();
        check(&samples, &scans, &range, &options().samples_min(samples_min));
    }

    /// A profile matches its samples, however it is queried and written.
    #[test]
    fn profiles(places in prop::collection::vec((0..40_u64, 1..9_u32, any::<bool>()), 1..200)) {
        let samples: Vec<Sample> = places
            .into_iter()
            .map(|(place, weight, write)| Sample { at: token(place), weight: weight.into(), write })
            .collect();
        let profile = Profile::new(samples.clone(), Vec::new());
        for place in 0..41 {
            let expected = before(&samples, &token(place));
            prop_assert!((profile.share_before(&token(place)) - expected).abs() < 1e-9);
        }
        if let Some((cut, share)) = profile.cut_at(0.3) {
            let nearest = samples.iter().map(|sample| before(&samples, &sample.at));
            let nearest = nearest.filter(|it| *it > 0.0).map(|it| (it - 0.3).abs());
            let nearest = nearest.fold(f64::MAX, f64::min);
            prop_assert!((share - before(&samples, &cut)).abs() < 1e-9);
            prop_assert!(((share - 0.3).abs() - nearest).abs() < 1e-9);
        }
        let text = serde_json::to_string(&profile).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Profile>(&text).unwrap(), &profile);
        let upper = profile.within(&TokenRange::new(Token(20), None).into());
        prop_assert_eq!(upper.len(), samples.iter().filter(|it| it.at >= token(20)).count());
        prop_assert!(profile.effective() <= profile.len() as f64 + 1e-9);
    }
}

#[test]
fn a_hot_place_is_isolated_with_as_many_cuts_as_it_takes() {
    let hot = |place: u64| {
        let mut samples = vec![at(token(place)); 300];
        samples.extend((0..16).flat_map(|place| vec![at(token(place)); 2]));
        match decide(&Profile::new(samples, Vec::new()), &narrow(), 1000.0, &options()) {
            SplitDecision::Isolate { place, split_points, .. } => (place, split_points),
            other => panic!("{other}"),
        }
    };
    assert_eq!(hot(7), (token(7), vec![token(7), token(8)]));
    assert_eq!(hot(0), (token(0), vec![token(1)]));
    assert_eq!(hot(15), (token(15), vec![token(15)]));
    // Alone already.
    let alone = PartitionRange::from(TokenRange::new(Token(7), Some(Token(8))));
    let profile = Profile::new(vec![at(token(7)); 100], Vec::new());
    let decision = decide(&profile, &alone, 1000.0, &options());
    let reason = NoSplitReason::Alone { place: token(7) };
    assert_eq!(decision, SplitDecision::WouldNotHelp { reason });
    let alone = PartitionRange::from(KeyRange::new(&b"k"[..], Some(b"k\0")));
    let profile = Profile::new(vec![at(key("k")); 100], Vec::new());
    let decision = decide(&profile, &alone, 1000.0, &options());
    assert_eq!(
        decision,
        SplitDecision::WouldNotHelp { reason: NoSplitReason::Alone { place: key("k") } }
    );
}

#[test]
fn appended_keys_are_split_ahead_of() {
    let range = PartitionRange::from(KeyRange::whole());
    let append = |share: f64| -> Vec<Sample> {
        let mut random = fastrand::Rng::with_seed(3);
        (0..400)
            .map(|n| {
                let fresh = random.f64() < share;
                let place = if fresh { f64::from(n) / 1e3 + 0.5 } else { random.f64() / 2.0 };
                Sample { write: true, ..at(inside(&range, place)) }
            })
            .collect()
    };
    let decided = |samples: &[Sample]| {
        decide(&Profile::new(samples.to_vec(), Vec::new()), &range, 1000.0, &options())
    };
    let samples = append(0.95);
    let last = samples.iter().map(|sample| sample.at.clone()).max().unwrap();
    match decided(&samples) {
        SplitDecision::Ahead { at, rising_share, load_share } => {
            assert!(at > last && rising_share > 0.8 && load_share == rising_share);
            let shares = Profile::new(samples, Vec::new()).expected_shares(&[at]);
            assert!(
                (shares[1] - load_share).abs() < 1e-9 && (shares[0] + shares[1] - 1.0).abs() < 1e-9
            );
        }
        other => panic!("{other}"),
    }
    // With fewer of them, with mostly reads as well, or among tokens, it is a median.
    assert!(matches!(decided(&append(0.5)), SplitDecision::Median { .. }));
    let mut read = append(1.0);
    read.iter_mut().enumerate().filter(|(n, _)| n % 4 > 0).for_each(|(_, it)| it.write = false);
    assert!(matches!(decided(&read), SplitDecision::Median { .. }));
    let tokens: Vec<Sample> = (0..100).map(|n| Sample { write: true, ..at(token(n)) }).collect();
    let profile = Profile::new(tokens, Vec::new());
    let decision = decide(&profile, &TokenRange::WHOLE.into(), 1000.0, &options());
    assert!(matches!(decision, SplitDecision::Median { .. }));
}

#[test]
fn little_load_few_samples_and_many_scans_are_no_reason() {
    let range = PartitionRange::from(TokenRange::WHOLE);
    let mut random = fastrand::Rng::with_seed(3);
    let samples = even(&range, 63, &mut random);
    let profile =
        |samples: &[Sample], scans: Vec<ScanSample>| Profile::new(samples.to_vec(), scans);
    let default = SplitOptions::default();
    let few = decide(&profile(&samples, Vec::new()), &range, 1000.0, &default);
    assert!(matches!(few, SplitDecision::NotEnough { wanted: 64, .. }), "{few}");
    let cold = decide(&profile(&samples, Vec::new()), &range, 99.0, &default);
    let reason = NoSplitReason::Cold { load: 99.0, wanted: 100.0 };
    assert_eq!(cold, SplitDecision::WouldNotHelp { reason });
    let samples = even(&range, 64, &mut random);
    let scan = ScanSample { from: token(0), to: token(u64::MAX), weight: 1.0 };
    let scans = decide(&profile(&samples, vec![scan]), &range, 1000.0, &default);
    let reason = NoSplitReason::CutsScans { scans_cut: 1.0, most: 0.3 };
    assert_eq!(scans, SplitDecision::WouldNotHelp { reason });
    // Scans that leave a gap near the middle are not cut.
    let ends = [(0.0, 0.44), (0.47, 1.0)].map(|(from, to)| ScanSample {
        from: inside(&range, from),
        to: inside(&range, to),
        weight: 1.0,
    });
    match decide(&profile(&samples, ends.to_vec()), &range, 1000.0, &default) {
        SplitDecision::Median { left_share, scans_cut, .. } => {
            assert_eq!(scans_cut, 0.0);
            assert!((left_share - 0.45).abs() < 0.02);
        }
        other => panic!("{other}"),
    }
}
