//! Calls that a store refuses for now.

use crate::exit::Outcome;
use annulus::retry::Retry;

/// Makes a call, and for some seconds makes it again while the store refuses it for now. It may be made
/// several times.
pub(crate) fn patiently<T>(call: impl FnMut() -> annulus::Result<T>) -> Outcome<T> {
    Ok(Retry::default().run(call)?)
}
