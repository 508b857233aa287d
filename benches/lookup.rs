//! The time it takes to find the owner of a key.
//!
//! Run it with `cargo bench --package annulus --no-default-features --bench lookup`; it takes
//! about two minutes. Add `-- ring/64x64` to measure one group only.
//!
//! `ring` measures a hash ring of as many shards × arcs as the group's name says, at 65,536 random
//! 16-byte keys, hashing included. What the ring adds is the difference to `hash_alone`. `annulus`
//! was built at once and so has arcs of one size; `annulus_grown` got its last 63 shards one by one
//! and has uneven ones, and more of them when there are many shards. `binary_search` and
//! `btree_map` use the same boundaries and the same hash. The other crates use their own hash
//! function and the same number of virtual nodes, with exceptions: `pingora-ketama` has 160 for each
//! shard, `anchorhash` and `mpchash` work without any, and `fliphash` (Masson and Lee 2024) and
//! `jump_back_hash` (Ertl 2024) without memory: these two know a number of shards, which can only
//! grow and shrink at the end, and no weights.
//!
//! `range_map` measures a range map of as many boundaries as the group's name says, at 65,536
//! keys of which half are boundaries and half lie between them. The keys look like the names in a
//! package registry: half of them in scopes (`@scope/name`), most of them in families with long
//! common prefixes. Set `ANNULUS_BENCH_KEYS` to a file to take keys from there: the part of
//! each line before the first tab.
//!
//! All keys are looked up independently of each other, as in a busy server, so the times say how
//! many lookups a core does in a second, not how long one takes alone.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark fails by panicking"
)]

use annulus::ShardId;
use annulus::placement::{Member, RangeMap, Ring, TokenFunction};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::net::SocketAddr;
use std::ops::Bound;
use std::time::Duration;

const KEYS: usize = 1 << 16;
const SEED: u64 = 0x616e_6e75_6c75_7321;

criterion_group!(benches, ring, range_map);
criterion_main!(benches);

fn group<'c>(criterion: &'c mut Criterion, name: String) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(KEYS as u64));
    group.sample_size(20);
    group.warm_up_time(Duration::from_millis(200));
    group.measurement_time(Duration::from_millis(1200));
    group
}

fn ring(criterion: &mut Criterion) {
    let mut random = fastrand::Rng::with_seed(SEED);
    let keys: Vec<[u8; 16]> = (0..KEYS).map(|_| random.u128(..).to_le_bytes()).collect();
    for (shards, arcs) in [(4, 16), (64, 64), (1024, 64)] {
        let mut group = group(criterion, format!("ring/{shards}x{arcs}"));
        ours(&mut group, &keys, shards, arcs);
        plain(&mut group, &keys, shards, arcs);
        rings_of_others(&mut group, &keys, shards, arcs);
        others_without_arcs(&mut group, &keys, shards);
        group.finish();
    }
}

fn each_key(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    keys: &[[u8; 16]],
    find: impl Fn(&[u8; 16]) -> u64,
) {
    // The loop owns what it searches and is compiled separately, behind a pointer. So nothing of
    // the harness gets into it, and what does not change is loaded once, for all contestants.
    let sum = move || keys.iter().fold(0, |sum: u64, key| sum.wrapping_add(find(key)));
    let sum: &dyn Fn() -> u64 = &sum;
    group.bench_function(name, |bencher| bencher.iter(|| black_box(sum())));
}

fn members(shards: u32) -> impl Iterator<Item = Member> {
    (0..shards).map(|id| Member::new(ShardId(id)))
}

fn built(shards: u32, arcs: u32) -> Ring {
    let builder = Ring::builder().arcs_per_shard(arcs);
    builder.shards(members(shards)).build().unwrap()
}

/// Built at once up to the last 63 shards, which were added one by one.
fn grown(shards: u32, arcs: u32) -> Ring {
    let built_at_once = shards.saturating_sub(63).max(1);
    members(shards)
        .skip(built_at_once as usize)
        .fold(built(built_at_once, arcs), |ring, member| ring.add_shard(member).unwrap())
}

fn ours(group: &mut BenchmarkGroup<'_, WallTime>, keys: &[[u8; 16]], shards: u32, arcs: u32) {
    let function = TokenFunction::default();
    each_key(group, "hash_alone", keys, move |key| function.token(key).0);
    let ring = built(shards, arcs);
    each_key(group, "annulus", keys, move |key| u64::from(ring.owner_of(key).0));
    let ring = grown(shards, arcs);
    each_key(group, "annulus_grown", keys, move |key| u64::from(ring.owner_of(key).0));
}

fn plain(group: &mut BenchmarkGroup<'_, WallTime>, keys: &[[u8; 16]], shards: u32, arcs: u32) {
    let ring = built(shards, arcs);
    let function = ring.token_function();
    let (starts, owners): (Vec<u64>, Vec<u32>) =
        ring.arcs().map(|arc| (arc.range.start.0, arc.owner.0)).unzip();
    each_key(group, "binary_search", keys, move |key| {
        let token = function.token(key).0;
        u64::from(owners[starts.partition_point(|&start| start <= token) - 1])
    });
    let map: BTreeMap<u64, u32> = ring.arcs().map(|arc| (arc.range.start.0, arc.owner.0)).collect();
    each_key(group, "btree_map", keys, move |key| {
        let token = function.token(key).0;
        u64::from(*map.range(..=token).next_back().unwrap().1)
    });
}

fn rings_of_others(
    group: &mut BenchmarkGroup<'_, WallTime>,
    keys: &[[u8; 16]],
    shards: u32,
    arcs: u32,
) {
    let address = |shard: u32| SocketAddr::from((shard.to_be_bytes(), 1));
    let buckets: Vec<pingora_ketama::Bucket> =
        (0..shards).map(|shard| pingora_ketama::Bucket::new(address(shard), 1)).collect();
    let ketama = pingora_ketama::Continuum::new(&buckets);
    each_key(group, "pingora_ketama", keys, move |key| ketama.node_idx(key) as u64);

    let builder = consistent_hash_ring::RingBuilder::default().vnodes(arcs as usize);
    let ring: consistent_hash_ring::Ring<u32> = builder.nodes_iter(0..shards).build();
    each_key(group, "consistent_hash_ring", keys, move |key| u64::from(*ring.get(key.as_slice())));

    let mut ring = hashring::HashRing::new();
    let arcs_of = |shard| (0..arcs).map(move |arc| (shard, arc));
    ring.batch_add((0..shards).flat_map(arcs_of).collect());
    each_key(group, "hashring", keys, move |key| u64::from(ring.get(&key.as_slice()).unwrap().0));
}

fn others_without_arcs(group: &mut BenchmarkGroup<'_, WallTime>, keys: &[[u8; 16]], shards: u32) {
    let builder = anchorhash::Builder::default().with_resources(0..shards);
    let anchor = builder.build::<&[u8]>(shards as u16);
    each_key(group, "anchorhash", keys, move |key| {
        u64::from(*anchor.get_resource(key.as_slice()).unwrap())
    });

    let ring = mpchash::HashRing::new();
    (0..shards).for_each(|shard| ring.add(shard));
    each_key(group, "mpchash", keys, move |key| {
        u64::from(*ring.node(&key.as_slice()).unwrap().node())
    });

    let function = TokenFunction::default();
    let last = u64::from(shards) - 1;
    each_key(group, "fliphash", keys, move |key| {
        fliphash::fliphash_64(function.token(key).0, ..=last)
    });
    each_key(group, "jump_back_hash", keys, move |key| {
        u64::from(jump_back_hash::bucket(&mut SplitMix(function.token(key).0), shards))
    });
}

/// The random numbers that JumpBackHash asks for: SplitMix64 (Steele, Lea and Flood 2014), as its
/// author uses.
struct SplitMix(u64);

impl rand_core::RngCore for SplitMix {
    fn next_u32(&mut self) -> u32 {
        self.next_u64() as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        rand_core::impls::fill_bytes_via_next(self, bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

fn range_map(criterion: &mut Criterion) {
    let all = std::env::var_os("ANNULUS_BENCH_KEYS").map_or_else(registry_names, |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let keys = text.lines().filter_map(|line| line.split('\t').next());
        keys.filter(|key| !key.is_empty()).map(|key| key.as_bytes().to_vec()).collect()
    });
    let all: Vec<Vec<u8>> = all.into_iter().collect();
    for count in [100, 10_000] {
        let boundary = |index: usize| all[index * all.len() / (count + 1)].clone();
        let boundaries: Vec<Vec<u8>> = (1..=count).map(boundary).collect();
        let probes = Probes::new(&all, &boundaries);
        let mut group = group(criterion, format!("range_map/{count}"));

        let map = RangeMap::new(&boundaries).unwrap();
        probes.each(&mut group, "annulus", move |key| map.find(key));
        let indices = boundaries.iter().cloned().zip(1..);
        let map: BTreeMap<Vec<u8>, usize> = indices.collect();
        probes.each(&mut group, "btree_map", move |key| {
            let bounds = (Bound::Unbounded, Bound::Included(key));
            map.range::<[u8], _>(bounds).next_back().map_or(0, |(_, index)| *index)
        });
        probes.each(&mut group, "binary_search", move |key| {
            boundaries.partition_point(|boundary| boundary.as_slice() <= key)
        });
        group.finish();
    }
}

/// Keys in the order in which they are looked up, in one piece of memory, so that reading them
/// costs as little as reading a request that has just arrived.
struct Probes {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Probes {
    fn new(all: &[Vec<u8>], boundaries: &[Vec<u8>]) -> Self {
        let mut random = fastrand::Rng::with_seed(SEED);
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..KEYS {
            let from = if random.bool() { all } else { boundaries };
            bytes.extend_from_slice(&from[random.usize(..from.len())]);
            ends.push(bytes.len());
        }
        Self { bytes, ends }
    }

    fn each(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        name: &str,
        find: impl Fn(&[u8]) -> usize,
    ) {
        let sum = move || {
            let mut start = 0;
            self.ends.iter().fold(0, |sum: usize, &end| {
                let key = &self.bytes[start..end];
                start = end;
                sum.wrapping_add(find(key))
            })
        };
        let sum: &dyn Fn() -> usize = &sum;
        group.bench_function(name, |bencher| bencher.iter(|| black_box(sum())));
    }
}

/// 120,000 names of packages that do not exist.
fn registry_names() -> BTreeSet<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let words: Vec<String> = (0..2000).map(|_| word(&mut random)).collect();
    let scopes: Vec<&str> = (0..3000).map(|_| common(&mut random, &words)).collect();
    let families: Vec<String> = (0..300).map(|_| family(&mut random, &words)).collect();
    let mut names = BTreeSet::new();
    while names.len() < 120_000 {
        let mut name = String::new();
        if random.bool() {
            name = format!("@{}/", common(&mut random, &scopes));
        }
        if random.u8(..10) < 6 {
            name += common(&mut random, &families);
        }
        name += common(&mut random, &words);
        if random.bool() {
            name = format!("{name}-{}", common(&mut random, &words));
        }
        names.insert(name.into_bytes());
    }
    names
}

/// Returns one of `items`, the first ones much more often than the last.
fn common<'i, S: AsRef<str>>(random: &mut fastrand::Rng, items: &'i [S]) -> &'i str {
    let place = random.f64().powi(3) * items.len() as f64;
    items[place as usize].as_ref()
}

fn word(random: &mut fastrand::Rng) -> String {
    let syllables =
        ["re", "act", "co", "de", "ba", "bel", "ty", "pe", "lo", "ad", "er", "s", "ma", "in", "ui"];
    (0..random.usize(1..5)).map(|_| syllables[random.usize(..syllables.len())]).collect()
}

fn family(random: &mut fastrand::Rng, words: &[String]) -> String {
    (0..random.usize(1..4)).map(|_| format!("{}-", common(random, words))).collect()
}
