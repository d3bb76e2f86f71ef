//! A process that is one of several, and does not always hold the lease, or one that is a guard while whoever raises is
//! dead: then it raises nothing, and goes back all the same.

use tidegate::rollout::{self, Phase};

use super::{
    ledger::Ledger,
    world::{Item, World, wall},
    wrote::{Knowledge, Verdict, Wrote, ensure},
};

/// Whether the process is one of several, and holds the lease, or guards one cluster.
#[derive(Clone, Copy)]
pub(super) struct Lease {
    elects: bool,
    held: bool,
    term: u64,
    guards: Option<usize>,
}

impl Lease {
    pub(super) fn new(elects: bool) -> Self {
        Self { elects, held: true, term: 1, guards: None }
    }

    pub(super) fn is_missing(self) -> bool {
        self.is_guard() || self.elects && !self.held
    }

    pub(super) fn is_guard(self) -> bool {
        self.guards.is_some()
    }

    /// As the worker is told.
    pub(super) fn seen(self, skew_ms: i64) -> rollout::Lease {
        match self {
            Self { guards: Some(_), .. } => rollout::Lease::Guard,
            Self { elects: false, .. } => rollout::Lease::Alone,
            // Longer than any story.
            Self { held: true, term, .. } => {
                rollout::Lease::Held { term, until: wall(i64::from(u32::MAX) * 100, skew_ms) }
            }
            Self { .. } => rollout::Lease::Elsewhere { holder: Some("another".into()) },
        }
    }
}

impl World {
    /// Another process takes the lease, and does nothing with it, or this one has it again.
    pub(super) fn lease(&mut self, held: bool) {
        self.lease.term += u64::from(held && !self.lease.held);
        self.lease.held = held;
        self.look();
    }

    /// Whoever raises dies, and a guard of one cluster is left; none: that ends, and whoever raises is back.
    pub(super) fn guard(&mut self, place: Option<usize>) {
        if self.lease.guards != place {
            self.lease.guards = place;
            self.kill(0, self.skew_ms().unwrap_or(0));
        }
    }

    /// The clusters that the process is shown.
    pub(super) fn known(&self) -> Vec<String> {
        let is_known = |place: &usize| self.lease.guards.is_none_or(|guarded| guarded == *place);
        let places = self.places.iter().enumerate().filter(|(place, _)| is_known(place));
        places.map(|(_, place)| place.name.clone()).collect()
    }

    /// Git is looked at where a position comes from a commit that may not have been seen.
    pub(super) fn catch_up(&mut self) {
        let behind = self.process.as_ref().filter(|process| process.worker.is_behind());
        if let Some(life) = behind.map(|process| process.life) {
            self.soon(Item::Git { life });
        }
    }
}

/// Without the lease nothing is made, and nothing gets more than was written or has stood; a way back may lead to what
/// settled last.
pub(super) fn led_back(ledger: &Ledger, wrote: &Wrote<'_>, knowledge: Knowledge) -> Verdict {
    // What a hand took away is not known any more, to nobody.
    let told = knowledge.leaseless && !wrote.stripped;
    let Some(journal) = wrote.journal.as_deref().filter(|_| told) else { return Ok(()) };
    let went_back = matches!(journal.phase, Phase::WentBack { .. });
    // What the plan before did not name may have stood all the same.
    let most = |name| ledger.most(name).max(ledger.proven_by_name(&journal.state.routing, name));
    let above = journal.state.traffic.iter().find(|(name, weight)| *weight > most(name) && !went_back);
    let law = "lease";
    ensure(wrote.before.is_some(), law, || "without the lease a route is made".into())?;
    ensure(above.is_none(), law, || format!("without the lease {above:?} is written"))
}
