#![expect(clippy::indexing_slicing, reason = "a test that fails panics")]

use super::*;

/// Returns a log of records with these contents, as RocksDB writes it, and where each record
/// begins.
fn log(contents: &[Vec<u8>]) -> (Vec<u8>, Vec<u64>) {
    let (mut log, mut begins) = (Vec::new(), Vec::new());
    for content in contents {
        let (mut rest, mut first) = (content.as_slice(), true);
        loop {
            let left = BLOCK_BYTES - log.len() % BLOCK_BYTES;
            if left < HEADER_BYTES {
                log.resize(log.len() + left, 0);
                continue;
            }
            if first {
                begins.push(log.len() as u64);
            }
            let (part, more) = rest.split_at(rest.len().min(left - HEADER_BYTES));
            let kind = match (first, more.is_empty()) {
                (true, true) => WHOLE,
                (true, false) => FIRST,
                (false, true) => LAST,
                (false, false) => MIDDLE,
            };
            push(&mut log, kind, part);
            (rest, first) = (more, false);
            if more.is_empty() {
                break;
            }
        }
    }
    (log, begins)
}

/// Returns a log of one batch, which says this about the one before it.
pub(crate) fn log_after(number: u64, bytes: u64) -> Vec<u8> {
    let mut log = empty_log_after(number, bytes, 99);
    log.extend(log_with(100));
    log
}

/// Returns a log of one batch of two writes, the first of which has this number.
pub(crate) fn log_with(number: u64) -> Vec<u8> {
    let mut log = Vec::new();
    push(&mut log, WHOLE, &[&number.to_le_bytes()[..], &2_u32.to_le_bytes()].concat());
    log
}

/// Returns a log in which nothing was written yet.
pub(crate) fn empty_log_after(number: u64, bytes: u64, last_batch: u64) -> Vec<u8> {
    let mut log = Vec::new();
    push(&mut log, PREDECESSOR, &[number, bytes, last_batch].map(u64::to_le_bytes).concat());
    log
}

fn push(log: &mut Vec<u8>, kind: u8, content: &[u8]) {
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&[kind]), content);
    let masked = checksum.rotate_right(15).wrapping_add(0xa282_ead8);
    log.extend_from_slice(&masked.to_le_bytes());
    log.extend_from_slice(&u16::try_from(content.len()).unwrap().to_le_bytes());
    log.push(kind);
    log.extend_from_slice(content);
}

fn walk_of(log: &[u8]) -> Walk {
    walk(&mut &*log, |_| {}).unwrap()
}

fn contents() -> Vec<Vec<u8>> {
    let sizes = [1, 100, 32 << 10, 7, 4000, 200_000, 0, 513, 32_739, 3, 90];
    let mut random = fastrand::Rng::with_seed(7);
    sizes.iter().map(|size| (0..*size).map(|_| random.u8(1..)).collect()).collect()
}

#[test]
fn a_sound_log_is_read_to_its_end() {
    let (log, begins) = log(&contents());
    let sound = walk_of(&log);
    assert_eq!((sound.bytes, sound.records), (log.len() as u64, begins.len() as u64));
    assert_eq!(sound.broken, None);
    assert_eq!(walk_of(&[]), Walk::default());
}

/// A log cut anywhere is short, or sound if it was cut between two records.
#[test]
fn a_log_that_was_cut_is_short() {
    let (log, begins) = log(&contents());
    for end in (0..log.len()).step_by(61).chain(begins.iter().map(|begin| *begin as usize)) {
        let cut = walk_of(&log[..end]);
        let whole = begins.iter().filter(|begin| **begin < end as u64).count();
        match cut.broken {
            None => assert!(end == 0 || cut.records == whole as u64, "{end}"),
            Some(broken) => {
                assert_eq!(broken.offset, begins[cut.records as usize], "{end}");
                assert_eq!((broken.shape, broken.next), (Shape::Short, None), "{end}");
            }
        }
    }
}

/// Whichever byte is changed, the break is at its record and is not a hole, and the sound
/// record after it is found, if there is one.
#[test]
fn a_changed_byte_is_garbage_before_sound_records() {
    let (log, begins) = log(&contents());
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..300 {
        let at = random.usize(..log.len());
        let mut changed = log.clone();
        changed[at] ^= 1 << random.u8(..8);
        let Some(broken) = walk_of(&changed).broken else {
            // Between two blocks nothing is read.
            assert!(at % BLOCK_BYTES > BLOCK_BYTES - HEADER_BYTES, "{at}");
            continue;
        };
        let record = begins.iter().rposition(|begin| *begin <= at as u64).unwrap();
        assert_eq!(broken.offset, begins[record], "{at}");
        let is_last = record + 1 == begins.len();
        assert_eq!(broken.next.is_none(), is_last, "{at}: {broken:?}");
        assert_ne!(broken.shape, Shape::Hole, "{at}");
    }
}

/// Pages that were never written are a hole, wherever they are.
#[test]
fn lost_pages_are_a_hole() {
    let (log, begins) = log(&contents());
    for page in 0..log.len() / 4096 {
        let mut lost = log.clone();
        lost[page * 4096..(page + 1) * 4096].fill(0);
        let broken = walk_of(&lost).broken.unwrap();
        assert_eq!(broken.shape, Shape::Hole, "page {page}: {broken:?}");
        let first_lost = begins.iter().rposition(|begin| *begin <= page as u64 * 4096).unwrap();
        assert_eq!(broken.offset, begins[first_lost], "page {page}");
        let rest = (page as u64 + 1) * 4096;
        let some_begin_behind = begins.iter().any(|begin| *begin >= rest);
        assert!(broken.next.is_some() || !some_begin_behind, "page {page}");
    }
}

#[test]
fn what_a_log_says_of_the_one_before_is_read() {
    let walk = walk_of(&log_after(17, 4096));
    assert_eq!(walk.predecessor, Some(Predecessor { number: 17, bytes: 4096, last_batch: 99 }));
    assert_eq!((walk.records, walk.broken), (1, None));
    assert_eq!(
        (walk.first_write, walk.last_batch, walk.next_write),
        (Some(100), Some(100), Some(102))
    );
}

/// Whatever a reader that leaves out the rests of blocks meets, in the block of the break or later.
#[test]
fn a_record_of_a_file_that_is_used_again_is_found() {
    let (log, begins) = log(&contents());
    let blocks = (0..log.len() as u64).step_by(BLOCK_BYTES);
    let places: Vec<u64> = begins.iter().copied().chain(blocks).collect();
    for kind in RECYCLED {
        for at in &places {
            let mut changed = log.clone();
            changed[*at as usize + TYPE] = kind;
            assert_eq!(walk_of(&changed).broken.unwrap().endless, Some(*at), "{kind} at {at}");
            // Damage before it leaves out the rest of that block, but not of a later one.
            changed[0] ^= 1;
            let is_met = *at == 0 || *at >= BLOCK_BYTES as u64;
            let endless = walk_of(&changed).broken.unwrap().endless;
            let first_of_block = at % BLOCK_BYTES as u64 == 0;
            assert!(endless.is_none_or(|found| is_met && found == *at), "{kind} at {at}");
            assert!(endless.is_some() || !first_of_block, "{kind} at {at}");
        }
    }
    // Within a record it is content, and what follows the end is nothing.
    assert_eq!(walk_of(&log).broken, None);
    let mut changed = log.clone();
    changed[TYPE] = 200;
    assert_eq!(walk_of(&changed).broken.unwrap().endless, None);
}

#[test]
fn sound_records_of_unknown_types_are_passed_over() {
    let mut log = log_with(100);
    push(&mut log, 200, b"of a later version");
    log.extend(log_with(102));
    let walk = walk_of(&log);
    assert_eq!((walk.records, walk.next_write, walk.broken), (2, Some(104), None));
    log.truncate(log_with(100).len());
    push(&mut log, 120, b"what a reader must know");
    assert_eq!(walk_of(&log).broken.unwrap().offset, log_with(100).len() as u64);
}

/// A sector that was written when the log ended within it, before others that were written later.
#[test]
fn zeros_to_the_end_of_a_sector_are_padding() {
    let (sound, begins) = log(&(0..40).map(|n| vec![n; 150]).collect::<Vec<_>>());
    let last = *begins.last().unwrap() as usize;
    for begin in begins.iter().map(|begin| *begin as usize).filter(|begin| begin % 512 < 505) {
        let end = begin / 512 * 512 + 512;
        if end > last {
            break;
        }
        let mut torn = sound.clone();
        torn[begin..end].fill(0);
        let broken = walk_of(&torn).broken.unwrap();
        assert!(broken.padding && broken.next.is_some(), "{begin}: {broken:?}");
        torn[end - 1] = 1;
        assert!(!walk_of(&torn).broken.unwrap().padding, "{begin}");
        // Within a record it is not.
        let mut torn = sound.clone();
        torn[begin + 3..end].fill(0);
        assert!(!walk_of(&torn).broken.unwrap().padding, "{begin}");
    }
}
