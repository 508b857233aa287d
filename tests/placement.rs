//! Placement: the ring, the range map and the hashed parts against models that are too simple to be
//! wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use annulus::ShardId;
use annulus::placement::{Member, Ring};

fn equal(shards: u32, arcs: u32) -> Ring {
    let members = (0..shards).map(|id| Member::new(ShardId(id)));
    Ring::builder().arcs_per_shard(arcs).shards(members).build().unwrap()
}

#[test]
fn explore() {
    for arcs in [4, 16, 64] {
        let mut ring = equal(1, arcs);
        for n in 1..256u32 {
            let grown = ring.add_shard(Member::new(ShardId(n))).unwrap();
            grown.check().unwrap();
            let moved = ring.diff(&grown);
            let width: u128 = moved.iter().map(|m| m.span.width()).sum();
            assert!(moved.iter().all(|m| m.to == ShardId(n)));
            assert!(width.abs_diff((1u128 << 64) / u128::from(n + 1)) < 2);
            assert!(grown.max_over_mean() < 1.0000001);
            let back = grown.remove_shard(ShardId(n)).unwrap();
            if back != ring {
                println!(
                    "arcs {arcs} n {n}: not the inverse: diff {} arcs {} vs {}",
                    back.diff(&ring).len(),
                    back.len(),
                    ring.len()
                );
            }
            let new = grown.shares()[n as usize].arcs;
            let lens: Vec<u128> = grown.arcs().map(|a| a.span.width()).collect();
            if n.is_power_of_two() || n == 24 || n == 255 {
                println!(
                    "arcs {arcs} n {}: total {} new {} min len/mean {:.4} max/mean {:.2}",
                    n + 1,
                    grown.len(),
                    new,
                    *lens.iter().min().unwrap() as f64 / (2f64.powi(64) / lens.len() as f64),
                    *lens.iter().max().unwrap() as f64 / (2f64.powi(64) / lens.len() as f64)
                );
            }
            ring = grown;
        }
        let mut rng = fastrand::Rng::with_seed(1);
        let mut order: Vec<u32> = (0..256).collect();
        rng.shuffle(&mut order);
        for (i, &x) in order[..255].iter().enumerate() {
            ring = ring.remove_shard(ShardId(x)).unwrap();
            assert!(ring.max_over_mean() < 1.0000001);
            let n = 255 - i;
            if n.is_power_of_two() {
                println!("shrunk to {n}: {} arcs", ring.len());
            }
        }
    }
    // random cycles
    for (lo, hi, arcs) in [(2u32, 8u32, 16u32), (4, 12, 16), (8, 24, 16), (30, 60, 16), (3, 5, 4)] {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut ring = equal(lo, arcs);
        let mut next = lo;
        let mut out = String::new();
        for step in 0..3000 {
            let n = ring.members().len() as u32;
            let grow = n <= lo || (n < hi && rng.bool());
            ring = if grow {
                next += 1;
                ring.add_shard(Member::new(ShardId(next))).unwrap()
            } else {
                let i = rng.usize(..n as usize);
                let id = ring.members()[i].id;
                ring.remove_shard(id).unwrap()
            };
            if step % 300 == 299 || step == 30 || step == 100 {
                out += &format!(
                    " {}/{}={:.1}",
                    ring.len(),
                    ring.members().len(),
                    ring.len() as f64 / ring.members().len() as f64
                );
            }
        }
        println!("cycles {lo}..{hi} arcs {arcs}:{out}");
    }
}
