//! What the loop makes of the lease: who leads writes what only one of many does, and all others watch and go back.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    cluster::{Candidate, Fence, Own, Tenure},
    plan::ObjectKey,
    rollout::{Lease, Reason},
};

use super::{Event, LeaseReport, engine::Engine, mirror::Mirror};

/// For so long a write whose answer is not waited for may still be done: no request waits longer.
const UNSURE: Duration = Duration::from_secs(15);

/// The lease as the loops of this process want it together.
pub(super) struct Candidacy {
    candidate: Candidate,
    /// The loops that may still write, and the process as long as it may begin others.
    writing: AtomicUsize,
    /// Until when a write may still be done whose answer one of them did not wait for.
    unsure: Mutex<Option<Instant>>,
}

impl Candidacy {
    pub(super) const fn new(candidate: Candidate) -> Self {
        Self { candidate, writing: AtomicUsize::new(1), unsure: Mutex::new(None) }
    }

    /// A loop begins that may write.
    fn join(&self) {
        self.writing.fetch_add(1, Ordering::AcqRel);
    }

    /// Who holds the lease, now and from now on.
    pub(super) fn tenure(&self) -> watch::Receiver<Tenure> {
        self.candidate.tenure()
    }

    /// A loop begins no write any more, or the process no loop. The last one gives the lease away, unless a write may still be done: then it is
    /// left to run out.
    pub(super) async fn leave(&self, unanswered: bool) {
        let unsure = {
            let mut unsure = self.unsure.lock().unwrap_or_else(PoisonError::into_inner);
            if unanswered {
                *unsure = Some(Instant::now() + UNSURE);
            }
            unsure.is_some_and(|until| Instant::now() < until)
        };
        if self.writing.fetch_sub(1, Ordering::AcqRel) == 1 && !unsure {
            self.candidate.release().await;
        }
    }
}

/// A loop of this process as one of several.
pub(super) struct Election {
    candidacy: Arc<Candidacy>,
    tenure: Tenure,
    /// Its rise asks for a look at the repository.
    look: watch::Sender<u64>,
    /// Routes whose position comes from a commit that was not seen yet.
    behind: BTreeSet<ObjectKey>,
}

impl Election {
    pub(super) fn new(candidacy: Arc<Candidacy>, look: watch::Sender<u64>) -> Self {
        candidacy.join();
        Self { candidacy, tenure: Tenure::default(), look, behind: BTreeSet::new() }
    }

    fn look(&self) {
        self.look.send_modify(|count| *count += 1);
    }
}

impl Engine {
    /// Whether this process does now what only one of many does.
    pub(super) fn leads(&self) -> bool {
        self.view.lease.leads(self.clock.now())
    }

    /// What is asked right before a write that needs the lease is sent; none where there is no lease.
    pub(super) fn fence(&self) -> Option<Fence> {
        self.election.as_ref().map(|election| election.candidacy.candidate.fence())
    }

    /// Takes in who holds the lease.
    pub(super) fn tenure(&mut self, tenure: Tenure) {
        let led = self.leads();
        let Some(election) = &mut self.election else { return };
        let known = self.tip.as_ref().map(|tip| tip.commit.as_str());
        let hinted =
            tenure.hint != election.tenure.hint && tenure.hint.as_deref().is_some_and(|hint| known != Some(hint));
        let other = tenure.holder != election.tenure.holder;
        self.view.lease = match tenure.own {
            Some(Own { term, until }) => Lease::Held { term, until: self.clock.at(until) },
            None => Lease::Elsewhere { holder: tenure.holder.clone() },
        };
        if hinted && tenure.own.is_some() {
            election.look();
        }
        election.tenure = tenure;
        let leads = self.leads();
        if leads && !led {
            self.take_over();
        } else if other {
            self.look_all();
        }
    }

    /// Begins with what only one of many does, wherever the one before has left it.
    fn take_over(&mut self) {
        let now = self.clock.now();
        let plain = self.catalog.plain_objects();
        let plain: Vec<_> = plain.map(|object| (object.kind.clone(), object.key.clone())).collect();
        for (kind, key) in plain {
            self.apply_plain(&kind, &key);
        }
        if self.resources.is_some() {
            // Another process has written them meanwhile.
            let mut resources = Mirror::new(now);
            self.view.places.keys().for_each(|cluster| resources.join(cluster, now));
            self.resources = Some(resources);
            for key in self.workers.keys().cloned().collect::<Vec<_>>() {
                self.mirror_route(&key);
            }
        }
        self.look_all();
    }

    /// Takes in why a route stands where it stands, as far as that concerns the lease.
    pub(super) fn heed_lease(&self, reason: &Reason) {
        if let (Reason::NoLease { outdated: Some(term), .. }, Some(election)) = (reason, &self.election) {
            election.candidacy.candidate.lift(*term);
        }
    }

    /// Takes in whether a route's position comes from a commit that was not seen yet: then Git is looked at.
    pub(super) fn heed_behind(&mut self, key: &ObjectKey, behind: bool) {
        let Some(election) = &mut self.election else { return };
        if !behind {
            election.behind.remove(key);
        } else if election.behind.insert(key.clone()) {
            election.look();
        }
    }

    /// Git was looked at: whoever waited for that decides again.
    pub(super) fn caught_up(&mut self) {
        let behind = self.election.as_mut().map(|election| std::mem::take(&mut election.behind));
        for key in behind.unwrap_or_default() {
            self.hand(&key, Event::Look);
        }
    }

    /// A new commit was seen: whoever leads may not have been told.
    pub(super) fn pass_on(&self, commit: &str) {
        if let Some(election) = self.election.as_ref().filter(|election| election.tenure.own.is_none()) {
            election.candidacy.candidate.hint(commit);
        }
    }

    /// Gives the lease away, as nothing is written any more, unless other loops of this process write.
    pub(super) async fn resign(&self) {
        if let Some(election) = &self.election {
            election.candidacy.leave(self.in_flight > 0).await;
        }
    }

    /// Who leads; none where there is no lease.
    pub(super) fn lease_report(&self) -> Option<LeaseReport> {
        let election = self.election.as_ref()?;
        let (tenure, leads) = (&election.tenure, self.leads());
        let term = tenure.own.filter(|_| leads).map(|own| own.term);
        Some(LeaseReport { holder: tenure.holder.clone(), leads, term })
    }
}
