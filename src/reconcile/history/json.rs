//! The document of `tidegate history -o json`, and its JSON Schema.

use serde_json::{Value, json};

use crate::{plan::PlanKey, rollout::Transition};

use super::super::standing::{nullable, whole};
use super::{Chapter, Outcome, Said, Undone};

const API_VERSION: &str = "tidegate.dev/v1alpha1";
const KIND: &str = "PlanHistory";

/// The document; `whole` says whether it begins with the plan's first commit.
pub fn history_json(repository: &str, branch: &str, plan: &PlanKey, chapters: &[Chapter], whole: bool) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "repository": repository,
        "branch": branch,
        "namespace": plan.namespace,
        "name": plan.name,
        "whole": whole,
        "commits": chapters.iter().map(chapter).collect::<Vec<_>>(),
    })
}

fn chapter(chapter: &Chapter) -> Value {
    let asked = &chapter.asked;
    let plan = if let Said::Plan(plan) = &asked.said { Some(plan) } else { None };
    let steps = |plan: &std::sync::Arc<crate::plan::Plan>| -> Vec<Value> {
        plan.steps.iter().map(|step| json!({"name": step.name, "weight": step.weight, "hold": step.hold})).collect()
    };
    json!({
        "commit": asked.commit.id,
        "author": asked.commit.author,
        "time": asked.commit.time,
        "subject": asked.commit.subject,
        "file": asked.path,
        "target": plan.map(|plan| &plan.traffic),
        "steps": plan.map(steps),
        "pause": plan.map(|plan| plan.pause),
        "undoes": asked.undoes,
        "restores": asked.restores,
        "reason": asked.reason,
        "reached": chapter.reached,
        "outcome": outcome(&chapter.outcome),
        "undone": chapter.undone.as_ref().map(undone),
        "events": chapter.events.iter().map(event).collect::<Vec<_>>(),
    })
}

fn outcome(outcome: &Outcome) -> Value {
    let (at, phase, why) = match outcome {
        Outcome::Settled { at } | Outcome::Reached { at } => (Some(at), None, None),
        Outcome::UnderWay { phase, since } => (Some(since), Some(phase), None),
        Outcome::WentBack { at, why } => (Some(at), None, Some(why)),
        Outcome::Refused { why } => (None, None, Some(why)),
        Outcome::Removed | Outcome::Superseded | Outcome::Waiting | Outcome::Unknown => (None, None, None),
    };
    json!({"name": outcome.name(), "at": at, "phase": phase, "why": why})
}

fn undone(undone: &Undone) -> Value {
    json!({"by": undone.by, "author": undone.author, "reason": undone.reason})
}

fn event(event: &Transition) -> Value {
    json!({"at": event.at, "what": event.what.name(), "traffic": event.traffic, "note": event.note})
}

/// The JSON Schema of [`history_json`].
pub fn history_schema() -> Value {
    let commit = json!({"type": "string", "pattern": "^[0-9a-f]{40}$"});
    let time = json!({"type": "string", "format": "date-time"});
    let event = whole(json!({
        "at": time,
        "what": {"type": "string", "description": "as the Events are named"},
        "traffic": {"type": "string", "description": "weights afterwards, as `v1=90 v2=10`"},
        "note": {"type": "string"},
    }));
    let outcome = whole(json!({
        "name": {"enum": ["Settled", "Reached", "UnderWay", "WentBack", "Refused", "Removed", "Superseded", "Waiting", "Unknown"]},
        "at": {"type": ["string", "null"], "format": "date-time"},
        "phase": {"type": ["string", "null"], "description": "while it is under way"},
        "why": {"type": ["string", "null"], "description": "why traffic went back, or the document was refused"},
    }));
    let steps = whole(json!({
        "name": nullable("string"),
        "weight": {"type": "integer", "minimum": 0, "maximum": 99},
        "hold": {"type": "string"},
    }));
    let undone = json!({
        "type": ["object", "null"],
        "properties": {"by": commit, "author": {"type": "string"}, "reason": nullable("string")},
        "required": ["by", "author", "reason"],
        "description": "the commit that undid it",
    });
    let chapter = whole(json!({
        "commit": commit,
        "author": {"type": "string", "description": "of a merge: who merged"},
        "time": time,
        "subject": {"type": "string", "description": "first line of the message"},
        "file": {"type": ["string", "null"], "description": "where the document stands; null: it is gone"},
        "target": {"type": ["object", "null"], "additionalProperties": {"type": "integer", "minimum": 1, "maximum": 100}},
        "steps": {"type": ["array", "null"], "items": steps},
        "pause": nullable("boolean"),
        "undoes": {"type": "array", "items": commit, "description": "the commits that it undoes, as its message says"},
        "restores": {"type": ["string", "null"], "description": "the commit whose text the document has again"},
        "reason": {"type": ["string", "null"], "description": "the trailer `Tidegate-Reason`"},
        "reached": {"type": ["string", "null"], "description": "the last weights that it brought, as the journal remembers"},
        "outcome": outcome,
        "undone": undone,
        "events": {"type": "array", "items": event, "description": "what the journal remembers, oldest first"},
    }));
    let mut document = whole(json!({
        "apiVersion": {"const": API_VERSION},
        "kind": {"const": KIND},
        "repository": {"type": "string"},
        "branch": {"type": "string"},
        "namespace": {"type": "string"},
        "name": {"type": "string"},
        "whole": {"type": "boolean", "description": "whether the list begins with the plan's first commit"},
        "commits": {"type": "array", "items": chapter, "description": "newest first"},
    }));
    if let Some(document) = document.as_object_mut() {
        document.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        document.insert("title".to_owned(), "tidegate history -o json".into());
    }
    document
}
