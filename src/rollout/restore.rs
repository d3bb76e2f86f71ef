//! What Git should say again after traffic went back without a commit: kept in the journal until Git says something else.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::{Digest, Plan, Revision, Traffic};

use super::{Cause, Journal, Owner, Settled, State, What, accept};

/// A restore of the plan's document that is to be committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// The document that failed: only while the branch holds it is it replaced.
    pub failed: Digest,
    /// The commit that introduced it.
    pub undoes: Revision,
    /// The commit whose text of the document asks for the way-back state; none: that state was found live, and only
    /// `traffic` is edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Revision>,
    /// The traffic of the way-back state.
    pub traffic: Traffic,
    /// Why traffic went back, as a sentence.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl Restore {
    /// What Git should say after `journal` went back to `refuge`; none where its document asks for that already, or
    /// where there is no text that does and its weights alone cannot.
    pub(super) fn of(journal: &Journal, refuge: &Settled, cause: &Cause, now: Timestamp) -> Option<Self> {
        let same_weights = journal.plan.traffic == refuge.state.traffic;
        let without_text = refuge.revision.is_none() && same_weights;
        if without_text || asks_for(&journal.plan, &refuge.state) {
            return None;
        }
        Some(Self {
            failed: journal.plan.digest.clone(),
            undoes: journal.revision.clone(),
            to: refuge.revision.clone(),
            traffic: refuge.state.traffic.clone(),
            reason: cause.to_string(),
            at: now,
        })
    }

    /// Whether a document of this digest, which the branch holds, leaves nothing to restore.
    pub(super) fn is_void(&self, tip: &Plan) -> bool {
        tip.digest != self.failed
    }
}

/// Lets a pending restore go where the branch holds another document than the one that failed, and says whether it is
/// what was to be restored.
pub(super) fn void(journal: &mut Journal, tip: Option<(&Plan, &Owner)>, now: Timestamp) {
    let held = tip.is_some_and(|(plan, owner)| {
        *owner == journal.owner && !journal.restore.iter().any(|restore| restore.is_void(plan))
    });
    if held {
        return;
    }
    let Some(restore) = journal.restore.take() else { return };
    let landed = tip.is_some_and(|(plan, _)| plan.traffic == restore.traffic);
    let (what, text) = if landed {
        (What::RestoreLanded, "the branch asks again for what traffic went back to")
    } else {
        (What::RestoreDropped, "the branch asks for something else by now")
    };
    accept::note(journal, now, what, text.to_owned());
}

/// Whether a plan asks for what the state renders.
pub(super) fn asks_for(plan: &Plan, state: &State) -> bool {
    let target = State { traffic: plan.traffic.clone(), routing: plan.routing.clone().into() };
    target.traffic == state.traffic && target.differs_in_weights_alone(state)
}

impl std::fmt::Display for Restore {
    /// What is done to the document, as an imperative.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.to {
            Some(to) => write!(f, "restore the plan's document to its text at {to}")?,
            None => write!(f, "set the plan's `traffic` to {}", self.traffic)?,
        }
        write!(f, ", undoing {}: {}", self.undoes, self.reason)
    }
}
