//! What happened to a plan: one word and one instant each, kept in the journal.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What happened to a plan, for events and history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A live route was taken over.
    Adopted,
    /// The first state was applied where nothing was live.
    Created,
    /// The target was applied at once.
    Applied,
    /// A step was entered.
    StepEntered,
    /// The target was entered at the end of a walk.
    TargetEntered,
    /// What earlier waves of clusters have held was entered by the next.
    WaveEntered,
    /// The target passed its gates.
    Settled,
    /// Another plan document came into force.
    Accepted,
    /// Traffic went back.
    WentBack,
    /// A step failed, and traffic stays where it is, as the plan says.
    FailureHeld,
    /// The plan was removed and let go.
    Released,
    /// An object or a journal that was lost was restored.
    Restored,
    /// The branch asks again for what traffic went back to.
    RestoreLanded,
    /// The branch asks for something else before the restore was there: a person's change stands.
    RestoreDropped,
}

impl What {
    /// The reason of the Kubernetes Event.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Adopted => "Adopted",
            Self::Created => "Created",
            Self::Applied => "Applied",
            Self::StepEntered => "StepEntered",
            Self::TargetEntered => "TargetEntered",
            Self::WaveEntered => "WaveEntered",
            Self::Settled => "Settled",
            Self::Accepted => "Accepted",
            Self::WentBack => "WentBack",
            Self::FailureHeld => "FailureHeld",
            Self::Released => "Released",
            Self::Restored => "Restored",
            Self::RestoreLanded => "RestoreLanded",
            Self::RestoreDropped => "RestoreDropped",
        }
    }
}

/// One thing that happened, with the commit it happened for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
    /// The first 10 digits of the commit.
    pub commit: String,
    /// Traffic afterwards, as `v1=90 v2=10`.
    pub traffic: String,
    /// Details for people; empty where there are none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}
