//! How plans, repositories and clusters stand, as the JSON that `status -o json` and `/status` share, and its schema.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    cluster::Asking,
    plan::{Finding, ObjectKey, Plan, Revision, Severity, Traffic, VersionName},
    rollout::{Owner, Reason},
};

use super::{ClusterReport, FileReport, LeaseReport, PlanReport, Position, Report, RepositoryReport, RestoreState};

/// How one plan stands in one cluster.
pub struct Standing<'a> {
    /// The cluster's name.
    pub cluster: &'a str,
    /// The plan; none where a journal that cannot be read hides it.
    pub owner: Option<&'a Owner>,
    /// The VirtualService.
    pub route: &'a ObjectKey,
    /// The plan as Git has it, where Git was read: what is shown while there is no journal.
    pub plan: Option<(&'a Plan, &'a Revision)>,
    /// What was reached.
    pub position: Option<&'a Position>,
    /// What callers get.
    pub live: Option<&'a Traffic>,
    /// Ready endpoints that the versions of the way back have now, where that is known.
    pub way_back_ready: Option<&'a BTreeMap<VersionName, u32>>,
    /// Why it stands there; none before the first decision.
    pub reason: Option<&'a Reason>,
    /// How far the restore of the plan's document has come, where that is known.
    pub restoring: Option<&'a RestoreState>,
    /// When it moves next.
    pub next: Option<Timestamp>,
    /// Whether the plan was taken out of this cluster and is being let go there.
    pub leaves: bool,
}

impl Standing<'_> {
    /// One word on where the walk stands.
    pub fn phase(&self) -> &'static str {
        self.position.map_or(UNKNOWN, |position| position.phase.name())
    }

    /// Name and weight of the step that was entered, while walking.
    pub fn step(&self) -> Option<(Option<&str>, u8)> {
        let (name, weight) = self.position?.step.as_ref()?;
        Some((name.as_deref(), *weight))
    }

    /// The endpoints of the way back, when the walk began and now; `null` where nothing is raised.
    fn way_back_ready(&self) -> Value {
        let began = self.position.map(|position| &position.way_back_ready).filter(|began| !began.is_empty());
        let now = |name: &VersionName| self.way_back_ready.and_then(|ready| ready.get(name));
        let each =
            |(name, began): (&VersionName, &u32)| (name.to_string(), json!({"began": began, "ready": now(name)}));
        began.map_or(Value::Null, |began| Value::Object(began.iter().map(each).collect()))
    }

    /// What Git should say again; `null` where it says what it should.
    fn restore(&self) -> Value {
        let Some(restore) = self.position.and_then(|position| position.restore.as_deref()) else { return Value::Null };
        let state = self.restoring.unwrap_or(&RestoreState::Pending);
        json!({
            "to": restore.to,
            "undoes": restore.undoes,
            "reason": restore.reason,
            "state": state.name(),
            "message": state.to_string(),
        })
    }

    /// As an item of `plans`.
    pub fn json(&self) -> Value {
        let (position, plan) = (self.position, self.plan);
        let key = self.owner.map(|owner| &owner.plan);
        let reason = |reason: &Reason| json!({"name": reason.name(), "message": reason.to_string(), "needsAPerson": reason.needs_a_person(), "cluster": reason.cluster()});
        json!({
            "cluster": self.cluster,
            "namespace": key.map_or(&self.route.namespace, |key| &key.namespace),
            "name": key.map_or(&self.route.name, |key| &key.name),
            "repository": self.owner.map(|owner| &owner.repository),
            "virtualService": self.route.to_string(),
            "phase": self.phase(),
            "step": self.step().map(|(name, weight)| json!({"name": name, "weight": weight})),
            "risen": position.and_then(|position| position.risen).map(|(weight, of)| json!({"weight": weight, "of": of})),
            "target": position.map(|position| &position.plan.traffic).or(plan.map(|(plan, _)| &plan.traffic)),
            "desired": position.map(|position| &position.desired),
            "live": self.live,
            "revision": position.map(|position| &position.revision).or(plan.map(|(_, revision)| revision)),
            "reason": self.reason.map(reason),
            "next": self.next,
            "entered": position.map(|position| position.entered),
            "converged": position.and_then(|position| position.converged),
            "wave": self.position.and_then(|position| position.wave).map(|(reached, of, has)| json!({"reached": reached, "of": of, "here": has})),
            "wayBackReady": self.way_back_ready(),
            "imagesChanged": position.and_then(|position| position.images.as_deref()),
            "restore": self.restore(),
            "leaves": self.leaves,
        })
    }
}

/// The phase where no journal can be read.
const UNKNOWN: &str = "Unknown";

impl PlanReport {
    /// How it stands in each cluster.
    pub fn standings(&self) -> impl Iterator<Item = Standing<'_>> {
        self.reached.iter().map(|(cluster, reached)| Standing {
            cluster,
            owner: self.owner.as_ref(),
            route: &self.route,
            plan: self.plan.as_ref().map(|(plan, revision)| (&**plan, revision)),
            position: reached.position.as_deref(),
            live: reached.live.as_ref(),
            way_back_ready: Some(&reached.way_back_ready),
            reason: self.reason.as_ref(),
            restoring: self.restoring.as_ref(),
            next: self.next,
            leaves: reached.leaves,
        })
    }
}

impl RepositoryReport {
    /// As an item of `repositories`.
    pub fn json(&self) -> Value {
        let finding = |finding: &Finding| {
            json!({
                "code": finding.code,
                "severity": severity(finding.severity),
                "file": finding.place.as_ref().map(|place| &place.file),
                "message": finding.message,
            })
        };
        json!({
            "name": self.name,
            "branch": self.branch,
            "revision": self.revision,
            "lastLook": self.last_look,
            "error": self.error,
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
        })
    }
}

/// The severity as a word.
pub const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

impl ClusterReport {
    /// As an item of `clusters`.
    pub fn json(&self) -> Value {
        let Asking { istiods, nobody, gateways } = &self.asking;
        json!({
            "name": self.name,
            "labels": self.labels,
            "mesh": self.mesh,
            "role": self.role.name(),
            "synced": self.synced,
            "away": self.away,
            "awaySince": self.away_since,
            "answerMs": self.answer_ms,
            "istiods": istiods,
            "istiodsMissing": nobody,
            "gatewaysAsked": gateways,
        })
    }
}

impl LeaseReport {
    /// As `lease`.
    fn json(&self) -> Value {
        json!({"holder": self.holder.as_deref(), "leads": self.leads, "term": self.term})
    }
}

impl FileReport {
    fn json(&self) -> Value {
        json!({"file": self.path, "taken": self.taken, "error": self.error})
    }
}

impl Report {
    /// The document of `/status`.
    pub fn json(&self) -> Value {
        json!({
            "apiVersion": API_VERSION,
            "kind": KIND,
            "at": self.at,
            "ready": self.ready,
            "repositories": self.repositories.iter().map(RepositoryReport::json).collect::<Vec<_>>(),
            "lease": self.lease.as_ref().map(LeaseReport::json),
            "configuration": self.configuration.as_ref().map(FileReport::json),
            "clusters": self.clusters.iter().map(ClusterReport::json).collect::<Vec<_>>(),
            "plans": self.plans.iter().flat_map(PlanReport::standings).map(|plan| plan.json()).collect::<Vec<_>>(),
        })
    }
}

/// The clusters themselves that a status was read from.
pub enum ReadFrom<'a> {
    /// One, of this name.
    One(&'a str),
    /// Those of a configuration, and how each of them stands.
    Several(Vec<ClusterReport>),
}

/// The document of `tidegate status -o json`: items of `plans` and of `repositories`.
pub fn status_list(from: ReadFrom<'_>, plans: Vec<Value>, repositories: Vec<Value>) -> Value {
    let (field, of) = match from {
        ReadFrom::One(cluster) => ("cluster", json!(cluster)),
        ReadFrom::Several(clusters) => ("clusters", clusters.iter().map(ClusterReport::json).collect()),
    };
    json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        field: of,
        "plans": plans,
        "repositories": repositories,
    })
}

const API_VERSION: &str = "tidegate.dev/v1alpha1";
const KIND: &str = "StatusList";

/// The JSON Schema of both documents.
pub fn status_schema() -> Value {
    let document = json!({
        "apiVersion": {"const": API_VERSION},
        "kind": {"const": KIND},
        "cluster": {"type": "string", "description": "the cluster that was read; `status` of one alone"},
        "at": {"type": "string", "format": "date-time", "description": "when; `/status` alone"},
        "ready": {"type": "boolean", "description": "whether Git and every cluster were read; `/status` alone"},
        "repositories": {"type": "array", "items": repository_schema()},
        "lease": lease_schema(),
        "configuration": configuration_schema(),
        "clusters": {"type": "array", "items": cluster_schema(), "description": "`/status`, and `status --config`"},
        "plans": {"type": "array", "items": plan_schema(), "description": "one item per plan and cluster"},
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tidegate status -o json, and /status of tidegate run",
        "type": "object",
        "required": ["apiVersion", "kind", "plans"],
        "properties": document,
    })
}

pub(super) fn nullable(kind: &str) -> Value {
    json!({"type": [kind, "null"]})
}

const REVISION: &str = "^.+@sha1:[0-9a-f]{40}$";

fn revision_schema() -> Value {
    json!({"type": ["string", "null"], "pattern": REVISION})
}

/// An object of which every property is always there.
pub(super) fn whole(properties: Value) -> Value {
    let required: Vec<String> = properties.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default();
    json!({"type": "object", "properties": properties, "required": required})
}

fn plan_schema() -> Value {
    let traffic = json!({
        "type": ["object", "null"],
        "description": "percent of all requests per version; versions without traffic are left out",
        "additionalProperties": {"type": "integer", "minimum": 1, "maximum": 100},
    });
    whole(json!({
        "cluster": {"type": "string", "description": "the cluster's name"},
        "namespace": {"type": "string", "description": "namespace of the plan"},
        "name": {"type": "string", "description": "name of the plan"},
        "repository": nullable("string"),
        "virtualService": {"type": "string", "description": "namespace/name of the object that carries weights and journal"},
        "phase": {"enum": ["Starting", "Walking", "Target", "Settled", "WentBack", "Released", UNKNOWN]},
        "step": {
            "type": ["object", "null"],
            "properties": {"name": nullable("string"), "weight": {"type": "integer"}},
            "required": ["name", "weight"],
            "description": "the step that was entered, while walking",
        },
        "risen": {
            "type": ["object", "null"],
            "properties": {"weight": {"type": "integer"}, "of": {"type": "integer"}},
            "required": ["weight", "of"],
            "description": "percent that the versions which rise have in this cluster, and what the target gives them; null where nothing rises",
        },
        "target": traffic.clone(),
        "desired": traffic.clone(),
        "live": traffic,
        "revision": revision_schema(),
        "reason": {
            "type": ["object", "null"],
            "properties": {
                "name": {"type": "string"},
                "message": {"type": "string"},
                "needsAPerson": {"type": "boolean", "description": "whether it goes on only once somebody does something"},
                "cluster": {"type": ["string", "null"], "description": "the cluster that holds the plan up; null: it is about the plan in all of them"},
            },
            "required": ["name", "message", "needsAPerson", "cluster"],
            "description": "null before the first decision",
        },
        "next": {"type": ["string", "null"], "format": "date-time", "description": "when it moves next, where that is known"},
        "entered": {"type": ["string", "null"], "format": "date-time"},
        "converged": {"type": ["string", "null"], "format": "date-time"},
        "wave": {
            "type": ["object", "null"],
            "description": "how many of the plan's waves have the present position; null where all clusters have it",
            "properties": {
                "reached": {"type": "integer"},
                "of": {"type": "integer"},
                "here": {"type": "boolean", "description": "whether this cluster is of those that have it"},
            },
            "required": ["reached", "of", "here"],
        },
        "wayBackReady": {
            "type": ["object", "null"],
            "description": "ready endpoints of each version that a failure goes back to; null where nothing is raised",
            "additionalProperties": {
                "type": "object",
                "properties": {"began": {"type": "integer", "description": "when the walk began"}, "ready": nullable("integer")},
                "required": ["began", "ready"],
            },
        },
        "imagesChanged": {
            "type": ["object", "null"],
            "description": "each version behind which other images run than those that were proven or tested; null: none is known",
            "additionalProperties": whole(json!({
                "from": {"type": "string", "description": "what ran"},
                "to": {"type": "string", "description": "what runs now"},
            })),
        },
        "restore": {
            "type": ["object", "null"],
            "properties": {
                "to": {"type": ["string", "null"], "pattern": REVISION, "description": "whose text of the document is restored; null: its `traffic` alone is set"},
                "undoes": {"type": "string", "pattern": REVISION, "description": "the commit that brought what failed"},
                "reason": {"type": "string", "description": "why traffic went back"},
                "state": {"enum": ["Pending", "Trying", "Refused", "Unreachable", "Failed", "ReadOnly", "Branch", "Landed", "Dropped"]},
                "message": {"type": "string"},
            },
            "required": ["to", "undoes", "reason", "state", "message"],
            "description": "what Git should say again after traffic went back; null where it says what it should",
        },
        "leaves": {"type": "boolean", "description": "whether the plan was taken out of this cluster and is being let go there"},
    }))
}

fn repository_schema() -> Value {
    let finding = whole(json!({
        "code": {"type": "string"},
        "severity": {"enum": ["error", "warning"]},
        "file": nullable("string"),
        "message": {"type": "string"},
    }));
    whole(json!({
        "name": {"type": "string", "description": "the repository's name in plan ids"},
        "branch": {"type": "string"},
        "revision": {"type": ["string", "null"], "pattern": REVISION, "description": "the accepted tip; a cluster does not tell"},
        "lastLook": {"type": ["string", "null"], "format": "date-time", "description": "the last good look"},
        "error": {"type": ["string", "null"], "description": "why the last look was not good"},
        "findings": {"type": "array", "items": finding, "description": "what is wrong with the plans at the tip"},
    }))
}

fn lease_schema() -> Value {
    json!({
        "type": ["object", "null"],
        "description": "the lease of several replicas, null where there is one; `/status` alone",
        "properties": {
            "holder": {"type": ["string", "null"], "description": "who holds it; null: no replica is known to"},
            "leads": {"type": "boolean", "description": "whether that is this replica, and it is sure of it"},
            "term": {"type": ["integer", "null"], "description": "rises whenever another replica takes it; null where another has it"},
        },
        "required": ["holder", "leads", "term"],
    })
}

fn configuration_schema() -> Value {
    let mut schema = whole(json!({
        "file": {"type": "string", "description": "its path"},
        "taken": {"type": "string", "format": "date-time", "description": "when it was last taken into force"},
        "error": {"type": ["string", "null"], "description": "why what it says now is not in force; null: it is"},
    }));
    if let Some(fields) = schema.as_object_mut() {
        fields.insert("type".to_owned(), json!(["object", "null"]));
        fields.insert(
            "description".to_owned(),
            json!("the configuration file; `/status` alone, null where there is none"),
        );
    }
    schema
}

fn cluster_schema() -> Value {
    whole(json!({
        "name": {"type": "string"},
        "labels": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "what plans may choose it by",
        },
        "mesh": {
            "type": ["string", "null"],
            "description": "the mesh that it shares its endpoints in; null: it shares them with no other cluster",
        },
        "role": {
            "enum": ["primary", "remote"],
            "description": "remote: only its endpoints are read, and plans do not go to it",
        },
        "synced": {"type": "boolean", "description": "whether its objects have been read"},
        "away": {"type": ["string", "null"], "description": "why it is away; null while it answers"},
        "awaySince": {"type": ["string", "null"], "format": "date-time", "description": "since when it is away"},
        "answerMs": {
            "type": ["integer", "null"],
            "description": "how long its API server's last answer took, in milliseconds; null before the first",
        },
        "istiods": {
            "type": "array",
            "items": {"type": "string"},
            "description": "who is asked whether the proxies have what was written; empty: a stated wait stands in",
        },
        "istiodsMissing": {
            "type": ["string", "null"],
            "description": "why the stated wait stands in where istiods are looked for; null elsewhere",
        },
        "gatewaysAsked": {"type": "boolean", "description": "whether gateways are asked for the routes that they have"},
    }))
}
