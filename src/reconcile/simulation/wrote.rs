//! One write that took place, with what its judge has to know of the world around it.

use std::sync::Arc;

use serde_json::Value;
use tidegate::{
    plan::Plan,
    rollout::{Cause, Journal},
};

/// What the process could know when it sent a write.
#[derive(Clone, Copy, Debug, Default)]
pub struct Knowledge {
    /// When that was.
    pub at_ms: i64,
    pub blind: bool,
    pub refused: bool,
    pub skewed: bool,
    /// How many clusters answered, where not all did.
    pub answering: Option<usize>,
    /// Whether another process holds the lease.
    pub leaseless: bool,
    /// Versions without a ready endpoint, or with an unknown number, in some cluster.
    pub unready: [bool; 3],
    /// What the versions ran, as sets of two bits; none: not known.
    pub images: [Option<u8>; 3],
}

/// One write of a VirtualService that took place.
pub struct Wrote<'a> {
    pub now_ms: i64,
    /// Whether it is the only cluster. Of several one may be behind without anybody knowing, as an answer was lost: then
    /// holds are the others', and what it missed comes in one write.
    pub alone: bool,
    /// Since when the last of the other clusters that have not risen already has had the weights that are left; none: one
    /// of them has others.
    pub others_ms: Option<i64>,
    /// Since when the clusters of earlier waves have the weights that are written, none within where one has others; none
    /// where there is no earlier wave, and nothing had left this one behind.
    pub earlier_ms: Option<Option<i64>>,
    /// Whether a hand has taken journals, marks or objects away, or has put old ones back.
    pub stripped: bool,
    /// Whether a hand has ever set weights: they may have stood before they were written.
    pub handled: bool,
    /// Whether other images have ever run behind a label: what counts as proven is then told by when that was known.
    pub images: bool,
    pub before: Option<&'a Value>,
    pub after: &'a Value,
    /// The DestinationRule, with its copy of a journal.
    pub copy: Option<&'a Value>,
    /// The journal that was written.
    pub journal: Option<Arc<Journal>>,
    /// None: another cluster has this position already.
    pub knowledge: Option<Knowledge>,
    /// Whether the document was at the tip of the branch some time.
    pub asked_for: &'a dyn Fn(&Plan) -> bool,
    /// What a commit, by its first 10 digits, asks for.
    pub plan_of: &'a dyn Fn(&str) -> Option<Arc<Plan>>,
    /// Whether something happened that could have made content fail so.
    pub could_fail: &'a dyn Fn(&Cause) -> bool,
}

pub type Verdict = Result<(), (&'static str, String)>;

/// What is broken where it does not hold.
pub(super) fn ensure(holds: bool, law: &'static str, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err((law, what())) }
}
