//! Make-before-break: which one edit of a plan's two objects may be written now.
//!
//! ```text
//!   DestinationRule with subsets added ─► proxies have it ─► VirtualService ─► drained ─► subsets removed
//! ```

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    desired,
    edit::{Edit, ObjectKind},
    json::items,
    lens::{self, is_host, spec},
    patch::{Marks, Owned, destinations_edit, route_edit},
    seal::{broken_by, seal_edit},
};
use crate::plan::{Routing, Traffic, Version, VersionName};

/// What is live and what is meant, at one instant.
#[derive(Clone, Copy, Debug)]
pub struct OrderView<'a> {
    /// The live VirtualService.
    pub virtual_service: Option<&'a Value>,
    /// The live DestinationRule.
    pub destination_rule: Option<&'a Value>,
    /// The routing that is meant.
    pub routing: &'a Routing,
    /// The traffic that is meant.
    pub traffic: &'a Traffic,
    /// The subsets that are meant: the plan's versions and those that a way back needs.
    pub subsets: &'a [Version],
    /// What of the DestinationRule tidegate made.
    pub owned: &'a Owned,
    /// The VirtualService's own marks.
    pub route_marks: &'a Marks,
    /// The DestinationRule's own marks.
    pub destination_marks: &'a Marks,
    /// When the proxies have the present DestinationRule, or when to look again whether they have.
    pub rule_taken_ms: i64,
    /// The instant, on the same clock.
    pub now_ms: i64,
    /// How long proxies are given to have a new DestinationRule.
    pub convergence_wait_ms: i64,
    /// Whether the VirtualService has converged and its old destinations have drained.
    pub may_remove: bool,
    /// Whether a write of the VirtualService as it is may still be done, unknown to anybody.
    pub route_late: bool,
    /// The subsets that such a write of the DestinationRule would take away or define otherwise.
    pub leaving: &'a BTreeSet<VersionName>,
}

/// What may be done now.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Write this, then look again.
    Write(Edit),
    /// The same, for an edit that changes nothing but makes stale what may still be done.
    Seal(Edit),
    /// Write nothing before an instant (law 13).
    Wait {
        /// When to look again.
        until_ms: i64,
        /// What is waited for.
        what: &'static str,
    },
    /// Both objects are as meant, or as far as `may_remove` allows.
    Nothing,
}

/// The next write: subsets are added before routes refer to them and dropped after no route does. A change of the
/// routes that needs nothing new of the DestinationRule stands first, so that a way back waits for nothing.
pub fn next(view: &OrderView<'_>) -> Next {
    let destinations = |owned: &Owned, marks: &Marks| {
        destinations_edit(view.destination_rule, view.routing, view.subsets, owned, marks)
    };
    // Another policy needs no drain; a subset does.
    let nothing_removed = Owned { subsets: BTreeSet::new(), traffic_policy: view.owned.traffic_policy };
    let route = route_edit(view.virtual_service, view.routing, view.traffic, view.route_marks).map(|edit| {
        let needed = desired::referenced(view.routing, view.traffic);
        (edit, view.obstacle(&needed), view.defines(&needed))
    });
    let may_lead = matches!(route, Some((_, None, true)));
    #[cfg(test)]
    if crate::sabotage::is(crate::sabotage::Sabotage::SubsetsBeforeWeights)
        && let Some(edit) = destinations(view.owned, view.destination_marks)
    {
        return Next::Write(edit);
    }
    if !may_lead {
        if destinations(&nothing_removed, &Marks::default()).is_some()
            && let Some(edit) = destinations(&nothing_removed, view.destination_marks)
        {
            return view.unless_late(edit);
        }
        if let Some(seal) = view.keeps_leaving() {
            return Next::Seal(seal);
        }
    }
    if let Some((edit, obstacle, _)) = route {
        return obstacle.unwrap_or(Next::Write(edit));
    }
    let removable =
        if view.may_remove { Owned { subsets: view.removable(), ..nothing_removed } } else { nothing_removed };
    destinations(&removable, view.destination_marks).map_or(Next::Nothing, |edit| view.unless_late(edit))
}

impl OrderView<'_> {
    /// What stands between routes to these subsets and proxies that can serve them.
    fn obstacle(&self, needed: &BTreeSet<&str>) -> Option<Next> {
        let served = self.virtual_service.map(|live| lens::referenced(live, &self.routing.service, true));
        let served = served.unwrap_or_default();
        let defined: BTreeSet<&str> =
            self.destination_rule.map(|live| lens::subsets(live).collect()).unwrap_or_default();
        let mut added = needed.difference(&served).peekable();
        added.peek()?;
        if added.any(|subset| !defined.contains(subset)) {
            let until_ms = self.now_ms.saturating_add(self.convergence_wait_ms);
            return Some(Next::Wait { until_ms, what: "a subset that the routes need and no version defines" });
        }
        let what = "the proxies to have the DestinationRule's new subsets";
        (self.now_ms < self.rule_taken_ms).then_some(Next::Wait { until_ms: self.rule_taken_ms, what })
    }

    /// An edit of the DestinationRule; before one that takes a subset away, a VirtualService to which a route to it may
    /// still be written is sealed.
    fn unless_late(&self, edit: Edit) -> Next {
        let breaks = || self.destination_rule.is_some_and(|live| !broken_by(&edit, live).is_empty());
        let route = self.virtual_service.filter(|_| self.route_late && breaks());
        let seal = route.and_then(|live| seal_edit(ObjectKind::VirtualService, live));
        seal.map_or(Next::Write(edit), Next::Seal)
    }

    /// The seal of a DestinationRule that may still lose a subset which is meant to be there.
    fn keeps_leaving(&self) -> Option<Edit> {
        let leaves = |version: &Version| self.leaving.contains(&version.name);
        let rule = self.destination_rule.filter(|_| self.subsets.iter().any(leaves))?;
        seal_edit(ObjectKind::DestinationRule, rule)
    }

    /// Whether the live DestinationRule defines these subsets as they are meant, and will.
    fn defines(&self, needed: &BTreeSet<&str>) -> bool {
        let Some(live) = self.destination_rule else { return false };
        let host = spec(live, "host").and_then(Value::as_str);
        let subsets = items(spec(live, "subsets"));
        host.is_some_and(|host| is_host(host, lens::namespace(live), &self.routing.service))
            && needed.iter().all(|name| {
                if self.leaving.iter().any(|leaving| leaving.as_str() == *name) {
                    return false;
                }
                let meant = self.subsets.iter().find(|version| version.name.as_str() == *name);
                let live = subsets.iter().find(|subset| subset.get("name").and_then(Value::as_str) == Some(name));
                live.is_some_and(|live| meant.is_none_or(|meant| desired::is_subset(live, meant)))
            })
    }

    /// The owned subsets to which no route refers any more.
    fn removable(&self) -> BTreeSet<VersionName> {
        let served = self.virtual_service.map(|live| lens::referenced(live, &self.routing.service, false));
        let served = served.unwrap_or_default();
        self.owned.subsets.iter().filter(|name| !served.contains(name.as_str())).cloned().collect()
    }
}
