//! Reads and writes that break a rule of the protocol. The types of `latch/protocol.rs` rule them
//! out; here they are written by hand, to show that the explorer finds the violation.

use super::engine::Key;
use super::history::Act;
use super::site::InView;
use super::store::{Broken, Closed, Store};
use crate::latch::Current as _;

impl Store {
    fn find(&self, key: Key) -> InView<'_> {
        InView { store: self, view: self.view(), key }
    }

    pub(super) fn get_checking_before(&self, key: Key) -> Result<Option<u64>, Closed> {
        loop {
            let found = self.find(key);
            if found.is_current()? {
                return Ok(self.shard(found.partition()).get(found.partition().name, key));
            }
        }
    }

    /// A write that checks whether its partition is current, or records its key, at the wrong
    /// moment.
    pub(super) fn write_wrongly(&self, key: Key, value: Option<u64>) -> Result<Act, Closed> {
        let early = self.broken == Broken::CheckBeforeStripe;
        loop {
            let gate = self.gate.read();
            let found = self.find(key);
            let partition = found.partition();
            if early && !found.is_current()? {
                continue;
            }
            let stripe = partition.state.latch.share(&[key]);
            if !early && !found.is_current()? {
                continue;
            }
            let apply = || {
                self.shard(partition).write(&vec![(partition.name, key, value)]);
                Self::check_sources(partition);
            };
            let record = || {
                let _delay = partition.state.record(&[key]);
            };
            match self.broken {
                Broken::RecordBeforeWrite => {
                    record();
                    apply();
                    drop((stripe, gate));
                }
                Broken::RecordAfterStripe => {
                    apply();
                    drop((stripe, gate));
                    record();
                }
                _ => {
                    apply();
                    record();
                    drop((stripe, gate));
                }
            }
            return Ok(Act::Write(vec![(key, value)]));
        }
    }
}
