//! The ring of a hash keyspace: which shard owns which tokens.

mod allocate;
mod apportion;
mod assign;
mod builder;
mod diff;
mod encoding;
mod lookup;
mod member;
mod membership;
mod preference;
mod quota;
mod rebalance;
mod segments;
mod share;
mod target;

pub use builder::{ARCS_PER_SHARD, RingBuilder};
pub use diff::Moved;
pub use member::Member;
pub use share::Share;
pub(crate) use target::Target;

use super::{Token, TokenFunction, TokenRange};
use crate::error::{Error, Result};
use crate::id::ShardId;
use lookup::BucketTable;
use member::Members;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The most arcs that a ring can have: 2^24.
pub const ARCS_MAX: usize = 1 << 24;

/// A consistent-hash ring (Karger et al. 1997): the tokens of a hash keyspace, divided into arcs,
/// each owned by a shard.
///
/// Unlike in the paper, arcs are placed and not hashed: each shard owns exactly the part of the
/// token space that its weight asks for, and a change of the shards moves exactly the difference
/// and nothing else. Like there, each shard has several arcs, so that a shard that leaves hands
/// its space to many others.
///
/// A ring is a value. Clones share their memory, edits return a new ring; both sides of an edit
/// can be compared with [`diff`](Self::diff).
///
/// # Cost
///
/// A lookup takes constant time for tokens as spread as the boundaries are, and never more than
/// O(log arcs). An edit takes O(arcs log arcs). Memory is 44 to 76 bytes an arc,
/// or 16 KB for a small ring.
///
/// ```
/// use annulus::ShardId;
/// use annulus::placement::{Member, Ring};
///
/// let ring = Ring::builder()
///     .arcs_per_shard(8)
///     .shard(Member::new(ShardId(0)).zone("left"))
///     .shard(Member::new(ShardId(1)).zone("right").weight(3))
///     .build()?;
/// assert_eq!(ring.len(), 16);
/// assert_eq!(ring.shares()[1].tokens, 3 << 62);
///
/// let arc = ring.arc_of(ring.token_function().token(b"key"));
/// assert_eq!(ring.arc(arc).unwrap().owner, ring.owner_of(b"key"));
/// # Ok::<(), annulus::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Ring {
    table: BucketTable,
    /// The first token of each arc, ascending; the first is 0, so that no arc wraps around.
    starts: Arc<[u64]>,
    owners: Arc<[ShardId]>,
    members: Members,
    token_function: TokenFunction,
    arcs_per_shard: u32,
}

/// One arc of a [`Ring`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RingArc {
    /// Its position among the arcs of its ring, in token order.
    pub index: usize,
    /// Its tokens.
    #[serde(rename = "span")]
    pub range: TokenRange,
    /// The shard that owns it.
    pub owner: ShardId,
}

impl Ring {
    /// Returns the index of the arc that holds `token`. One load from a table and one comparison,
    /// as long as no two boundaries lie in one bucket of the table; else a binary search among
    /// those.
    #[inline]
    #[must_use]
    pub fn arc_of(&self, token: Token) -> usize {
        self.table.arc(&self.starts, token.0)
    }

    /// Returns the shard that owns `token`. Costs the same as [`arc_of`](Self::arc_of).
    #[inline]
    #[must_use]
    pub fn owner(&self, token: Token) -> ShardId {
        self.table.owner(&self.starts, &self.owners, token.0)
    }

    /// Returns the shard that owns the token of `bytes`, which is a whole key or the
    /// [part](super::HashPart) of it that is hashed.
    #[inline]
    #[must_use]
    pub fn owner_of(&self, bytes: &[u8]) -> ShardId {
        self.owner(self.token_function.token(bytes))
    }

    /// Returns the function that turns keys into tokens of this ring.
    #[inline]
    #[must_use]
    pub fn token_function(&self) -> TokenFunction {
        self.token_function
    }

    /// Returns how many arcs a new shard gets unless its [`Member`] says otherwise.
    #[must_use]
    pub fn arcs_per_shard(&self) -> u32 {
        self.arcs_per_shard
    }

    /// Returns how many arcs there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a ring is never empty")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Returns all arcs in token order.
    #[must_use]
    pub fn arcs(&self) -> impl DoubleEndedIterator<Item = RingArc> + ExactSizeIterator + '_ {
        (0..self.len()).map(|index| self.describe(index))
    }

    /// Returns the arc at `index`; `None` if there is none. Constant time.
    #[must_use]
    pub fn arc(&self, index: usize) -> Option<RingArc> {
        (index < self.len()).then(|| self.describe(index))
    }

    #[expect(clippy::indexing_slicing, reason = "there are as many starts and owners as arcs")]
    fn describe(&self, index: usize) -> RingArc {
        let end = self.starts.get(index + 1).copied().map(Token);
        let range = TokenRange::new(Token(self.starts[index]), end);
        RingArc { index, range, owner: self.owners[index] }
    }

    /// Returns all members in order of their ids.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Returns the member with this id; `None` if there is none. O(log members).
    #[must_use]
    pub fn member(&self, shard: ShardId) -> Option<&Member> {
        self.members.get(self.members.index_of(shard)?)
    }

    /// Returns a ring of these parts, if they are valid. `starts` and `owners` have one entry for
    /// each arc.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` if the parts break an invariant of [`check`](Self::check).
    fn from_parts(
        members: Members,
        token_function: TokenFunction,
        arcs_per_shard: u32,
        starts: Vec<u64>,
        owners: Vec<ShardId>,
    ) -> Result<Self> {
        check_arcs(&members, &starts, &owners)?;
        Ok(Self {
            table: BucketTable::new(&starts, &owners),
            starts: starts.into(),
            owners: owners.into(),
            members,
            token_function,
            arcs_per_shard,
        })
    }

    /// Returns this ring with other members and arcs.
    fn with(&self, members: Members, starts: Vec<u64>, owners: Vec<ShardId>) -> Result<Self> {
        let (function, arcs_per_shard) = (self.token_function, self.arcs_per_shard);
        Self::from_parts(members, function, arcs_per_shard, starts, owners)
    }

    /// Checks every invariant: the boundaries ascend strictly and begin at token 0, so that the
    /// arcs tile the token space; every owner is a member; the table used by lookups agrees with a
    /// binary search on and around every boundary. A ring keeps them from the start; `verify` and
    /// tests check again. O(arcs log arcs).
    ///
    /// # Errors
    ///
    /// [`Internal`](crate::ErrorKind::Internal) for the table, or
    /// [`InvalidArgument`](crate::ErrorKind::InvalidArgument), with a message that names the
    /// first arc in error.
    pub fn check(&self) -> Result<()> {
        self.members.check()?;
        check_arcs(&self.members, &self.starts, &self.owners)?;
        self.table.check(&self.starts, &self.owners)
    }
}

fn check_arcs(members: &Members, starts: &[u64], owners: &[ShardId]) -> Result<()> {
    if starts.len() != owners.len() {
        let (starts, owners) = (starts.len(), owners.len());
        return Err(Error::invalid(format!("a ring of {starts} arcs has {owners} owners")));
    }
    check_arc_count(starts.len())?;
    if starts.first() != Some(&0) {
        return Err(Error::invalid("the first arc of a ring must begin at token 0"));
    }
    let pairs = starts.iter().zip(starts.iter().skip(1));
    if let Some((_, start)) = pairs.clone().find(|(one, next)| one >= next) {
        let start = Token(*start);
        return Err(Error::invalid(format!(
            "the arc at {start} does not begin after the one before"
        )));
    }
    let unknown = owners.iter().find(|owner| members.index_of(**owner).is_none());
    if let Some(owner) = unknown {
        return Err(Error::invalid(format!(
            "shard {owner} owns an arc but is no member of the ring"
        )));
    }
    Ok(())
}

fn check_arc_count(arcs: usize) -> Result<()> {
    if arcs > ARCS_MAX {
        return Err(Error::invalid(format!(
            "a ring of {arcs} arcs: at most {ARCS_MAX} are possible"
        )));
    }
    Ok(())
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Arcs<'r>(&'r Ring);
        impl fmt::Debug for Arcs<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let arcs = self.0.arcs();
                f.debug_map()
                    .entries(
                        arcs.map(|arc| {
                            (format_args!("{}", arc.range.start).to_string(), arc.owner.0)
                        }),
                    )
                    .finish()
            }
        }
        f.debug_struct("Ring")
            .field("token_function", &self.token_function)
            .field("arcs_per_shard", &self.arcs_per_shard)
            .field("members", &self.members())
            .field("arcs", &Arcs(self))
            .finish_non_exhaustive()
    }
}
