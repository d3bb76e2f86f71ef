//! What a plan says, once it is known to be valid.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Chosen, Digest, Host, ObjectKey, PlanKey, Span, Traffic, VersionName};

/// One accepted `CanaryPlan` document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Namespace and name.
    pub key: PlanKey,
    /// Identity of the document as written, before defaults.
    pub digest: Digest,
    /// Everything that is rendered, apart from the weights.
    pub routing: Routing,
    /// The target T: where this commit wants the traffic.
    pub traffic: Traffic,
    /// The only weights to pass through on the way up, ascending; empty: at once.
    pub steps: Vec<Step>,
    /// Hold time that the target itself must pass.
    pub settle: Span,
    /// What callers get today, where no route is live yet.
    pub from: Option<Traffic>,
    /// Whether a VirtualService that nobody labelled may be taken over.
    pub take_ownership: bool,
    /// Whether the objects go when the settled plan is removed.
    pub prune: bool,
    /// What becomes of changes that no commit asked for.
    #[serde(default)]
    pub drift: DriftPolicy,
    /// What becomes of traffic when a step fails.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// What becomes of it when a step fails in some clusters alone.
    #[serde(default)]
    pub on_partial: OnPartial,
    /// The order in which clusters enter each step; fewer than two: all at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<Vec<String>>,
    /// How many clusters have to answer for a step to begin; none: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<u32>,
    /// Raised to try failed content again.
    #[serde(default = "Plan::first_attempt")]
    pub attempt: u32,
    /// How long a version that is to gain weight may lack endpoints, once something was raised.
    #[serde(default = "Plan::usual_progress_deadline")]
    pub progress_deadline: Span,
    /// The endpoints that versions need before anything rises.
    #[serde(default)]
    pub readiness: Readiness,
    /// Nothing rises; going back and drift repair go on; holds count.
    pub pause: bool,
    /// Nothing at all is written.
    pub suspend: bool,
    /// The clusters that it goes to.
    #[serde(default, skip_serializing_if = "Chosen::is_all")]
    pub clusters: Chosen,
}

impl Plan {
    /// `attempt` where it is left out.
    pub const fn first_attempt() -> u32 {
        1
    }

    /// `progressDeadline` where it is left out.
    pub const fn usual_progress_deadline() -> Span {
        Span::from_seconds(600)
    }

    /// The VirtualService that carries the weights.
    pub fn object(&self) -> ObjectKey {
        ObjectKey { namespace: self.key.namespace.clone(), name: self.routing.virtual_service.name.clone() }
    }
}

/// What becomes of changes that no commit asked for, as far as they can expose callers to nothing unproven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DriftPolicy {
    /// They are put back.
    #[default]
    Correct,
    /// They are told, and nothing rises while they stand.
    Warn,
}

/// What becomes of traffic when a step fails. A stop is no failure: it always goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnFailure {
    /// It goes back, and the plan's document is restored.
    #[default]
    Rollback,
    /// It stays, and nothing rises.
    Hold,
}

/// What becomes of traffic when a step fails in some of the clusters that have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnPartial {
    /// It is a failure of the step like any other: all clusters go back.
    #[default]
    RollbackAll,
    /// Those in which it failed go back, the others stay, and nothing rises.
    RollbackFailed,
    /// All stay where they are, and nothing rises.
    Hold,
}

/// The endpoints that versions need before anything rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// Ready endpoints of a version that gains weight, at least 1.
    pub min_endpoints: u32,
    /// Its share of the endpoints that served everything when the walk began, times this many percent; 0: any.
    pub capacity_percent: u16,
    /// Ready endpoints of each version of the way back, in percent of those at the start of the walk.
    pub way_back_percent: u8,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { min_endpoints: 1, capacity_percent: 0, way_back_percent: 50 }
    }
}

/// What a plan renders, apart from weights: the same routing with other traffic differs in weights alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routing {
    /// Namespace of all objects.
    pub namespace: String,
    /// The Service in front of every version.
    pub service: Host,
    /// The Service's port, written to every destination if given.
    pub port: Option<u16>,
    /// The versions in plan order; never empty, names distinct.
    pub versions: Vec<Version>,
    /// Istio `TrafficPolicy` for the whole DestinationRule.
    pub traffic_policy: Option<Value>,
    /// At least one route; all carry the same weights.
    pub routes: Vec<Route>,
    /// Requests that go to one version whatever the weights, in order, before the routes.
    pub pins: Vec<Pin>,
    /// Name and visibility of the VirtualService.
    pub virtual_service: ObjectSpec,
    /// Name and visibility of the DestinationRule.
    pub destination_rule: ObjectSpec,
}

impl Routing {
    /// The version of that name.
    pub fn version(&self, name: &VersionName) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == *name)
    }

    /// Identity of the routing.
    pub fn digest(&self) -> Digest {
        Digest::of(self)
    }
}

/// One version: a DestinationRule subset of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The subset's name.
    pub name: VersionName,
    /// Pod labels that select it; never empty (an empty selector takes every endpoint).
    pub labels: BTreeMap<String, String>,
    /// Istio `TrafficPolicy` of the subset.
    pub traffic_policy: Option<Value>,
    /// What runs behind the labels, for those who re-use them.
    pub build: Option<String>,
}

impl Version {
    /// Identity of what was proven: labels, policy and build. Another digest is another, unproven version.
    pub fn digest(&self) -> Digest {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Proven<'a> {
            labels: &'a BTreeMap<String, String>,
            traffic_policy: &'a Option<Value>,
            build: &'a Option<String>,
        }
        // Each decision asks for those of the same few versions, and hashing one costs as much as all the rest.
        thread_local!(static LAST: RefCell<VecDeque<(Version, Digest)>> = const { RefCell::new(VecDeque::new()) });
        let Self { labels, traffic_policy, build, .. } = self;
        LAST.with_borrow_mut(|last| {
            let same = |there: &Self| {
                there.labels == *labels && there.build == *build && there.traffic_policy == *traffic_policy
            };
            if let Some((_, digest)) = last.iter().find(|(there, _)| same(there)) {
                return digest.clone();
            }
            let digest = Digest::of(&Proven { labels, traffic_policy, build });
            last.truncate(DIGESTS_KEPT - 1);
            last.push_front((self.clone(), digest.clone()));
            digest
        })
    }
}

/// For the versions of a plan or two; none is kept for what stands.
const DIGESTS_KEPT: usize = 8;

/// One `http` route of the VirtualService that carries the weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The route's name, seen in Envoy's dumps and access logs.
    pub name: String,
    /// Hosts as written; never empty.
    pub hosts: Vec<String>,
    /// Gateways as written (`mesh`, `name` or `namespace/name`); never empty.
    pub gateways: Vec<String>,
    /// Istio `HTTPMatchRequest`s; empty: every request.
    pub matches: Vec<Map<String, Value>>,
    /// Any other fields of Istio's `HTTPRoute`, carried over as they stand.
    pub http: Map<String, Value>,
}

/// Requests that go to one version whatever the weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The rule's name.
    pub name: String,
    /// Istio `HTTPMatchRequest`s, never empty; each is ANDed with the matches of the route it stands before.
    pub matches: Vec<Map<String, Value>>,
    /// The version that serves them.
    pub to: VersionName,
}

/// One weight to pass through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// A name for people.
    pub name: Option<String>,
    /// Percent of all requests that the rising versions get together, 0 to 99.
    pub weight: u8,
    /// How long the weight must have been converged before the next.
    pub hold: Span,
}

/// Name and visibility of one Istio object of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSpec {
    /// The object's name.
    pub name: String,
    /// Istio's `exportTo`, where given; an empty list is one that is to be gone.
    pub export_to: Option<Vec<String>>,
}

/// A plain Istio object that stands beside the plans and is applied as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainObject {
    /// One of the kinds that are allowed beside plans.
    pub kind: String,
    /// Namespace and name.
    pub key: ObjectKey,
    /// The whole object as written.
    pub value: Value,
}
