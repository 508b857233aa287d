//! Goal: a disk whose calls do not return stops no thread that works on others, and when it answers again,
//! everything goes on. Method: a child of which all calls on the files of one of four shards hang, by the
//! recorder, as long as a file is there. What it sees it checks itself; progress is asserted, and the share
//! of what the others got done before is printed.

use crate::churn::quick_directory;
use crate::recorder;
use crate::workload::{Order, watch};
use annulus::topology::KeyspaceSpec;
use annulus::{Batch, ErrorKind, Keyspace, LogAccess, Options, Store};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What takes longer than this hangs, and should not.
const PATIENCE: Duration = Duration::from_secs(60);

const SOON: Duration = Duration::from_millis(100);

fn hang_file(order: &Order) -> PathBuf {
    order.directory.join("hang")
}

fn figures(order: &Order) -> PathBuf {
    order.directory.join("figures")
}

/// What threads get done, by shard; the last one is the one that hangs.
#[derive(Default)]
struct Work {
    /// How the keys of each begin.
    digits: [u32; 4],
    done: [AtomicU64; 4],
    ended: AtomicBool,
}

impl Work {
    /// Reads and writes keys of one shard, and now and then a batch of three, until it is ended.
    fn on(&self, store: &Store, rows: &Keyspace, mine: usize) {
        for n in 0_u64.. {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            let key = format!("{}/{}", self.digits[mine], n % 1000);
            rows.put(&key, [1; 200]).unwrap();
            assert!(rows.get(&key).unwrap().is_some());
            if n.is_multiple_of(50) {
                let mut batch = Batch::new();
                let digits = self.digits.iter().take(3);
                digits.for_each(|digit| batch.put(rows, format!("{digit}/batch"), [2; 200]));
                store.write(batch).unwrap();
            }
            if n.is_multiple_of(200) {
                drop(store.snapshot().unwrap());
            }
            self.done[mine].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn during(&self, time: Duration) -> [u64; 4] {
        let count = || [0, 1, 2, 3].map(|shard| self.done[shard].load(Ordering::Relaxed));
        let before = count();
        std::thread::sleep(time);
        let after = count();
        [0, 1, 2, 3].map(|shard| after[shard] - before[shard])
    }
}

/// Not a test of its own.
#[test]
fn child() {
    const TIME: Duration = Duration::from_secs(1);
    let Some(order) = Order::of_child() else { return };
    watch();
    let options = Options::new().write_buffer_bytes(4 << 20).cache_bytes(1 << 20).heat(None);
    let options = options.log_access(LogAccess::Written).hot_cache_bytes(0);
    let path = order.disk().join("store");
    let store = Store::builder(&path).shards(4).options(options.clone()).open().unwrap();
    let spec = KeyspaceSpec::range().split_at(["1", "2", "3"]);
    let rows = store.create_keyspace("rows", spec).unwrap();
    // Each shard has the keys that begin with one of the digits.
    let placement = rows.placement();
    let owner = |digit: &u32| {
        let partitioning = placement.partitioning();
        partitioning.owner(partitioning.find(digit.to_string().as_bytes())).unwrap().0
    };
    let digit_of = |shard| (0..4).find(|digit| owner(digit) == shard).unwrap();
    let work = Work { digits: [0, 1, 2, 3].map(digit_of), ..Work::default() };
    let hanging = work.digits[3];
    std::thread::scope(|scope| {
        let (work, store, rows) = (&work, &store, &rows);
        (0..3).for_each(|mine| drop(scope.spawn(move || work.on(store, rows, mine))));
        // Without deadlines: they wait as long as the shard hangs.
        for writer in 0..2 {
            scope.spawn(move || {
                for n in 0_u32.. {
                    if work.ended.load(Ordering::Relaxed) {
                        break;
                    }
                    rows.put(format!("{hanging}/{writer}/{}", n % 300), [3; 2000]).unwrap();
                    work.done[3].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let before = work.during(TIME);
        fs::write(hang_file(&order), "").unwrap();
        let begun = Instant::now();
        while work.during(Duration::from_millis(50))[3] > 0 {
            assert!(begun.elapsed() < PATIENCE, "a disk that hangs takes everything");
        }
        let flush = scope.spawn(move || store.flush());
        let during = work.during(TIME);
        let late = store.with_timeout(SOON).flush().unwrap_err();
        assert_eq!(late.kind(), ErrorKind::DeadlineExceeded);
        assert!(late.to_string().contains("shard 3"), "{late}");
        let late = rows.with_timeout(SOON).put(format!("{hanging}/late"), "").unwrap_err();
        assert_eq!(late.kind(), ErrorKind::DeadlineExceeded);
        assert!(late.to_string().contains("shard 3"), "{late}");
        assert!(!flush.is_finished() && during[3] == 0, "the shard hangs");
        assert!(during.iter().take(3).all(|done| *done > 50), "{during:?}");
        let sum = |done: &[u64; 4]| done.iter().take(3).sum::<u64>();
        let share = sum(&during) as f64 / sum(&before) as f64;
        let text = format!("before {before:?}, while a disk hangs {during:?}: {share:.2} of it\n");
        fs::write(figures(&order), text).unwrap();
        fs::remove_file(hang_file(&order)).unwrap();
        flush.join().unwrap().unwrap();
        let begun = Instant::now();
        while work.during(Duration::from_millis(20))[3] == 0 {
            assert!(begun.elapsed() < PATIENCE, "the shard does not go on");
        }
        work.ended.store(true, Ordering::Relaxed);
    });
    assert!(
        !rows.contains(format!("{hanging}/late")).unwrap(),
        "nothing was written of what was late"
    );
    assert!(store.verify().unwrap().is_sound());
    store.close().unwrap();
}

#[test]
fn a_disk_that_hangs_stops_none_of_the_others() {
    let directory = quick_directory();
    let order = Order {
        directory: directory.path().to_owned(),
        seed: 0,
        first: 1,
        lives: 1,
        steps: 0,
        links: true,
        faults: true,
        quiet: false,
        mapped: false,
    };
    fs::create_dir_all(order.disk()).unwrap();
    let mut child = recorder::child_of("hangs::child", &order);
    child.env("ANNULUS_HANG_BELOW", order.disk().join("store/shards/3"));
    child.env("ANNULUS_HANG_WHILE", hang_file(&order));
    let status = child.status().unwrap();
    assert!(status.success(), "{status}\n{}", recorder::log(&order));
    print!("{}", fs::read_to_string(figures(&order)).unwrap());
}
