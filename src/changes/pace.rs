//! How often a reader has writers wake it, and how often it syncs for them. Pure.
//!
//! To wake a thread costs a writer a call of the system. A reader that waits for each commit while
//! commits come without a pause would have each of them pay for it. So it is woken at once as long as
//! that is seldom; after some times in a row it pauses by itself, for at most as long as the interval
//! below, and reads all that has come meanwhile.

use std::time::{Duration, Instant};

/// After a sync a reader rests this many times as long as the sync has taken: meanwhile writers may wait for
/// pages of the log that are being written, and for the file system's journal.
const RESTS: u32 = 4;
/// It never rests longer than this many times the time for which it waits for others to sync.
const WAITS_MAX: u32 = 8;

/// How often a reader is woken in the long run.
const INTERVAL: Duration = Duration::from_millis(1);
/// How many times it is woken at once, after a while in which it was not.
const AT_ONCE: u32 = 16;

/// The wake-ups of one reader.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// When all wake-ups so far would have happened, at one in each interval.
    paid: Option<Instant>,
}

impl Pace {
    /// Returns until when a reader is to pause that is about to wait to be woken. `None` if it may
    /// wait at once, which is counted.
    pub(super) fn pause(&mut self, now: Instant) -> Option<Instant> {
        let paid = self.paid.filter(|paid| *paid > now).unwrap_or(now);
        let pause = paid.checked_sub(INTERVAL * (AT_ONCE - 1)).filter(|until| *until > now);
        if pause.is_none() {
            self.paid = Some(paid + INTERVAL);
        }
        pause
    }
}

/// The syncs of one reader.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SyncPace {
    rests_until: Option<Instant>,
}

impl SyncPace {
    /// Returns when a reader is to sync that waits `after` for others to do it, since a moment; `None`
    /// for never.
    pub(super) fn due(&self, since: Instant, after: Duration) -> Option<Instant> {
        Some(since.checked_add(after)?.max(self.rests_until.unwrap_or(since)))
    }

    /// Notes a sync of such a reader.
    pub(super) fn note(&mut self, begun: Instant, ended: Instant, after: Duration) {
        let rest = ended.saturating_duration_since(begun).saturating_mul(RESTS);
        self.rests_until = ended.checked_add(rest.min(after.saturating_mul(WAITS_MAX)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_syncs_are_followed_by_a_rest_unless_it_was_quiet() {
        let (mut syncs, begun) = (SyncPace::default(), Instant::now());
        let (ms, after) = (Duration::from_millis, Duration::from_millis(10));
        assert_eq!(syncs.due(begun, after), Some(begun + ms(10)));
        let ended = begun + ms(20);
        syncs.note(begun + ms(10), ended, after);
        assert_eq!(syncs.due(ended, after), Some(ended + ms(40)), "four times ten");
        assert_eq!(syncs.due(ended + ms(100), after), Some(ended + ms(110)), "it was quiet");
        syncs.note(ended, ended + ms(1), after);
        assert_eq!(syncs.due(ended + ms(1), after), Some(ended + ms(11)), "a fast one");
        syncs.note(ended, ended + ms(1000), after);
        assert_eq!(syncs.due(ended + ms(1000), after), Some(ended + ms(1080)), "no longer");
        syncs.note(ended, ended + ms(1000), Duration::ZERO);
        let at_once = syncs.due(ended + ms(1000), Duration::ZERO);
        assert_eq!(at_once, Some(ended + ms(1000)), "as it was asked for");
        assert_eq!(syncs.due(begun, Duration::MAX), None);
    }

    #[test]
    fn wake_ups_are_at_once_when_they_are_few_and_then_one_in_each_interval() {
        let (mut pace, begun) = (Pace::default(), Instant::now() + Duration::from_secs(60));
        let mut at_once = |now| (0..100).take_while(|_| pace.pause(now).is_none()).count();
        assert_eq!(at_once(begun), 16);
        assert_eq!(at_once(begun), 0);
        assert_eq!(at_once(begun + INTERVAL), 1);
        assert_eq!(at_once(begun + INTERVAL * 3 / 2), 0);
        assert_eq!(at_once(begun + INTERVAL * 4), 3);
        assert_eq!(at_once(begun + INTERVAL * 100), 16, "it was quiet");
        let now = begun + INTERVAL * 100;
        let until = pace.pause(now).unwrap();
        assert!(until > now && until <= now + INTERVAL);
        assert_eq!(pace.pause(until), None, "it has paused");
    }
}
