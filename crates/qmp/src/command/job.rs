//! Jobs: what runs in the background on block devices.

use serde::Deserialize;

use super::{Empty, commands};

commands! {
    /// Every job.
    QueryJobs = "query-jobs" -> Vec<JobInfo> {}

    /// Cancels a job.
    JobCancel = "job-cancel" -> Empty {
        /// Its id.
        id: String,
    }

    /// Completes a job that is ready.
    JobComplete = "job-complete" -> Empty {
        /// Its id.
        id: String,
    }

    /// Makes the changes of a job that waits for that.
    JobFinalize = "job-finalize" -> Empty {
        /// Its id.
        id: String,
    }

    /// Forgets a job that has ended.
    JobDismiss = "job-dismiss" -> Empty {
        /// Its id.
        id: String,
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct JobInfo {
    /// Its id.
    pub id: String,
    /// Such as `create` or `commit`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Such as `running` or `concluded`.
    pub status: String,
    /// What is done, in the unit of `total_progress`.
    #[serde(default)]
    pub current_progress: u64,
    /// What is to do; may grow.
    #[serde(default)]
    pub total_progress: u64,
    /// Error of a job that failed.
    pub error: Option<String>,
}
