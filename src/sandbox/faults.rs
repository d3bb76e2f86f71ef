//! Counts requests by verb and resource, and makes the next ones fail in the ways that networks and servers do.

use std::collections::BTreeMap;
use std::time::Duration;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// Reads one object.
    Get,
    /// Reads many.
    List,
    /// Follows changes.
    Watch,
    /// Creates an object.
    Create,
    /// Replaces an object.
    Update,
    /// Patches or applies an object.
    Patch,
    /// Deletes an object.
    Delete,
    /// Deletes many.
    DeleteCollection,
}

impl Verb {
    /// Returns whether the verb can change something.
    pub fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

/// Which requests a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbs {
    /// Only this one.
    One(Verb),
    /// Whatever changes something.
    Writes,
    /// Whatever does not.
    Reads,
    /// All.
    Any,
}

impl Verbs {
    fn cover(self, verb: Verb) -> bool {
        match self {
            Self::One(one) => one == verb,
            Self::Writes => verb.writes(),
            Self::Reads => !verb.writes(),
            Self::Any => true,
        }
    }
}

/// How a request goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is answered with this status and nothing is done.
    Refuse(u16),
    /// It is done and then answered with this status.
    DoThenRefuse(u16),
    /// Nothing is done and the connection is torn.
    Tear,
    /// It is done and then the connection is torn.
    DoThenTear,
    /// It is done after this long.
    Delay(Duration),
}

/// A fault that is waiting for requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which verbs it is for.
    pub verbs: Verbs,
    /// The plural name of the resource, `None` for all.
    pub resource: Option<&'static str>,
    /// How many requests it befalls.
    pub times: u32,
    /// What happens to them.
    pub effect: Effect,
}

impl Fault {
    /// Returns a fault for the next write of any resource.
    pub fn next_write(effect: Effect) -> Self {
        Self { verbs: Verbs::Writes, resource: None, times: 1, effect }
    }
}

/// The faults that wait and the requests that came.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    waiting: Vec<Fault>,
    seen: BTreeMap<(Verb, &'static str), u64>,
}

impl Ledger {
    /// Adds a fault behind those that wait already.
    pub(super) fn inject(&mut self, fault: Fault) {
        self.waiting.push(fault);
    }

    /// Drops all faults.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Counts a request and returns what befalls it.
    pub(super) fn meet(&mut self, verb: Verb, resource: &'static str) -> Option<Effect> {
        *self.seen.entry((verb, resource)).or_default() += 1;
        let fault = self
            .waiting
            .iter_mut()
            .find(|fault| fault.verbs.cover(verb) && fault.resource.is_none_or(|wanted| wanted == resource))?;
        let effect = fault.effect;
        fault.times = fault.times.saturating_sub(1);
        self.waiting.retain(|fault| fault.times > 0);
        Some(effect)
    }

    /// Returns how many requests of that verb and resource came.
    pub(super) fn count(&self, verb: Verb, resource: &str) -> u64 {
        self.seen.iter().filter(|((v, r), _)| *v == verb && *r == resource).map(|(_, count)| count).sum()
    }

    /// Returns how many requests that change something came.
    pub(super) fn writes(&self) -> u64 {
        self.seen.iter().filter(|((verb, _), _)| verb.writes()).map(|(_, count)| count).sum()
    }

    /// Starts counting anew.
    pub(super) fn reset(&mut self) {
        self.seen.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_befalls_only_what_it_is_for_and_only_so_often() {
        let mut ledger = Ledger::default();
        let effect = Effect::Refuse(503);
        ledger.inject(Fault { verbs: Verbs::Writes, resource: Some("pods"), times: 2, effect });
        assert_eq!(ledger.meet(Verb::Get, "pods"), None);
        assert_eq!(ledger.meet(Verb::Patch, "services"), None);
        assert_eq!(ledger.meet(Verb::Patch, "pods"), Some(effect));
        assert_eq!(ledger.meet(Verb::Delete, "pods"), Some(effect));
        assert_eq!(ledger.meet(Verb::Patch, "pods"), None);
        assert_eq!(ledger.count(Verb::Patch, "pods"), 2);
        assert_eq!(ledger.writes(), 4);
    }
}
