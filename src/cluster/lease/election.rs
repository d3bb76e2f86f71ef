//! Who holds a lease, as one of many candidates sees it: answers and instants in, the next write out. It does no I/O.
//!
//! Instants are this process's own and monotonic. A lease has run out once its record has not changed for as long as the
//! record says, since it was first seen so here; the holder counts itself as such for less, and from before it sent what
//! renewed it. So clocks need to agree on the length of a few seconds, and on nothing else.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::record::{Found, Record};

/// What a candidate writes: this record, where the lease is as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The version of the lease that it replaces; none: there is no lease.
    pub(super) version: Option<String>,
    pub(super) record: Record,
}

/// The lease as this process holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its term.
    pub term: u64,
    /// Until when that is sure.
    pub until: Instant,
}

/// One candidate's view.
#[derive(Clone, Debug)]
pub(super) struct Election {
    identity: Arc<str>,
    duration: Duration,
    seen: Option<Seen>,
    /// Whether what was seen last is all that is known: no write was left unanswered since.
    fresh: bool,
    own: Option<Own>,
    /// The term of another's that was seen where this candidate leads.
    least: u64,
}

#[derive(Clone, Debug)]
struct Seen {
    found: Found,
    /// When the record was first seen as it is.
    since: Instant,
}

impl Election {
    pub(super) fn new(identity: Arc<str>, duration: Duration) -> Self {
        Self { identity, duration, seen: None, fresh: false, own: None, least: 0 }
    }

    /// How long the holder counts on what it has renewed: the rest is for clocks that run unlike.
    fn validity(&self) -> Duration {
        self.duration * 3 / 4
    }

    /// How often the holder renews; no request takes longer.
    pub(super) fn renews(&self) -> Duration {
        self.duration / 4
    }

    /// How often all others look, and whoever got no answer.
    fn retries(&self) -> Duration {
        self.duration / 8
    }

    /// The lease as this process holds it; none where another does.
    pub(super) fn own(&self) -> Option<Own> {
        self.own
    }

    /// Who holds it at this instant, as far as is known; none: nobody.
    pub(super) fn holder(&self, now: Instant) -> Option<&str> {
        let seen = self.seen.as_ref().filter(|seen| !self.has_run_out(seen, now))?;
        seen.found.record.holder.as_deref()
    }

    /// The hint that others left.
    pub(super) fn hint(&self) -> Option<&str> {
        self.seen.as_ref()?.found.hint.as_deref()
    }

    /// Whether it is to be looked at before anything is written.
    pub(super) fn is_to_look(&self) -> bool {
        !self.fresh || !self.seen.as_ref().is_some_and(|seen| self.is_own(seen))
    }

    fn is_own(&self, seen: &Seen) -> bool {
        seen.found.record.holder.as_deref() == Some(&*self.identity)
    }

    fn has_run_out(&self, seen: &Seen, now: Instant) -> bool {
        now >= seen.since + seen.found.record.duration.unwrap_or(self.duration)
    }

    /// Takes in what a look found; none: there is no lease.
    pub(super) fn saw(&mut self, found: Option<Found>, now: Instant) {
        self.fresh = true;
        let Some(found) = found else {
            // Whoever deletes it takes it from its holder.
            let term = self.seen.take().map_or(0, |seen| seen.found.record.transitions);
            self.least = self.least.max(term);
            self.own = None;
            return;
        };
        let before = self.seen.take();
        let since = before.filter(|before| before.found.record == found.record).map_or(now, |before| before.since);
        let seen = Seen { found, since };
        if !self.is_own(&seen) {
            self.own = None;
        }
        self.seen = Some(seen);
    }

    /// What is there is not known any more: an answer did not come, or another was faster.
    pub(super) fn lost_sight(&mut self) {
        self.fresh = false;
    }

    /// What is to be written now, with this text for when that was.
    pub(super) fn claim(&self, now: Instant, wall: &str) -> Option<Claim> {
        if !self.fresh {
            return None;
        }
        let before = self.seen.as_ref();
        let (own, free) = match before {
            None => (false, true),
            Some(seen) => (self.is_own(seen), seen.found.record.holder.is_none() || self.has_run_out(seen, now)),
        };
        if !own && !free {
            return None;
        }
        let record = before.map(|seen| &seen.found.record);
        let last = record.map_or(0, |record| record.transitions);
        // A lease that was made anew must not fall behind the terms that journals name.
        let term = if own && self.least <= last { last } else { last.max(self.least) + 1 };
        let acquired = record.filter(|_| own).map_or_else(|| wall.to_owned(), |record| record.acquired.clone());
        let record = Record {
            holder: Some(self.identity.to_string()),
            duration: Some(self.duration),
            acquired,
            renewed: wall.to_owned(),
            transitions: term,
        };
        Some(Claim { version: before.map(|seen| seen.found.version.clone()), record })
    }

    /// Takes in that a claim was taken, which was sent at this instant or later.
    pub(super) fn won(&mut self, found: Found, sent: Instant, now: Instant) {
        self.own = Some(Own { term: found.record.transitions, until: sent + self.validity() });
        self.seen = Some(Seen { found, since: now });
        self.fresh = true;
    }

    /// A journal names a later term: the next claim begins one that is later still.
    pub(super) fn lift(&mut self, term: u64) {
        self.least = self.least.max(term);
    }

    /// It is not held any more. Returns whether it was.
    pub(super) fn resign(&mut self) -> bool {
        self.own.take().is_some()
    }

    /// What gives the lease away; none where it is not known to be this candidate's.
    pub(super) fn release(&self, wall: &str) -> Option<Claim> {
        let seen = self.seen.as_ref().filter(|seen| self.fresh && self.is_own(seen))?;
        let record = Record { holder: None, renewed: wall.to_owned(), ..seen.found.record.clone() };
        Some(Claim { version: Some(seen.found.version.clone()), record })
    }

    /// When the next turn is, after one that began then.
    pub(super) fn next(&self, began: Instant, now: Instant) -> Instant {
        if self.fresh && self.own.is_some() {
            return (began + self.renews()).max(now);
        }
        let retry = now + self.retries();
        // Whoever looks exactly then has it soonest.
        let runs_out = self.seen.as_ref().map(|seen| seen.since + seen.found.record.duration.unwrap_or(self.duration));
        runs_out.filter(|_| self.fresh).map_or(retry, |at| at.max(now).min(retry))
    }
}
