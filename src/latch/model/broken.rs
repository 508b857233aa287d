//! Reads and writes that break a rule of the protocol. The types of `latch/protocol.rs` rule them
//! out; here they are written by hand, to show that the explorer finds the violation.

use super::engine::Key;
use super::history::Act;
use super::site::InView;
use super::store::{Broken, Closed, Store};
use crate::latch::{Current as _, stripe_set};

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

    /// A write that checks whether its partition is current, appends to the log, or applies, at the
    /// wrong moment, or owns the wrong stripe.
    pub(super) fn write_wrongly(&self, key: Key, value: Option<u64>) -> Result<Act, Closed> {
        let early = self.broken == Broken::CheckBeforeStripe;
        // As if stripes were shared: two writers of a key do not exclude each other, only a seal
        // excludes both.
        let stripe = match self.broken {
            Broken::StripeOfWriter => Self::key_of_stripe(value),
            _ => key,
        };
        let writes = [(key, value)];
        loop {
            let gate = self.gate.read();
            let found = self.find(key);
            let partition = found.partition();
            if early && !found.is_current()? {
                continue;
            }
            let stripe = partition.state.latch.own(&[stripe], None);
            if !early && !found.is_current()? {
                continue;
            }
            let append = || self.log.append(&writes);
            let apply = || {
                self.shard(partition).write(&vec![(partition.name, key, value)]);
                Self::check_sources(partition);
            };
            match self.broken {
                Broken::ApplyBeforeAppend => {
                    apply();
                    drop(append());
                    drop((stripe, gate));
                }
                Broken::AppendAfterRelease => {
                    apply();
                    drop((stripe, gate));
                    drop(append());
                }
                Broken::ApplyAfterRelease => {
                    let in_flight = append();
                    drop((stripe, gate));
                    apply();
                    drop(in_flight);
                }
                _ => {
                    let in_flight = append();
                    apply();
                    drop(in_flight);
                    drop((stripe, gate));
                }
            }
            return Ok(Act::Write(writes.to_vec()));
        }
    }

    /// Returns a key whose stripe depends on the value that is written, not on the key.
    fn key_of_stripe(value: Option<u64>) -> Key {
        let stripe = value.unwrap_or_default() / 100 % 2;
        let has_stripe = |key: &Key| stripe_set(&[*key]) == 1 << stripe;
        (0..=Key::MAX).find(has_stripe).expect("each stripe has keys")
    }
}
