//! What a commit has led to, as text for the golden file: writes, objects, journals and status, without what differs
//! from run to run.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate::plan::to_yaml;
use tidegate::rollout::{JOURNAL, Journal};

use super::timeline::Change;

/// Names of commits by their ids.
pub struct Labels<'a>(pub Vec<(&'a str, &'a str)>);

impl Labels<'_> {
    fn of(&self, id: &str) -> &str {
        self.0.iter().find(|(known, _)| known.starts_with(id)).map_or("a commit of nobody", |(_, label)| *label)
    }
}

/// The golden text.
pub fn text(changes: &[Change], objects: &[Value], status: &Value, labels: &Labels<'_>) -> String {
    let journals: BTreeMap<&str, Value> = objects
        .iter()
        .filter(|object| object["kind"] == "VirtualService")
        .map(|object| (object["metadata"]["name"].as_str().unwrap(), journal(object, labels)))
        .collect();
    let objects: Vec<Value> = objects.iter().map(object).collect();
    let parts = [
        ("writes", writes(changes)),
        ("journals", json!(journals)),
        ("status", self::status(status, labels)),
        ("objects", json!(objects)),
    ];
    parts.into_iter().map(|(title, part)| to_yaml(&json!({ title: part }))).collect()
}

/// Changes of specs in order, apart for each name: plans do not wait for each other.
fn writes(changes: &[Change]) -> Value {
    let mut writes: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Change { kind, name, what, .. } in changes {
        // A Service's two objects may have names of their own, `myapp-vs` and `myapp-dr`.
        let plan = name.trim_end_matches("-vs").trim_end_matches("-dr");
        writes.entry(plan).or_default().push(format!("{kind}: {what}"));
    }
    json!(writes)
}

fn object(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(JOURNAL);
    }
    object
}

fn journal(object: &Value, labels: &Labels<'_>) -> Value {
    let journal = Journal::on(object).unwrap().unwrap();
    let proof = journal.proof.iter().filter(|(_, proof)| proof.weight > 0);
    let settled = journal.settled.iter().map(|settled| {
        let commit = settled.revision.as_ref().map_or("found live", |revision| labels.of(&revision.commit));
        format!("{} by {commit}", settled.state.traffic)
    });
    let of_this_commit = journal.transitions.iter().filter(|one| journal.revision.commit.starts_with(&one.commit));
    json!({
        "phase": format!("{:?}", journal.phase),
        "commit": labels.of(&journal.revision.commit),
        "traffic": journal.state.traffic.to_string(),
        "proof": proof.map(|(version, proof)| format!("{version}={}", proof.weight)).collect::<Vec<_>>().join(" "),
        "settled": settled.collect::<Vec<_>>(),
        "wayBack": journal.way_back.map(|settled| settled.state.traffic.to_string()),
        "subsets": journal.subsets,
        "transitions": of_this_commit.map(|one| format!("{} {}", one.what.name(), one.traffic)).collect::<Vec<_>>(),
    })
}

fn status(status: &Value, labels: &Labels<'_>) -> Value {
    let mut plans = status["plans"].clone();
    for plan in plans.as_array_mut().unwrap() {
        let (branch, commit) = plan["revision"].as_str().unwrap().split_once("@sha1:").unwrap();
        plan["revision"] = json!(format!("{branch}@{}", labels.of(commit)));
        // One story for both servers.
        plan["cluster"] = json!("some cluster");
        for instant in ["entered", "converged", "next"] {
            if plan[instant].is_string() {
                plan[instant] = json!("some instant");
            }
        }
    }
    plans
}
