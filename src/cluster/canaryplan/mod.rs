//! The CanaryPlan custom resource: what `kubectl get canaryplans` shows of a plan, written and never read for decisions.

mod definition;
mod list;
mod write;

pub use definition::canaryplan_definition;
pub use list::{canaryplans, list_canaryplans};
pub use write::{remove_canaryplan, write_canaryplan};

use std::hash::{DefaultHasher, Hasher as _};

use jiff::Timestamp;
use kube::api::Api;
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Map, Value, json};

use super::{Cluster, untyped::Untyped};
use crate::plan::PlanKey;
use crate::rollout::{MANAGED_BY, OWNER};

const GROUP: &str = "tidegate.dev";
const VERSION: &str = "v1alpha1";
const KIND: &str = "CanaryPlan";
const PLURAL: &str = "canaryplans";

/// The conditions of a resource, in the order in which they are written.
pub const CONDITIONS: [&str; 3] = ["Ready", "Reconciling", "Stalled"];

/// What the resource of a plan should say.
#[derive(Clone, Debug, PartialEq)]
pub struct CanaryPlan {
    /// Namespace and name, the plan's own.
    pub key: PlanKey,
    /// `repository/namespace/name`.
    pub owner: String,
    /// The plan in force; an empty map where none is.
    pub spec: Value,
    /// The status without conditions and generation.
    pub status: Map<String, Value>,
    /// One for each of [`CONDITIONS`].
    pub conditions: [Condition; 3],
}

/// Whether something holds of the plan, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it holds.
    pub holds: bool,
    /// A stable word.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
}

/// What is remembered of a resource that is there: enough to tell whether another write would change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    uid: Box<str>,
    generation: i64,
    spec: u64,
    status: u64,
    since: [Option<(bool, Timestamp)>; 3],
}

/// What came of writing, removing or listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published<T> {
    /// Done.
    Done(T),
    /// A resource of that name was made by somebody else, and stays as it is.
    Foreign,
    /// The plan's namespace does not exist.
    NoNamespace,
    /// The cluster has no such resource, or this account may not write it: all of them wait.
    Off(String),
    /// The server refuses this one; trying the same again will not help.
    Rejected(String),
    /// It may have been done; to be tried again.
    Unknown(String),
}

impl<T> Published<T> {
    /// The same with another value where it is done.
    pub fn map<U>(self, done: impl FnOnce(T) -> U) -> Published<U> {
        match self {
            Self::Done(value) => Published::Done(done(value)),
            Self::Foreign => Published::Foreign,
            Self::NoNamespace => Published::NoNamespace,
            Self::Off(why) => Published::Off(why),
            Self::Rejected(why) => Published::Rejected(why),
            Self::Unknown(why) => Published::Unknown(why),
        }
    }
}

impl CanaryPlan {
    /// Whether what is there says the same already.
    pub fn is(&self, written: &Written) -> bool {
        fingerprint(&self.spec) == written.spec && self.status_fingerprint() == written.status
    }

    fn status_fingerprint(&self) -> u64 {
        fingerprint(&self.whole_status(None, |_, _| None))
    }

    /// The status to be written; `since` tells when a condition changed last.
    fn whole_status(&self, generation: Option<i64>, since: impl Fn(usize, bool) -> Option<Timestamp>) -> Value {
        let mut status = self.status.clone();
        let conditions = CONDITIONS.iter().zip(&self.conditions).enumerate().map(|(place, (kind, condition))| {
            let holds = if condition.holds { "True" } else { "False" };
            let mut fields =
                json!({"type": kind, "status": holds, "reason": condition.reason, "message": condition.message});
            if let (Some(generation), Some(since), Some(fields)) =
                (generation, since(place, condition.holds), fields.as_object_mut())
            {
                fields.insert("observedGeneration".to_owned(), json!(generation));
                fields.insert("lastTransitionTime".to_owned(), json!(since));
            }
            fields
        });
        status.insert("conditions".to_owned(), conditions.collect());
        if let Some(generation) = generation {
            status.insert("observedGeneration".to_owned(), json!(generation));
        }
        Value::Object(status)
    }
}

impl Written {
    /// What a live resource says; none where it is none of this owner's.
    fn of(live: &Value, owner: &str) -> Option<Self> {
        (is_ours(live) && owner_of(live) == Some(owner)).then(|| Self::read(live)).flatten()
    }

    fn read(live: &Value) -> Option<Self> {
        let generation = live.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
        let mut status = live.get("status").cloned().unwrap_or_default();
        let mut since = [None; 3];
        let observed = |part: &Value| part.get("observedGeneration").and_then(Value::as_i64) == Some(generation);
        let mut current = observed(&status);
        for condition in status.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
            current &= observed(condition);
            let kind = condition.get("type").and_then(Value::as_str);
            let holds = condition.get("status").and_then(Value::as_str) == Some("True");
            let at = condition.get("lastTransitionTime").and_then(Value::as_str).and_then(|at| at.parse().ok());
            if let Some(place) = CONDITIONS.iter().position(|known| Some(*known) == kind)
                && let Some(slot) = since.get_mut(place)
            {
                *slot = at.map(|at: Timestamp| (holds, at));
            }
            if let Some(fields) = condition.as_object_mut() {
                fields.retain(|field, _| field != "observedGeneration" && field != "lastTransitionTime");
            }
        }
        if let Some(fields) = status.as_object_mut() {
            fields.remove("observedGeneration");
        }
        Some(Self {
            uid: live.pointer("/metadata/uid")?.as_str()?.into(),
            generation,
            spec: live.get("spec").map_or(0, fingerprint),
            status: if current { fingerprint(&status) } else { 0 },
            since,
        })
    }
}

fn is_ours(live: &Value) -> bool {
    let labels = live.pointer("/metadata/labels");
    labels.and_then(|labels| labels.get(MANAGED_BY.0)).and_then(Value::as_str) == Some(MANAGED_BY.1)
}

fn owner_of(live: &Value) -> Option<&str> {
    live.pointer("/metadata/annotations")?.get(OWNER)?.as_str()
}

/// A short identity of a value: it is only ever compared with the last one of the same resource.
fn fingerprint(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    // Canonical form fails on numbers that are not finite, which a JSON value cannot hold.
    hasher.write(&serde_json_canonicalizer::to_vec(value).unwrap_or_default());
    hasher.finish()
}

fn api_of(cluster: &Cluster, namespace: &str) -> Api<Untyped> {
    Api::namespaced_with(cluster.client().clone(), namespace, &resource())
}

fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, KIND), PLURAL)
}
