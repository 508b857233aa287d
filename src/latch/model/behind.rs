//! Partitions that are behind the log: a write that a shard refuses, and bringing its partition up,
//! in the sequence of src/write/bring_up.rs.

use super::super::{enter, hand_over};
use super::engine::{Key, Partition, Writes};
use super::history::Act;
use super::reshape::Sides;
use super::site::ModelWrite;
use super::store::{Broken, Closed, Store};
use std::sync::Arc;

impl Store {
    /// A write that its shard refuses. It takes effect when the partition is brought up.
    pub(super) fn put_in_vain(&self, key: Key) -> Result<Act, Closed> {
        let writes = [(key, Some(self.value()))];
        let site = ModelWrite { store: self, writes: &writes, range: false };
        enter(&site, |ticket| {
            let partition = Arc::clone(ticket.routed().partition(key));
            ticket.write(|| {
                let in_flight = self.log.append(&writes);
                partition.lacks(in_flight.position());
                partition.state.mark_behind();
            });
        })?;
        Ok(Act::Late(writes.to_vec()))
    }

    /// Brings up the partition of a key, which is behind.
    pub(super) fn bring_up(&self, key: Key) {
        let partition = Arc::clone(self.view().route(key));
        if self.broken != Broken::BringUpWithoutDrain {
            drop(partition.state.seal(None));
        }
        let until = self.log.end();
        let _changing = self.changing.lock();
        let missing = self.log.part(partition.first_missing()..until);
        let of = missing.into_iter().filter(|(key, _)| partition.has(*key));
        let writes: Writes = of.map(|(key, value)| (partition.name, key, value)).collect();
        self.shard(&partition).write(&writes);
        let (start, end) = (partition.start, partition.end);
        let mut state = Partition::new(partition.name, partition.owner, start, end);
        state.replaces = vec![Arc::clone(&partition)];
        let sides = Sides { sources: vec![partition], targets: vec![Arc::new(state)] };
        let view = Arc::new(self.view_with(&sides));
        hand_over(
            sides.sources.iter().map(|source| &source.state),
            sides.targets.iter().map(|target| &target.state),
            || *self.view.lock() = view,
        );
    }

    /// Returns true if a reshape must end because a source is behind, or was.
    pub(super) fn ends_behind(&self, sides: &Sides) -> bool {
        self.broken != Broken::ReshapeBehind
            && sides.sources.iter().any(|source| source.state.is_behind())
    }
}
