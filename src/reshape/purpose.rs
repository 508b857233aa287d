//! The purpose of a job, passed by the module that starts it.

use crate::error::Result;
use crate::planner::Plan;

/// What a job is to bring about. Other reshapes may intervene, so that a step finds its partition
/// gone; a purpose may then plan again.
pub(crate) trait Purpose: Send + Sync {
    /// Returns how many of the job's reshapes may run at the same time.
    fn reshapes_max(&self) -> usize {
        usize::MAX
    }

    /// Returns true if a step that other reshapes have overtaken does not fail the job.
    fn allows_overtaking(&self) -> bool {
        true
    }

    /// Returns the steps that are left once all steps have ended, `overtaken` of which were
    /// overtaken, or `None` if nothing is left.
    fn plan_again(&self, overtaken: usize) -> Result<Option<Plan>> {
        let _ = overtaken;
        Ok(None)
    }

    /// Called when every step has succeeded.
    fn finish(&self) -> Result<()> {
        Ok(())
    }

    /// Called when the job has failed.
    fn give_up(&self) {}
}

/// The purpose of a job that consists of its steps and nothing else.
pub(crate) struct Steps;

impl Purpose for Steps {
    fn allows_overtaking(&self) -> bool {
        false
    }
}
