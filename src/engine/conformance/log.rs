//! Shards and the log: what is in files, and what the log must still have.

use super::{Fixture, ONE, Subject, TWO, row, wait_until};
use crate::engine::{Engine, WriteBatch as _};
use crate::id::KeyspaceId;
use crate::log::Position;

pub(in crate::engine) fn a_shard_needs_the_log_from_its_oldest_write_in_memory<S: Subject>() {
    let fixture = Fixture::<S>::new();
    let shard = fixture.shard();
    assert_eq!(shard.unflushed_from(), fixture.log.end());
    let one = shard.create_partition(ONE).unwrap();
    let two = shard.create_partition(TWO).unwrap();
    let first = fixture.put(&one, b"a", b"1");
    let second = fixture.put(&two, b"a", b"1");
    assert!(first < second);
    assert!(shard.unflushed_from() <= first);
    shard.flush_partition(&one).unwrap();
    assert!(shard.unflushed_from() >= first);
    shard.flush().unwrap();
    assert_eq!(shard.unflushed_from(), fixture.log.end());
    let third = fixture.put(&one, b"b", b"1");
    let from = shard.unflushed_from();
    assert!(second < from && from <= third);
    shard.flush().unwrap();
    assert_eq!(shard.unflushed_from(), fixture.log.end());
}

pub(in crate::engine) fn the_log_is_synced_before_a_file_exists<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    fixture.put(&one, b"a", b"1");
    let end = fixture.log.end();
    assert!(fixture.log.synced() < end);
    fixture.shard().flush().unwrap();
    assert!(fixture.log.synced() >= end);
}

/// A flush that no caller asked for.
pub(in crate::engine) fn the_log_is_synced_before_a_full_buffer_is_a_file<S: Subject>() {
    let fixture = Fixture::<S>::with_write_buffer(4 << 20);
    let one = fixture.shard().create_partition(ONE).unwrap();
    let first = fixture.put(&one, b"first", b"1");
    let mut n = 0_u32;
    while fixture.shard().unflushed_from() <= first {
        fixture.put(&one, &n.to_be_bytes(), &[7; 64 << 10]);
        n += 1;
        assert!(n < 10_000, "the buffer is never full");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert!(fixture.log.synced() >= fixture.shard().unflushed_from());
}

pub(in crate::engine) fn the_log_is_synced_before_a_load_arrives<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    fixture.put(&one, b"a", b"1");
    let end = fixture.log.end();
    assert!(fixture.log.synced() < end);
    fixture.shard().load_partition(TWO, |put| put(b"a", b"1")).unwrap();
    assert!(fixture.log.synced() >= end);
}

pub(in crate::engine) fn what_was_not_flushed_is_left_to_the_log<S: Subject>() {
    let (mut fixture, one) = Fixture::<S>::with_partition();
    fixture.put(&one, b"a", b"1");
    fixture.shard().flush().unwrap();
    fixture.put(&one, b"b", b"1");
    let from = fixture.shard().unflushed_from();
    drop(one);
    fixture.crash_before_replay();
    let one = fixture.partition(ONE);
    let rows = fixture.rows(&one);
    assert!(rows == [row("a", "1")] || rows == [row("a", "1"), row("b", "1")], "{rows:?}");
    assert!(from < fixture.log.end());
    // Which ones it has of the log, an opening cannot know before it has read it.
    assert_eq!(fixture.shard().unflushed_from(), fixture.log.first());
}

pub(in crate::engine) fn a_flush_that_is_begun_moves_the_position_when_it_has_ended<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    let shard = fixture.shard();
    let first = fixture.put(&one, b"a", b"1");
    shard.begin_flush_before(first).unwrap();
    assert!(shard.unflushed_from() <= first, "nothing is from before that");
    shard.begin_flush_before(fixture.log.end()).unwrap();
    fixture.put(&one, b"b", b"1");
    wait_until(|| shard.unflushed_from() > first);
    // The flush may have taken the second write, too.
    assert!(shard.unflushed_from() <= fixture.log.end());
}

pub(in crate::engine) fn a_full_buffer_moves_the_position<S: Subject>() {
    let mut fixture = Fixture::<S>::with_write_buffer(4 << 20);
    let one = fixture.shard().create_partition(ONE).unwrap();
    let mut starts = Vec::new();
    for key in 0_u32..48 {
        starts.push(fixture.put(&one, &key.to_be_bytes(), &[7; 64 << 10]));
        // As the keeper of the log does.
        fixture.shard().unflushed_from();
    }
    wait_until(|| fixture.shard().unflushed_from() > *starts.first().unwrap());
    let from = fixture.shard().unflushed_from();
    drop(one);
    fixture.crash();
    let one = fixture.partition(ONE);
    for (key, _) in (0_u32..).zip(starts).filter(|(_, start)| *start < from) {
        assert!(fixture.get(&one, &key.to_be_bytes()).is_some(), "{key} is in no file");
    }
}

/// A reshape's target: until it follows, no flush of it releases what it has yet to read.
pub(in crate::engine) fn a_partition_that_catches_up_needs_the_whole_log<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    let (shard, log) = (fixture.shard(), &fixture.log);
    fixture.put(&one, b"a", b"1");
    let two = shard.load_partition(TWO, |put| put(b"a", b"1")).unwrap();
    let birth = log.applied();
    fixture.put(&one, b"b", b"1");
    shard.flush().unwrap();
    assert_eq!(shard.unflushed_from(), log.first());
    let mut batch = shard.batch();
    batch.put(&two, b"b", b"1");
    shard.write(batch).unwrap();
    shard.flush().unwrap();
    assert_eq!(shard.unflushed_from(), log.first());
    shard.follow(&two, birth);
    assert!(shard.unflushed_from() >= birth);
    fixture.put(&two, b"c", b"1");
    assert!(shard.unflushed_from() < log.end());
    shard.flush().unwrap();
    assert_eq!(shard.unflushed_from(), log.end());
    shard.drop_partition(TWO).unwrap();
    fixture.put(&one, b"c", b"1");
    shard.flush().unwrap();
    assert_eq!(shard.unflushed_from(), log.end(), "what is dropped holds nothing back");
}

/// A record that the shard refused, while others go on and are flushed.
pub(in crate::engine) fn a_partition_that_lacks_a_record_keeps_it<S: Subject>() {
    let (fixture, one) = Fixture::<S>::with_partition();
    let (shard, log) = (fixture.shard(), &fixture.log);
    let two = shard.create_partition(TWO).unwrap();
    fixture.put(&one, b"a", b"1");
    shard.flush().unwrap();
    let keyspace = KeyspaceId(1);
    let record = crate::log::Operation::Put { keyspace, key: b"b", value: b"1" };
    let in_flight = log.append(std::iter::once(record)).unwrap();
    shard.stop_following(&one);
    let lacks: Position = in_flight.start();
    drop(in_flight);
    fixture.put(&two, b"a", b"1");
    shard.flush().unwrap();
    fixture.put(&two, b"b", b"1");
    shard.flush().unwrap();
    assert!(shard.unflushed_from() <= lacks);
    // It is brought up.
    shard.put(&one, b"b", b"1").unwrap();
    shard.follow(&one, Position::default());
    assert!(shard.unflushed_from() <= lacks);
    shard.flush().unwrap();
    assert_eq!(shard.unflushed_from(), log.end());
}
