//! What failed and is not tried again, and what is: content that did not serve is known by its versions and target,
//! content that was refused by its routing too.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::plan::{Digest, Plan, Traffic, VersionName};

use super::{Cause, Images, Journal};

/// Failed keys kept, so that failed content is not tried again.
pub const FAILED_MAX: usize = 10;

/// Content that failed and is not tried again: the target with the digests of its rising versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedKey {
    /// The target T.
    pub target: Traffic,
    /// The rising versions.
    pub versions: BTreeMap<VersionName, Digest>,
    /// `attempt` of the plan.
    #[serde(default = "Plan::first_attempt")]
    pub attempt: u32,
    /// The routing, where it takes another one to try again: nothing rises, or it is the routing that was refused. None:
    /// the versions did not serve, whatever the routing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<Digest>,
    /// What the pods of the rising versions ran, where that is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<VersionName, Images>,
}

/// What is tried again after content failed, beside a raised `attempt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Any other document: the content has not failed, a person stopped it.
    Document,
    /// Another routing, and all that is another content.
    Routing,
    /// Another target, or another version.
    Content,
}

impl FailedKey {
    /// The identity of a plan's content with the versions that it would raise, when it failed for that cause.
    fn of(plan: &Plan, rising: &BTreeSet<VersionName>, cause: &Cause) -> Self {
        let versions =
            rising.iter().filter_map(|name| plan.routing.version(name)).map(|v| (v.name.clone(), v.digest())).collect();
        let by_routing = rising.is_empty() || cause.is_refusal();
        let routing = by_routing.then(|| plan.routing.digest());
        Self { target: plan.traffic.clone(), versions, attempt: plan.attempt, routing, images: BTreeMap::new() }
    }

    /// Whether a plan that would raise these versions is what failed, by images that are not known to be others.
    pub fn covers(
        &self,
        plan: &Plan,
        rising: &BTreeSet<VersionName>,
        run: impl Fn(&VersionName) -> Option<Images>,
    ) -> bool {
        let same = |(name, images): (&VersionName, &Images)| run(name).is_none_or(|seen| images.cover(&seen));
        rising.iter().eq(self.versions.keys())
            && self.is_in(plan)
            && self.has_routing(plan)
            && self.images.iter().all(same)
    }

    /// Whether target, attempt and the versions that rose are those of the plan.
    fn is_in(&self, plan: &Plan) -> bool {
        let stands = |(name, digest): (&VersionName, &Digest)| {
            plan.routing.version(name).is_some_and(|version| version.digest() == *digest)
        };
        self.target == plan.traffic && self.attempt == plan.attempt && self.versions.iter().all(stands)
    }

    fn has_routing(&self, plan: &Plan) -> bool {
        self.routing.as_ref().is_none_or(|routing| *routing == plan.routing.digest())
    }
}

impl Journal {
    /// Whether this very content has failed before.
    pub fn has_failed(
        &self,
        plan: &Plan,
        rising: &BTreeSet<VersionName>,
        run: impl Fn(&VersionName) -> Option<Images>,
    ) -> bool {
        self.failed.iter().any(|key| key.covers(plan, rising, &run))
    }

    /// Whether a plan is the content that failed, and at whose failure everything stays as it is.
    pub(super) fn is_held_at(
        &self,
        plan: &Plan,
        rising: &BTreeSet<VersionName>,
        run: impl Fn(&VersionName) -> Option<Images>,
    ) -> bool {
        let own = |key: &FailedKey| key.covers(&self.plan, &self.rising, |name| self.under_test(name));
        let both = |key: &FailedKey| own(key) && key.covers(plan, rising, &run);
        self.failure.is_some() && self.failed.iter().any(both)
    }

    /// Keeps the present content from being tried again. What was refused gives way to what did not serve: however
    /// often a routing is mended, no bad version is forgotten for it.
    pub(super) fn remember_failure(&mut self, cause: &Cause) {
        let mut key = FailedKey::of(&self.plan, &self.rising, cause);
        key.images = key.versions.keys().filter_map(|name| Some((name.clone(), self.under_test(name)?))).collect();
        self.failed.retain(|there| *there != key);
        while self.failed.len() >= FAILED_MAX {
            let refused = self.failed.iter().position(|there| there.routing.is_some());
            self.failed.remove(refused.unwrap_or(0));
        }
        self.failed.push(key);
    }

    /// What of the plan in force would be tried again.
    pub(super) fn retry(&self) -> Retry {
        let of_it = |key: &&FailedKey| key.is_in(&self.plan) && key.has_routing(&self.plan);
        let by_routing: Vec<bool> = self.failed.iter().filter(of_it).map(|key| key.routing.is_some()).collect();
        match by_routing.as_slice() {
            [] => Retry::Document,
            [..] if by_routing.contains(&false) => Retry::Content,
            [..] => Retry::Routing,
        }
    }
}

impl std::fmt::Display for Retry {
    /// What to commit, as the end of a sentence.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Document => "any other document of the plan is tried",
            Self::Routing => {
                "other routing is tried (`http`, `match`, pins, hosts, gateways, policies), as is another version, another \
                 target or a raised `attempt`"
            }
            Self::Content => {
                "another version, another `build`, another target or a raised `attempt` is tried, other routing alone is not"
            }
        })
    }
}
