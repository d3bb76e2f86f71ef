//! The definition of the CanaryPlan resource: deploy/base/crd.yaml is this, printed.

use serde_json::{Value, json};

use super::{GROUP, KIND, PLURAL, VERSION};
use crate::plan;

/// The CustomResourceDefinition of CanaryPlan.
pub fn canaryplan_definition() -> Value {
    let version = json!({
        "name": VERSION,
        "served": true,
        "storage": true,
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns(),
        "schema": {"openAPIV3Schema": {
            "description": "A canary plan of a Git repository as tidegate has it, with where it stands. Written by tidegate \
                and never read: the plan is changed by a commit.",
            "type": "object",
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": {"type": "object"},
                "spec": plan::structural_spec(),
                "status": status(),
            },
        }},
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{PLURAL}.{GROUP}"), "labels": {"app.kubernetes.io/name": "tidegate"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": format!("{KIND}List"),
                "plural": PLURAL,
                "singular": "canaryplan",
                "shortNames": ["cplan"],
            },
            "versions": [version],
        },
    })
}

/// What `kubectl get` shows; those of priority 1 with `-o wide` alone.
fn columns() -> Value {
    let column = |name: &str, kind: &str, path: &str, priority: u8, about: &str| json!({"name": name, "type": kind, "jsonPath": path, "priority": priority, "description": about});
    json!([
        column("Phase", "string", ".status.phase", 0, "where the walk stands"),
        column("Step", "string", ".status.shown.step", 0, "the step that was entered, while walking"),
        column("Target", "string", ".status.shown.target", 0, "where the plan in force wants the traffic"),
        column("Live", "string", ".status.shown.live", 0, "the weights that the VirtualService has"),
        column(
            "Ready",
            "string",
            r#".status.conditions[?(@.type=="Ready")].status"#,
            0,
            "whether the target is settled"
        ),
        column("Reason", "string", r#".status.conditions[?(@.type=="Ready")].reason"#, 0, "why it stands there"),
        column("Revision", "string", ".status.revision", 1, "the newest commit that changed the plan"),
        column("Next", "string", ".status.nextTransition", 1, "when it moves next, where that is known"),
        column("Message", "string", r#".status.conditions[?(@.type=="Ready")].message"#, 1, "the reason as a sentence"),
        column("Age", "date", ".metadata.creationTimestamp", 1, "since when the resource is there"),
    ])
}

fn status() -> Value {
    let text = |about: &str| json!({"type": "string", "description": about});
    let instant = |about: &str| json!({"type": "string", "format": "date-time", "description": about});
    let weights = |about: &str| {
        let percent = json!({"type": "integer"});
        json!({"type": "object", "additionalProperties": percent, "description": about})
    };
    let per_cluster = json!({"type": "object", "additionalProperties": {"type": "integer"}});
    let keep = "x-kubernetes-preserve-unknown-fields";
    let object = |properties: Value, about: &str| json!({"type": "object", "properties": properties, keep: true, "description": about});
    let condition = json!({
        "type": "object",
        "properties": {
            "type": text("Ready, Reconciling or Stalled"),
            "status": text("True or False"),
            "reason": text("a stable word"),
            "message": text("one sentence"),
            "lastTransitionTime": instant("when `status` of the condition changed last"),
            "observedGeneration": {"type": "integer", "description": "the generation of the resource that it is about"},
        },
        "required": ["type", "status"],
        "description": "one condition as kstatus reads it",
    });
    let finding = object(
        json!({
            "code": text("a stable code"),
            "severity": text("error or warning"),
            "message": text("one sentence"),
            "file": text("the file in the repository"),
            "hint": text("what to write instead"),
        }),
        "one thing that is wrong with the plan at the branch's tip",
    );
    let properties = json!({
        "observedGeneration": {"type": "integer", "description": "the generation of the resource that this is about"},
        "conditions": {
            "type": "array",
            "items": condition,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "description": "Ready, Reconciling and Stalled",
        },
        "phase": text("where the walk stands"),
        "step": object(
            json!({"name": text("the step's name"), "weight": {"type": "integer"}}),
            "the step that was entered, while walking",
        ),
        "target": weights("where the plan in force wants the traffic: percent per version"),
        "desired": weights("the weights that were reached"),
        "live": {
            "type": "object",
            "additionalProperties": per_cluster,
            "description": "the weights that the VirtualService has, per cluster",
        },
        "revision": text("the newest commit that changed the plan, `branch@sha1:<40 hex>`"),
        "nextTransition": instant("when it moves next, where that is known"),
        "entered": instant("when the present position was entered"),
        "wayBack": weights("where a failure goes"),
        "restore": object(
            json!({
                "to": text("the commit whose text of the document is restored"),
                "undoes": text("the commit that brought what failed"),
                "reason": text("why traffic went back"),
                "state": text("how far that has come"),
                "message": text("one sentence"),
            }),
            "what Git should say again after traffic went back",
        ),
        "virtualService": text("`namespace/name` of the object that carries weights and journal"),
        "repository": object(
            json!({"name": text("the repository's name"), "branch": text("the branch that is followed")}),
            "where the plan comes from",
        ),
        "findings": {
            "type": "array",
            "items": finding,
            "x-kubernetes-list-type": "atomic",
            "description": "what is wrong with the plan at the branch's tip",
        },
        "shown": object(
            json!({
                "step": text("weight and name of the step"),
                "target": text("the target"),
                "live": text("the live weights"),
            }),
            "the columns of `kubectl get`",
        ),
    });
    object(properties, "where the plan stands")
}
