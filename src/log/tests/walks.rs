//! What is found in the bytes of segments: as a plain look at every word finds it, and the same in
//! pieces.

use super::super::pieces::Pieces;
use super::super::record::{self, HEADER_BYTES, Header, Kind};
use super::super::segment::{CONTENT, SegmentHeader};
use super::super::walk::{self, Beyond};
use super::*;
use crate::clock::Timestamp;
use fastrand::Rng;
use std::ops::RangeInclusive;

const SEED: u32 = 77;

fn header(position: u64, synced: u64, payload: &[u8], kind: Kind) -> Header {
    Header {
        bytes: (HEADER_BYTES + payload.len()) as u32,
        payload_check: crc32c::crc32c_append(SEED, payload),
        position,
        synced,
        timestamp: Timestamp::default(),
        kind,
    }
}

/// Looks at every word.
fn beyond(
    file: &[u8],
    from: u64,
    first: Option<u64>,
    possible: &RangeInclusive<u64>,
) -> (u64, u64, u64) {
    let (mut headers, mut synced, mut end) = (0, 0, 0);
    let mut at = from as usize;
    while at + HEADER_BYTES <= file.len() {
        let fits = |header: &Header| match first {
            Some(first) => header.position == first + (at as u64 - CONTENT),
            None => possible.contains(&header.position),
        };
        match Header::decode(&file[at..], SEED).filter(fits) {
            Some(header) => {
                headers += 1;
                synced = synced.max(header.synced);
                end = at as u64 + record::padded(u64::from(header.bytes));
                at += HEADER_BYTES;
            }
            None => at += 8,
        }
    }
    (headers, synced, end)
}

/// Zeros, other words, positions without a header, and headers, of which some are in their places.
fn scattered(random: &mut Rng, first: u64, length: usize) -> Vec<u8> {
    let mut file = vec![0; length];
    if random.bool() {
        let from = CONTENT as usize + random.usize(..(length - CONTENT as usize) / 8) * 8;
        random.fill(&mut file[from..]);
    }
    for _ in 0..random.usize(..12) {
        let at = CONTENT as usize + random.usize(..(length - CONTENT as usize) / 8 - 5) * 8;
        let in_place = first + (at as u64 - CONTENT);
        let position = if random.bool() { in_place } else { random.u64(..1 << 20) / 8 * 8 };
        let synced = random.u64(..=position);
        let head = header(position, synced, &vec![1; random.usize(..5000)], Kind::Operations);
        match random.u8(..4) {
            0 => file[at..at + 8].copy_from_slice(&position.to_le_bytes()),
            _ => file[at..at + HEADER_BYTES].copy_from_slice(&head.encode(SEED)),
        }
    }
    file
}

#[test]
fn headers_are_found_as_by_a_look_at_every_word() {
    let seed = fastrand::u64(..);
    let mut random = Rng::with_seed(seed);
    let mut found = 0;
    for round in 0..400 {
        let first = if random.bool() { random.u64(..1 << 20) / 8 * 8 } else { 0 };
        let length = CONTENT as usize + random.usize(64..6000) * 8 + random.usize(..8);
        let file = scattered(&mut random, first, length);
        let from = CONTENT + random.u64(..100) * 8;
        let start = random.u64(..1 << 19) / 8 * 8;
        let all =
            [0..=u64::MAX, start..=start, start..=start + random.u64(..1 << 20), first..=u64::MAX];
        for possible in &all {
            for first in [None, Some(first)] {
                let expected = beyond(&file, from, first, possible);
                let Ok(it) = walk::beyond(&mut &file[..], SEED, from, first, possible);
                let context = format!("seed {seed}, round {round}, {first:?}, {possible:?}");
                assert_eq!((it.headers, it.synced, it.end), expected, "{context}");
                found += it.headers;
            }
        }
    }
    assert!(found > 1000, "seed {seed}: {found}");
}

/// A segment of records of any length, some of them longer than what is read at once.
fn segment(random: &mut Rng, first: u64) -> Vec<u8> {
    let salt = 5;
    let file_bytes = 4 << 20;
    let mut file = SegmentHeader { copy: 0, store: 7, number: 1, file_bytes, salt }.encode();
    file.truncate(CONTENT as usize);
    for number in 0.. {
        let position = first + (file.len() as u64 - CONTENT);
        let (kind, payload) = if number % 5 == 0 {
            (Kind::Mark, first.to_le_bytes().to_vec())
        } else {
            let bits = random.usize(1..20);
            let bytes = random.usize(..1 << bits);
            let put = Owned::Put(1, vec![2; 8], vec![number as u8; bytes]);
            let mut payload = vec![0; record::payload_bytes(std::iter::once(put.lent())) as usize];
            assert!(record::encode(std::iter::once(put.lent()), &mut payload));
            (Kind::Operations, payload)
        };
        if file.len() + HEADER_BYTES + payload.len() + 16 > file_bytes as usize {
            break;
        }
        file.extend(header(position, position, &payload, kind).encode(SEED));
        file.extend(&payload);
        file.resize(file.len().next_multiple_of(8), 0);
    }
    file.resize(file_bytes as usize, 0);
    file
}

#[test]
fn what_is_found_in_pieces_is_what_is_found_in_the_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("segment");
    let seed = fastrand::u64(..);
    let mut random = Rng::with_seed(seed);
    let mut reached = [0; 2];
    for round in 0..20 {
        let first = random.u64(..1 << 40) / 8 * 8;
        let mut file = segment(&mut random, first);
        if round % 3 > 0 {
            let at = CONTENT as usize + random.usize(..file.len() - CONTENT as usize);
            file[at] ^= 1;
        }
        if round % 3 == 2 {
            // As if the disk had lost some pages.
            let page = random.usize(1..file.len() / 4096) * 4096;
            let end = (page + random.usize(1..300) * 4096).min(file.len());
            file[page..end].fill(0);
        }
        std::fs::write(&path, &file).unwrap();
        let mut pieces = Pieces::open(&path).unwrap();
        let whole = &mut &file[..];
        let Ok(walked) = walk::walk(whole, SEED, first, None);
        assert_eq!(walk::walk(&mut pieces, SEED, first, None).unwrap(), walked, "seed {seed}");
        let at = CONTENT + walked.end - first;
        let possible = walked.end..=u64::MAX;
        for first in [None, Some(first)] {
            let Ok(rest) = walk::beyond(whole, SEED, at, first, &possible);
            let in_pieces = walk::beyond(&mut pieces, SEED, at, first, &possible).unwrap();
            assert_eq!(in_pieces, rest, "seed {seed}");
            reached[0] += usize::from(rest != Beyond::default());
        }
        let Ok(used) = walk::used(whole, at);
        assert_eq!(walk::used(&mut pieces, at).unwrap(), used, "seed {seed}");
        let last = file.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
        assert_eq!(used, last.max(at), "seed {seed}");
        reached[1] += usize::from(walked.content.records > 10);
    }
    assert!(reached.iter().all(|reached| *reached > 2), "seed {seed}: {reached:?}");
}
