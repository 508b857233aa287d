//! Which record an operation is for. One file for each distribution; all are pure: the randomness
//! is passed in.

mod hotspot;
mod latest;
mod scrambled;
mod sequential;
mod uniform;
mod zipfian;

#[cfg(test)]
mod tests;

pub use hotspot::Hotspot;
pub use latest::Latest;
pub use scrambled::Scrambled;
pub use sequential::Sequential;
pub use uniform::Uniform;
pub use zipfian::Zipfian;

use fastrand::Rng;
use serde::Serialize;

/// How often records are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// All equally likely
    Uniform,
    /// Zipf's law with 0.99; the first records are the most popular
    Zipfian,
    /// Zipf's law with 0.99; popular records are anywhere: what YCSB calls zipfian
    Scrambled,
    /// Zipf's law with 0.99; the newest records are the most popular
    Latest,
    /// 80 % of the operations on a fifth of the records
    Hotspot,
    /// One after the other
    Sequential,
}

impl Distribution {
    /// Returns its name, as used in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipfian => "zipfian",
            Self::Scrambled => "scrambled",
            Self::Latest => "latest",
            Self::Hotspot => "hotspot",
            Self::Sequential => "sequential",
        }
    }

    /// Returns a chooser among `items` records, of which some may be inserted only later.
    #[must_use]
    pub fn chooser(self, items: u64) -> Chooser {
        match self {
            Self::Uniform => Chooser::Uniform(Uniform),
            Self::Zipfian => Chooser::Zipfian(Zipfian::new(items)),
            Self::Scrambled => Chooser::Scrambled(Scrambled::new(items)),
            Self::Latest => Chooser::Latest(Latest::new(items)),
            Self::Hotspot => Chooser::Hotspot(Hotspot::new(0.2, 0.8)),
            Self::Sequential => Chooser::Sequential(Sequential::new(0, 1)),
        }
    }
}

/// Any of the choosers.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is documented with its type")]
pub enum Chooser {
    Uniform(Uniform),
    Zipfian(Zipfian),
    Scrambled(Scrambled),
    Latest(Latest),
    Hotspot(Hotspot),
    Sequential(Sequential),
}

impl Chooser {
    /// Returns a record among the `records` that exist; 0 if there is none.
    #[inline]
    pub fn choose(&mut self, random: &mut Rng, records: u64) -> u64 {
        match self {
            Self::Uniform(uniform) => uniform.choose(random, records),
            // Records that do not exist yet are drawn again, as YCSB does.
            Self::Zipfian(zipfian) => until_there(records, || zipfian.choose(random)),
            Self::Scrambled(scrambled) => until_there(records, || scrambled.choose(random)),
            Self::Latest(latest) => latest.choose(random, records),
            Self::Hotspot(hotspot) => hotspot.choose(random, records),
            Self::Sequential(sequential) => sequential.choose(records),
        }
    }
}

#[inline]
fn until_there(records: u64, mut choose: impl FnMut() -> u64) -> u64 {
    loop {
        let record = choose();
        if record < records || records == 0 {
            return record;
        }
    }
}
