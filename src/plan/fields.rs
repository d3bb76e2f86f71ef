//! The tables of fields, and that of a `CanaryPlan`: the reader, "did you mean" and the JSON Schema follow it.

use super::node::{Content, Node};

/// What a value must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    Flag,
    Whole {
        min: i64,
        max: i64,
    },
    Duration,
    /// A number from 0 to 10 with at most two decimals.
    Factor,
    /// A share like `50%`.
    Percent,
    Object(&'static [Field]),
    List(&'static Shape),
    /// A map whose keys are names that the plan chooses.
    Named(&'static Shape),
    /// A map of Istio's.
    Istio,
    /// One of two kinds of value.
    Either(&'static Shape, &'static Shape),
}

impl Shape {
    /// Whether a value is of this kind, right or wrong.
    pub(crate) fn is_for(&self, node: &Node) -> bool {
        match self {
            Self::Object(_) | Self::Named(_) | Self::Istio => node.is_map(),
            Self::List(_) => matches!(node.content, Content::List(_)),
            _ => node.text().is_some(),
        }
    }
}

/// Whether a field may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Required,
    Optional,
    /// Known, but not supported by this version.
    Later,
}

/// A field of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) status: Status,
    pub(crate) shape: Shape,
}

pub(crate) const fn required(name: &'static str, shape: Shape, about: &'static str) -> Field {
    Field { name, about, status: Status::Required, shape }
}

pub(crate) const fn optional(name: &'static str, shape: Shape, about: &'static str) -> Field {
    Field { name, about, status: Status::Optional, shape }
}

const fn later(name: &'static str, about: &'static str) -> Field {
    Field { name, about, status: Status::Later, shape: Shape::Istio }
}

/// The apiVersion of a plan.
pub(crate) const API_VERSION: &str = "tidegate.dev/v1alpha1";
/// The kind of a plan.
pub(crate) const KIND: &str = "CanaryPlan";
/// Kinds of tidegate that are not supported by this version.
pub(crate) const LATER_KINDS: [&str; 2] = ["Freeze", "Strategy"];

pub(crate) const TEXTS: Shape = Shape::List(&Shape::Text);
pub(crate) const LABELS: Shape = Shape::Named(&Shape::Text);
const MATCHES: Shape = Shape::List(&Shape::Istio);
const WEIGHTS: Shape = Shape::Named(&Shape::Whole { min: 0, max: 100 });

/// The fields of a whole document.
pub(crate) const PLAN: &[Field] = &[
    required("apiVersion", Shape::Text, "always `tidegate.dev/v1alpha1`"),
    required("kind", Shape::Text, "always `CanaryPlan`"),
    required("metadata", Shape::Object(METADATA), "name and namespace of the plan"),
    required("spec", Shape::Object(SPEC), "what traffic the plan asks for, and how to get there"),
];

const METADATA: &[Field] = &[
    required("name", Shape::Text, "the plan's name, unique in its namespace"),
    optional("namespace", Shape::Text, "the namespace of the plan and of all it makes; default: `default`"),
    optional("labels", LABELS, "labels for people and tools; tidegate ignores them"),
    optional("annotations", LABELS, "annotations for people and tools; tidegate ignores them"),
];

const SPEC: &[Field] = &[
    required("service", Shape::Text, "the Kubernetes Service in front of every version"),
    optional("port", PORT, "the Service's port; needed when it has more than one"),
    optional("hosts", TEXTS, "hosts of the VirtualService; default: the service"),
    optional("gateways", TEXTS, "`mesh`, `name` or `namespace/name`; default: mesh"),
    required("versions", Shape::Named(&Shape::Object(VERSION)), "the versions; become subsets of the same names"),
    optional("trafficPolicy", Shape::Istio, "Istio TrafficPolicy for the whole DestinationRule"),
    optional(
        "routes",
        Shape::List(&Shape::Object(ROUTE)),
        "routes, all with the same weights; default: one of all requests",
    ),
    optional("match", MATCHES, "Istio HTTPMatchRequests of the only route"),
    optional("http", Shape::Istio, "other Istio HTTPRoute fields of the only route"),
    optional("name", Shape::Text, "name of the only route; default: the service's"),
    optional(
        "pins",
        Shape::List(&Shape::Object(PIN)),
        "requests that go to one version whatever the weights, in order",
    ),
    optional("from", WEIGHTS, "what callers get today, where no route is live yet"),
    required("traffic", WEIGHTS, "the target: percent of all requests per version, 100 in all"),
    optional(
        "steps",
        Shape::List(&Shape::Object(STEP)),
        "the only weights to pass through on the way up; without: at once",
    ),
    optional("settle", Shape::Object(SETTLE), "what the target itself must pass"),
    optional("objects", Shape::Object(OBJECTS), "names and visibility of the Istio objects"),
    optional("takeOwnership", Shape::Flag, "take over a VirtualService that nobody labelled"),
    optional("prune", Shape::Flag, "delete the objects when the settled plan is removed"),
    optional(
        "driftPolicy",
        Shape::Choice(&["correct", "warn"]),
        "what becomes of changes that no commit asked for: put back, or told; default: correct",
    ),
    optional(
        "onFailure",
        Shape::Choice(&["rollback", "hold"]),
        "what becomes of traffic when a step fails: back to the last settled state, or it stays; default: rollback",
    ),
    optional("waves", Shape::List(&TEXTS), "clusters in the order in which they enter each step; default: all at once"),
    optional(
        "barrier",
        Shape::Either(&Shape::Choice(&["all"]), &Shape::Object(QUORUM)),
        "how many clusters have to answer for a step to begin: `all`, or a quorum; default: all",
    ),
    optional(
        "onPartial",
        Shape::Choice(&["rollback-all", "rollback-failed", "hold"]),
        "what becomes of traffic when a step fails in some clusters alone; default: rollback-all",
    ),
    optional("attempt", ATTEMPT, "raised to try failed content again; default: 1"),
    optional(
        "progressDeadline",
        Shape::Duration,
        "how long a walk may wait for ready endpoints before it has failed; default: 10m",
    ),
    optional("ready", Shape::Object(READY), "the endpoints that a version needs before it gains weight"),
    optional("wayBack", Shape::Object(WAY_BACK), "what must be left of the way back before anything rises"),
    optional(
        "clusters",
        Shape::Either(&TEXTS, &Shape::Object(SELECTOR)),
        "the clusters that the plan goes to: their names, or labels of theirs; default: all",
    ),
    optional("pause", Shape::Flag, "nothing rises; going back and drift repair go on"),
    optional("suspend", Shape::Flag, "write nothing at all, and alarm"),
    later("adopt", "change the weights of an object that somebody else owns"),
    later("router", "split by replicas instead of weights"),
    later("mirror", "copy requests to a version"),
    later("checks", "metrics that must hold"),
    later("windows", "times at which weights may rise"),
    later("approved", "approvals by people"),
    later("stickiness", "keep callers on their version"),
    later("until", "when the plan ends"),
    later("after", "plans that must have settled before"),
    later("strategy", "steps and gates shared by many plans"),
    later("versionLabel", "the label that tells versions apart"),
];

const QUORUM: &[Field] =
    &[required("quorum", Shape::Whole { min: 1, max: 1_000 }, "so many clusters, of each wave at least one")];

const ATTEMPT: Shape = Shape::Whole { min: 1, max: 1_000_000 };
const PORT: Shape = Shape::Whole { min: 1, max: 65_535 };

const VERSION: &[Field] = &[
    // The reader says more about versions without labels than that a field is missing.
    optional("labels", LABELS, "pod labels that select the version; required, never empty"),
    optional("trafficPolicy", Shape::Istio, "Istio TrafficPolicy of the subset"),
    optional("build", Shape::Text, "what runs behind the labels, for those who re-use them"),
    later("service", "a Service of the version's own"),
];

const ROUTE: &[Field] = &[
    optional("name", Shape::Text, "the route's name; default: the service's"),
    optional("match", MATCHES, "Istio HTTPMatchRequests; default: every request"),
    optional("http", Shape::Istio, "other Istio HTTPRoute fields"),
    optional("hosts", TEXTS, "hosts of this route; default: those of the plan"),
    optional("gateways", TEXTS, "gateways of this route; default: those of the plan"),
];

const PIN: &[Field] = &[
    required("name", Shape::Text, "the pin's name"),
    required("match", MATCHES, "Istio HTTPMatchRequests, each ANDed with those of the routes"),
    required("to", Shape::Text, "the version that serves them"),
];

const STEP: &[Field] = &[
    optional("name", Shape::Text, "a name for people"),
    required("weight", Shape::Whole { min: 0, max: 99 }, "percent that the rising versions get together"),
    optional(
        "hold",
        Shape::Duration,
        "how long the weight must have been converged; required: `0s` says so on purpose",
    ),
    later("pins", "pins of the step"),
    later("http", "HTTPRoute fields of the step"),
    later("traffic", "traffic of the step"),
    later("mirror", "mirroring in the step"),
    later("checks", "metrics that must hold in the step"),
    later("windows", "times at which the step may be entered"),
    later("approval", "approval of the step"),
];

const SETTLE: &[Field] = &[
    optional("hold", Shape::Duration, "how long the target must have been converged; default: the last step's hold"),
    later("checks", "metrics that must hold at the target"),
];

const READY: &[Field] = &[
    optional("minEndpoints", Shape::Whole { min: 1, max: 1_000_000 }, "ready endpoints, in every cluster; default: 1"),
    optional(
        "capacityFactor",
        Shape::Factor,
        "its share of the endpoints that served everything when the walk began, times this; default: 0, any",
    ),
];

const WAY_BACK: &[Field] = &[optional(
    "minReady",
    Shape::Percent,
    "ready endpoints of each version that a failure goes back to, of those at the start of the walk; default: 50%",
)];

const SELECTOR: &[Field] =
    &[required("matchLabels", LABELS, "labels that the clusters have in tidegate's configuration, all of them")];

const OBJECTS: &[Field] = &[
    optional("virtualService", Shape::Object(OBJECT), "the VirtualService"),
    optional("destinationRule", Shape::Object(OBJECT), "the DestinationRule"),
];

const OBJECT: &[Field] = &[
    optional("name", Shape::Text, "the object's name; default: the service's"),
    optional("exportTo", TEXTS, "namespaces that see the object, as Istio has it"),
];
