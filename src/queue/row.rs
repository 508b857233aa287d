//! The rows of a queue: keys whose order is that of the queue, and what is in their values.

use crate::error::{Error, ErrorKind, Result};
use std::fmt;

/// The row with the mark: its value is a moment.
pub(super) const MARK: &[u8] = &[0];
const JOB: u8 = 1;
const DEAD: u8 = 2;

/// What all jobs' keys begin with.
pub(super) const JOBS: &[u8] = &[JOB];
/// The same for dead jobs.
pub(super) const DEAD_JOBS: &[u8] = &[DEAD];

/// The first byte of each value.
const FORMAT: u8 = 1;

/// The bytes of a dead job's value before the reason and the payload: format, attempts, length of the
/// reason.
const DEAD_HEADER_BYTES: usize = 1 + 4 + 4;

/// The longest reason that is kept with a dead job.
const REASON_BYTES_MAX: usize = 1024;

/// The longest payload in any store: one record of the log must have room for a job that is moved.
const PAYLOAD_BYTES_MAX: usize = 1 << 30;

/// Returns the longest payload that can be moved until its job is finished or dead, in a store with
/// the longest value `value_bytes_max`. The row of a dead job is longer than that of a job that waits.
pub(super) fn payload_bytes_max(value_bytes_max: usize) -> usize {
    value_bytes_max.saturating_sub(DEAD_HEADER_BYTES).min(PAYLOAD_BYTES_MAX)
}

/// Returns as much of a reason as may be kept with a payload.
pub(super) fn reason_beside(reason: &str, payload: usize, value_bytes_max: usize) -> &str {
    let room = value_bytes_max.saturating_sub(DEAD_HEADER_BYTES + payload);
    let ends = reason.char_indices().map(|(at, char)| at + char.len_utf8());
    let end = ends.take_while(|end| *end <= room.min(REASON_BYTES_MAX)).last();
    reason.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// The number of a job, which it keeps for as long as it is in its queue. Later jobs of one handle
/// have greater ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub(super) [u8; 16]);

impl JobId {
    /// Returns the number's 16 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Returns the number with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A moment: microseconds since the Unix epoch.
pub(super) type Moment = u64;

/// Where a job is in the queue: when it may be taken, and after which others of that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) due: Moment,
    pub(super) id: JobId,
}

impl Place {
    pub(super) fn key(self) -> Vec<u8> {
        [JOBS, &self.due.to_be_bytes(), &self.id.0].concat()
    }

    pub(super) fn of_key(key: &[u8]) -> Result<Self> {
        let parts = key.strip_prefix(JOBS).and_then(<[u8]>::split_first_chunk::<8>);
        let place = parts.and_then(|(due, id)| {
            let id = JobId(id.try_into().ok()?);
            Some(Self { due: u64::from_be_bytes(*due), id })
        });
        place.ok_or_else(|| no_row(key))
    }
}

/// Returns the first key that a job due at a moment may have.
pub(super) fn first_due(due: Moment) -> Vec<u8> {
    [JOBS, &due.to_be_bytes()].concat()
}

/// Returns a key after those of all jobs that are due by a moment.
pub(super) fn after_due(due: Moment) -> Vec<u8> {
    match due.checked_add(1) {
        Some(next) => first_due(next),
        None => DEAD_JOBS.to_vec(),
    }
}

pub(super) fn dead_key(id: JobId) -> Vec<u8> {
    [DEAD_JOBS, &id.0].concat()
}

pub(super) fn id_of_dead(key: &[u8]) -> Result<JobId> {
    let id = key.strip_prefix(DEAD_JOBS).and_then(|id| id.try_into().ok());
    id.map(JobId).ok_or_else(|| no_row(key))
}

pub(super) fn decode_mark(row: Option<&[u8]>) -> Result<Moment> {
    let Some(row) = row else { return Ok(0) };
    row.try_into().map(u64::from_be_bytes).map_err(|_| no_row(MARK))
}

/// The value of a job that is not dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job<'a> {
    /// How often it has been taken.
    pub(super) attempts: u32,
    pub(super) payload: &'a [u8],
}

impl<'a> Job<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        [&[FORMAT], &self.attempts.to_le_bytes()[..], self.payload].concat()
    }

    pub(super) fn decode(key: &[u8], value: &'a [u8]) -> Result<Self> {
        let (attempts, payload) = body(value).ok_or_else(|| no_row(key))?;
        Ok(Self { attempts, payload })
    }
}

/// The value of a dead job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dead<'a> {
    pub(super) job: Job<'a>,
    pub(super) reason: &'a str,
}

impl<'a> Dead<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let reason = self.reason.as_bytes();
        let length = u32::try_from(reason.len()).unwrap_or(u32::MAX).to_le_bytes();
        let attempts = self.job.attempts.to_le_bytes();
        [&[FORMAT], &attempts[..], &length[..], reason, self.job.payload].concat()
    }

    pub(super) fn decode(key: &[u8], value: &'a [u8]) -> Result<Self> {
        let dead = body(value).and_then(|(attempts, rest)| {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (reason, payload) = rest.split_at_checked(length)?;
            let reason = std::str::from_utf8(reason).ok()?;
            Some(Self { job: Job { attempts, payload }, reason })
        });
        dead.ok_or_else(|| no_row(key))
    }
}

/// Returns the attempts, and what follows them.
fn body(value: &[u8]) -> Option<(u32, &[u8])> {
    let (format, rest) = value.split_first()?;
    let (attempts, rest) = rest.split_first_chunk::<4>()?;
    (*format == FORMAT).then_some((u32::from_le_bytes(*attempts), rest))
}

#[cold]
fn no_row(key: &[u8]) -> Error {
    let text = format!(
        "the row \"{}\" is not one of a queue; a queue needs a keyspace of its own",
        key.escape_ascii()
    );
    Error::new(ErrorKind::WrongType, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_order_of_the_queue_and_come_back() {
        let id = |n: u128| JobId(n.to_be_bytes());
        let places = [(0, 7), (1, 0), (1, 1), (255, 0), (256, 0), (u64::MAX, u128::MAX)];
        let places = places.map(|(due, n)| Place { due, id: id(n) });
        assert!(places.is_sorted_by_key(|place| place.key()));
        for place in places {
            assert_eq!(Place::of_key(&place.key()).unwrap(), place);
            assert!(first_due(place.due) <= place.key() && place.key() < after_due(place.due));
            assert!(MARK < place.key().as_slice() && place.key() < dead_key(id(0)));
        }
        assert_eq!(id_of_dead(&dead_key(id(9))).unwrap(), id(9));
    }

    #[test]
    fn values_come_back_and_others_are_refused() {
        let job = Job { attempts: 3, payload: b"payload" };
        assert_eq!(Job::decode(b"k", &job.encode()).unwrap(), job);
        let dead = Dead { job, reason: "no answer" };
        let bytes = dead.encode();
        assert_eq!(Dead::decode(b"k", &bytes).unwrap(), dead);
        for cut in 0..bytes.len() - b"payload".len() {
            let cut_off = bytes.get(..cut).unwrap();
            assert!(Dead::decode(b"k", cut_off).is_err(), "{cut}");
        }
        let error = Job::decode(b"k\0", b"\x02____").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongType);
        assert!(error.to_string().contains("k\\x00"), "{error}");
        let boundary = payload_bytes_max(100);
        assert_eq!(
            Dead { job: Job { attempts: 0, payload: &[0; 91] }, reason: "" }.encode().len(),
            100
        );
        assert_eq!(
            (boundary, payload_bytes_max(4), payload_bytes_max(usize::MAX)),
            (91, 0, 1 << 30)
        );
        assert_eq!(reason_beside("änd", 88, 100), "än");
        assert_eq!(reason_beside("änd", 90, 100), "", "no half of a letter");
        assert_eq!(reason_beside(&"x".repeat(5000), 0, 1 << 20).len(), 1024);
        assert!(Place::of_key(b"\x01short").is_err() && id_of_dead(b"\x02short").is_err());
        assert!(decode_mark(Some(b"short")).is_err());
    }
}
