//! How often writers wake a reader that waits for each commit.

use super::LONG;
use crate::basic::{both, quick_store};
use annulus::Durability;
use annulus::changes::{Changes, Wakeup};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

const COMMITS: u64 = 20_000;

#[derive(Default)]
struct WakeUps(AtomicU64);

impl Wake for WakeUps {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A task on no runtime, whose polls the test makes.
struct Task {
    changes: Changes,
    waker: Waker,
    due: Option<Instant>,
    read: u64,
}

impl Task {
    /// Reads what there is, and waits for more.
    fn go_on(&mut self) {
        loop {
            while self.changes.try_next().unwrap().is_some() {
                self.read += 1;
            }
            match self.changes.wake_when_ready(&self.waker) {
                Wakeup::Ready => {}
                Wakeup::Registered { due } => {
                    self.due = due;
                    return;
                }
            }
        }
    }
}

/// A past cost: each put woke a reader that had caught up, which took it as long again.
#[test]
fn writers_without_a_pause_seldom_wake_a_reader() {
    let (_directory, store) = quick_store();
    let [rows, _] = both(&store);
    let wake_ups = Arc::<WakeUps>::default();
    let changes = store.changes().durability(Durability::Buffered).open().unwrap();
    let waker = Waker::from(Arc::clone(&wake_ups));
    let mut task = Task { changes, waker, due: None, read: 0 };
    task.go_on();
    let (begun, mut seen) = (Instant::now(), 0);
    for n in 0..COMMITS {
        rows.put(n.to_string(), "").unwrap();
        let woken = wake_ups.0.load(Ordering::SeqCst);
        if woken > seen || task.due.is_some_and(|due| Instant::now() >= due) {
            seen = woken;
            task.go_on();
        }
    }
    let most = 16 + 1 + begun.elapsed().as_millis() as u64;
    assert!(seen >= 16, "the first ones come at once: {seen}");
    assert!(seen <= most, "{seen} wake-ups, at most {most}");
    while task.read < COMMITS {
        std::thread::sleep(Duration::from_millis(1));
        task.go_on();
    }
    assert_eq!(task.read, COMMITS);
}

/// Polls that are made for other reasons count as none; and a thread that pauses misses nothing.
#[test]
fn a_task_that_asks_again_is_woken_all_the_same() {
    let (_directory, store) = quick_store();
    let [rows, _] = both(&store);
    let mut changes = store.changes().durability(Durability::Buffered).open().unwrap();
    let wake_ups = Arc::<WakeUps>::default();
    let waker = Waker::from(Arc::clone(&wake_ups));
    assert!(changes.try_next().unwrap().is_none());
    for _ in 0..1000 {
        assert_eq!(changes.wake_when_ready(&waker), Wakeup::Registered { due: None });
    }
    rows.put("a", "").unwrap();
    assert_eq!(wake_ups.0.load(Ordering::SeqCst), 1);
    std::thread::scope(|scope| {
        scope.spawn(|| (0..COMMITS).for_each(|n| rows.put(n.to_string(), "").unwrap()));
        for _ in 0..=COMMITS {
            changes.next_timeout(LONG).unwrap().expect("a commit");
        }
    });
    assert!(changes.next_timeout(Duration::from_millis(5)).unwrap().is_none());
}

/// Without the pauses, each put wakes the reader.
#[cfg(feature = "failpoints")]
#[test]
fn a_missing_pace_is_noticed() {
    let test = "changes::pace::writers_without_a_pause_seldom_wake_a_reader";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1"])
        .env("ANNULUS_SKIP", "changes-pace")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("1 failed"), "{text}");
}
