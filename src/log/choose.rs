//! Which of two copies of a log an opening reads, and what has to be done with the other one.
//! Reads, and changes nothing.
//!
//! The rule, and the argument for it, are in `docs/log.md`.

use super::copy_set::CopyNumber;
use super::judge::{self, Judged, Kept};
use super::options::CopyOptions;
use super::segment::{CONTENT, Place, SEGMENT};
use super::transfer::is_same_content;
use super::{LogDamage, LogLoss, LogOptions};
use crate::error::{Error, ErrorKind, Result};
use std::cmp::Reverse;

/// What to open, and what to do with the other copy.
pub(super) struct Chosen {
    pub(super) place: Place,
    pub(super) judged: Judged,
    pub(super) other: Option<Other>,
}

/// The copy that is not read.
pub(super) struct Other {
    pub(super) place: Place,
    /// True if it counts as one that has everything until something else is recorded.
    pub(super) is_current: bool,
    pub(super) state: OtherState,
}

pub(super) enum OtherState {
    /// It has the same segments, with the same records.
    Same(Judged),
    /// It is sound, and shorter, or has something beyond its end: it has all that is synced. It has to
    /// be made equal, and counts meanwhile.
    Behind(String),
    /// It has to be made again, and does not count before that is done.
    Differs(String),
    /// It cannot be: its directory is not there.
    Unreachable(Error),
}

/// Judges the copies of a log.
pub(super) fn choose(options: &LogOptions) -> Result<Chosen> {
    let mut candidates = Vec::new();
    for copy in &options.copies {
        let place = Place::of(options, copy);
        // A copy whose files cannot be read is like one that is not there: the other one may
        // suffice. One that has the wrong files is never written over.
        let judged = match (&copy.unreachable, check_files(&place, copy)) {
            (Some(error), _) => Err(error.clone()),
            (None, Err(error)) if error.kind() == ErrorKind::Io => Err(error),
            (None, Err(error)) => return Err(error),
            (None, Ok(())) if copy.is_current => judge_sound(&place, options.must_exist),
            (None, Ok(())) => Err(Error::new(ErrorKind::Damaged, "it was given up earlier")),
        };
        if let Err(error) = &judged
            && error.kind() == ErrorKind::Incompatible
        {
            return Err(error.clone());
        }
        candidates.push(Candidate { options: copy, place, judged });
    }
    let best = candidates.iter().filter_map(|it| Some((it.rank()?, it.place.copy))).max();
    let Some((_, best)) = best else { return damaged(options, candidates) };
    let (chosen, others): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|it| it.place.copy == best);
    let Some(Candidate { place, judged: Ok(judged), .. }) = chosen.into_iter().next() else {
        return Err(no_copy());
    };
    let other = others.into_iter().next().map(|other| other.compare(&judged)).transpose()?;
    Ok(Chosen { place, judged, other })
}

struct Candidate<'a> {
    options: &'a CopyOptions,
    place: Place,
    /// What was found; an error if it is not to be read.
    judged: Result<Judged>,
}

impl Candidate<'_> {
    /// Returns how good it is: the longer one is better, then one that need not be truncated.
    fn rank(&self) -> Option<(u64, bool, Reverse<CopyNumber>)> {
        let judged = self.judged.as_ref().ok()?;
        Some((judged.end, !judged.cut, Reverse(self.place.copy)))
    }

    /// Compares it with the one that is read.
    fn compare(self, chosen: &Judged) -> Result<Other> {
        let Self { options, place, judged } = self;
        let state = match (&options.unreachable, judged) {
            (Some(error), _) => OtherState::Unreachable(error.clone()),
            (None, Err(error)) => OtherState::Differs(format!("{error:#}")),
            (None, Ok(judged)) => {
                check_history(&place, &judged, chosen)?;
                if is_same(&judged, chosen) {
                    OtherState::Same(judged)
                } else {
                    let (end, longer) = (judged.end, chosen.end);
                    let text = format!("it ended at position {end}, the other one at {longer}");
                    // One that lacks what was synced has lost it, however sound it looks.
                    if end < chosen.stated_synced {
                        OtherState::Differs(text)
                    } else {
                        OtherState::Behind(text)
                    }
                }
            }
        };
        Ok(Other { place, is_current: options.is_current, state })
    }
}

fn judge_sound(place: &Place, must_exist: bool) -> Result<Judged> {
    let judged = judge::judge(place, LogDamage::Refuse)?;
    if must_exist && judge::list(&place.directory, SEGMENT)?.is_empty() {
        let text = format!(
            "the log {} has no segments: mount its disk, or restore them from a copy. Without \
             them, writes are lost that are not in files yet; option log_damage set to drop_rest \
             opens the store without those",
            place.directory.display()
        );
        return Err(Error::new(ErrorKind::Damaged, text));
    }
    Ok(judged)
}

/// Opens what is left where no copy is sound, if that is wanted.
fn damaged(options: &LogOptions, candidates: Vec<Candidate<'_>>) -> Result<Chosen> {
    let current = |it: &&Candidate<'_>| it.options.is_current;
    let Some(first) = candidates.iter().find(current) else { return Err(no_copy()) };
    let error = match (&first.judged, candidates.iter().filter(current).nth(1)) {
        (Err(error), Some(Candidate { judged: Err(other), .. })) => Error::new(
            error.kind(),
            format!("no copy of the log is whole: {error:#}; and {other:#}"),
        ),
        (Err(error), None) if candidates.len() > 1 => Error::new(
            error.kind(),
            format!(
                "the one copy of the log that has everything is not whole: {error:#}; the other \
                 one was given up earlier, and lacks what was written since"
            ),
        ),
        (Err(error), _) => error.clone(),
        (Ok(_), _) => no_copy(),
    };
    if options.damage == LogDamage::Refuse {
        return Err(error);
    }
    let mut left = Vec::new();
    let mut others = Vec::new();
    for Candidate { options: copy, place, .. } in candidates {
        if !copy.is_current || copy.unreachable.is_some() {
            others.push((copy, place));
            continue;
        }
        let mut judged = judge::judge(&place, LogDamage::DropRest)?;
        if options.must_exist && judge::list(&place.directory, SEGMENT)?.is_empty() {
            judged.cut = true;
            judged.lost.push(LogLoss::Missing { file: place.directory.clone() });
        }
        left.push((judged.end, Reverse(place.copy), judged, copy, place));
    }
    left.sort_by_key(|(end, copy, ..)| (*end, *copy));
    let Some((.., judged, _, place)) = left.pop() else { return Err(error) };
    let others = others.into_iter().chain(left.into_iter().map(|(.., copy, place)| (copy, place)));
    let other = others.into_iter().next().map(|(copy, place)| Other {
        place,
        is_current: copy.is_current,
        state: match &copy.unreachable {
            Some(error) => OtherState::Unreachable(error.clone()),
            None => OtherState::Differs("neither copy was whole, and the other had more".into()),
        },
    });
    Ok(Chosen { place, judged, other })
}

/// Refuses files of another store, and of a copy that is to be read those of the other copy:
/// directories, or links, that were exchanged.
fn check_files(place: &Place, copy: &CopyOptions) -> Result<()> {
    if copy.unreachable.is_some() {
        return Ok(());
    }
    for (_, path) in judge::list(&place.directory, SEGMENT)? {
        let header = judge::header(&path, place.store)?;
        let is_other = header.is_some_and(|header| header.copy != u32::from(place.copy.0));
        if copy.is_current && is_other {
            return Err(Error::new(
                ErrorKind::Damaged,
                format!(
                    "the log {} is not a file of {}, for which its directory is: if `log` and \
                     `log-mirror` in the store's directory were exchanged, exchange them again",
                    path.display(),
                    place.copy
                ),
            ));
        }
    }
    Ok(())
}

/// Returns true if two copies have the same segments with the same records, and nothing else.
fn is_same(one: &Judged, other: &Judged) -> bool {
    let looks = |it: &Kept| (it.found.number, it.found.header.salt, it.first, it.end, it.content);
    !one.cut && !other.cut && one.kept.iter().map(looks).eq(other.kept.iter().map(looks))
}

/// Refuses a copy that is not the beginning of the longer one: which of them is the store's log
/// cannot be known.
fn check_history(place: &Place, shorter: &Judged, longer: &Judged) -> Result<()> {
    let mut last = None;
    for mine in &shorter.kept {
        let Some(theirs) = longer.kept.iter().find(|it| it.found.number == mine.found.number)
        else {
            continue;
        };
        if mine.found.header.salt != theirs.found.header.salt || mine.first != theirs.first {
            return Err(diverged(place, longer, mine.first));
        }
        last = Some((mine, theirs));
    }
    let Some((mine, theirs)) = last else {
        return if shorter.kept.is_empty() {
            Ok(())
        } else {
            Err(diverged(place, longer, shorter.end))
        };
    };
    // Of what both have only the last segment can end at different places.
    let until = mine.end - mine.first + CONTENT;
    let differs = mine.end > theirs.end
        || mine.end < shorter.end
        || !is_same_content(&mine.found.path, &theirs.found.path, until)?;
    if differs { Err(diverged(place, longer, mine.first)) } else { Ok(()) }
}

fn diverged(place: &Place, longer: &Judged, position: u64) -> Error {
    let theirs = longer.kept.first().and_then(|kept| kept.found.path.parent());
    Error::new(
        ErrorKind::Damaged,
        format!(
            "the copies of the log in {} and {} are not of one history: they differ from about \
             position {position} on. One of them was restored from an older copy; move the files \
             of that one away, and open the store again, which makes it from the other one",
            place.directory.display(),
            theirs.unwrap_or(&place.directory).display(),
        ),
    )
}

pub(super) fn no_copy() -> Error {
    Error::new(
        ErrorKind::Damaged,
        "the store's metadata names no copy of the log that there is; restore the store from a \
         copy",
    )
}
