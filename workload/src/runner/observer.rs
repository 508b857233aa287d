//! The progress of a comparison.

use std::fmt;
use std::ops::ControlFlow;

/// What is being done, and how far it is.
#[derive(Debug, Clone)]
pub struct Stage<'a> {
    /// What is being done, and to which engine.
    pub title: &'a str,
    /// The number of this step, from 1.
    pub step: usize,
    /// How many steps there are.
    pub steps: usize,
    /// The part of the step that is done, from 0 to 1.
    pub part: f64,
    /// The operations of the step so far.
    pub operations: u64,
    /// Operations a second, over the whole step so far.
    pub ops_per_s: f64,
}

/// An observer, notified of the progress several times a second, which may end the comparison.
pub struct Observer<'a>(Box<Tell<'a>>);

type Tell<'a> = dyn FnMut(&Stage<'_>) -> ControlFlow<()> + 'a;

impl<'a> Observer<'a> {
    /// Creates an observer that calls `tell`; a break ends the comparison after the runs that are
    /// complete.
    pub fn new(tell: impl FnMut(&Stage<'_>) -> ControlFlow<()> + 'a) -> Self {
        Self(Box::new(tell))
    }

    /// Returns an observer that does nothing.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(|_| ControlFlow::Continue(()))
    }

    /// Reports the progress; a break asks for the end.
    pub fn tell(&mut self, stage: &Stage<'_>) -> ControlFlow<()> {
        (self.0)(stage)
    }
}

impl fmt::Debug for Observer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}
