//! Goal: either copy of a log with a mirror suffices, whatever else a power cut has taken; and one that
//! has failed is not taken for the log. Method: of an image one copy is lost, too, before it is opened.
//! In some runs a copy fails on the way; if then the other one is lost, the store may be refused, but
//! it may not open with less than it has acknowledged.

use crate::disk::Image;
use crate::workload::Order;
use annulus::{LogMirror, Options};
use std::fs;
use std::process::Command;

const VARIABLE: &str = "ANNULUS_POWER_MIRROR";
const FAILS: &str = "FAIL-log-sync";
const COPIES: [&str; 2] = ["store/log", "store/log-mirror"];

/// Whether there is a mirror, and whether copies fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mirror {
    Without,
    Sound,
    Failing,
}

impl Mirror {
    /// Has the child work with a mirror.
    pub(crate) fn order(self, child: &mut Command) {
        match self {
            Self::Without => child.env_remove(VARIABLE),
            Self::Sound => child.env(VARIABLE, "sound"),
            Self::Failing => child.env(VARIABLE, "failing"),
        };
    }

    /// Takes one copy from an image, or its content, or nothing. Returns whether it did.
    pub(crate) fn lose(self, image: &mut Image, random: &mut fastrand::Rng) -> bool {
        if self == Self::Without || random.u32(..4) == 0 {
            return false;
        }
        let lost = random.choice(COPIES).unwrap();
        let wholly = random.bool();
        image.retain(|path, content| {
            let is_content = path.strip_prefix(lost).is_some_and(|rest| rest.starts_with('/'));
            !(is_content || wholly && content.is_none() && path == lost)
        });
        true
    }

    /// Returns true if what was found is that the one copy that has everything was lost.
    pub(crate) fn explains(self, what: &str) -> bool {
        self == Self::Failing && what.starts_with("refused:") && what.contains("log")
    }
}

/// Adds the mirror that the order of a child asks for.
pub(crate) fn with_mirror(options: Options) -> Options {
    match std::env::var_os(VARIABLE) {
        Some(_) => options.log_mirror(LogMirror::at("log-mirror")),
        None => options,
    }
}

/// Takes from an image what makes syncs of the child fail.
pub(crate) fn heal(image: &mut Image) {
    image.retain(|path, _| !path.ends_with(FAILS));
}

/// Lets the syncs of all copies succeed again.
pub(crate) fn heal_disk(order: &Order) {
    COPIES.iter().for_each(|copy| drop(fs::remove_file(order.disk().join(copy).join(FAILS))));
}

/// Makes syncs of one copy fail from now on, in some lives of a child of which that is asked.
pub(crate) fn fail_a_copy(order: &Order, random: &mut fastrand::Rng) {
    if std::env::var(VARIABLE).is_ok_and(|kind| kind == "failing") && random.u32(..4) > 0 {
        let directory = order.disk().join(random.choice(COPIES).unwrap());
        fs::write(directory.join(FAILS), "").unwrap();
    }
}
