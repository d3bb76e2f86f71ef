//! What a decision says: the goal of each cluster, when to decide again, and why.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use crate::plan::Version;

use super::{ClusterName, Journal, Reason};

/// What to do now, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// What each cluster should be made like.
    pub goals: BTreeMap<ClusterName, Goal>,
    /// When to decide again, if nothing happens before.
    pub wake_at: Option<Timestamp>,
    /// Why it stands where it stands.
    pub reason: Reason,
    /// The position after this decision; none where there is none.
    pub journal: Option<Arc<Journal>>,
    /// Whether anything was decided beside putting back what was there: only then is a write more than a correction.
    pub decided: bool,
    /// Why nothing is written but what leads back; none: all is.
    pub withheld: Option<Reason>,
}

/// What one cluster should be made like.
#[derive(Clone, Debug, PartialEq)]
pub enum Goal {
    /// Nothing is written.
    Keep,
    /// Both objects are made to carry the journal's state.
    Apply(Apply),
    /// The objects of a removed plan are deleted, VirtualService first.
    Prune,
}

/// The state to apply, with what goes beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Apply {
    /// The journal to be on the VirtualService, and the state to be rendered.
    pub journal: Arc<Journal>,
    /// Whether it differs from the one that is there.
    pub journal_changed: bool,
    /// Subsets that must exist.
    pub subsets: Vec<Version>,
    /// When subsets that are not needed any more may be removed; none: not yet.
    pub remove_at: Option<Timestamp>,
    /// Whether the proxies have to leave such subsets first.
    pub awaits: bool,
    /// Whether the DestinationRule gets a copy of the journal.
    pub copy: bool,
    /// Somebody's change of the spec is left as it stands: only label, annotations and journal are put back.
    pub leave: bool,
    /// Whether it leads back: such writes need no lease (law 3).
    pub back: bool,
}
