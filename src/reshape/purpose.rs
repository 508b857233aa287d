//! What a job is for, handed in by the module that starts it.

use crate::error::Result;
use crate::planner::Plan;

/// What a job is to bring about. Other reshapes may come between, so that a step finds its partition
/// gone; a purpose may then plan again.
pub(crate) trait Purpose: Send + Sync {
    /// How many of its reshapes may run at the same time.
    fn reshapes_max(&self) -> usize {
        usize::MAX
    }

    /// Whether a step that other reshapes have overtaken is no failure of the job.
    fn allows_overtaking(&self) -> bool {
        true
    }

    /// The steps that are left once all have ended, `overtaken` of which were overtaken; `None` if
    /// there are none.
    fn plan_again(&self, overtaken: usize) -> Result<Option<Plan>> {
        let _ = overtaken;
        Ok(None)
    }

    /// Called when every step has ended well.
    fn finish(&self) -> Result<()> {
        Ok(())
    }

    /// Called when the job has failed.
    fn give_up(&self) {}
}

/// The steps of the job and nothing else.
pub(crate) struct Steps;

impl Purpose for Steps {
    fn allows_overtaking(&self) -> bool {
        false
    }
}
