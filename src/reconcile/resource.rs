//! Puts into a CanaryPlan resource what is known of a plan: a pure function of its report and its findings.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    cluster::{CanaryPlan, Condition},
    plan::{Finding, Traffic, shown},
    rollout::{Owner, Phase, Reason},
};

use super::{PlanReport, Standing, severity};

/// More of them help nobody, and the resource stays small.
const FINDINGS_MAX: usize = 20;

/// The resource of a plan in one cluster; none before the first decision about it.
pub(super) fn of<'a>(
    report: &PlanReport,
    cluster: &str,
    branch: &str,
    findings: impl Iterator<Item = &'a Finding>,
) -> Option<CanaryPlan> {
    let (owner, reason) = (report.owner.as_ref()?, report.reason.as_ref()?);
    let standing = report.standings().find(|standing| standing.cluster == cluster)?;
    let journaled = standing.position.map(|position| &*position.plan);
    let plan = standing.plan.map(|(plan, _)| plan).or(journaled);
    let mut status = Map::new();
    let whole = standing.json();
    for field in ["virtualService", "phase", "step", "target", "desired", "revision", "entered"] {
        put(&mut status, field, whole.get(field).cloned().unwrap_or_default());
    }
    put(&mut status, "restore", whole.get("restore").cloned().unwrap_or_default());
    put(&mut status, "nextTransition", json!(reason.until().map(whole_second)));
    if let Some(entered) = standing.position.map(|position| position.entered) {
        put(&mut status, "entered", json!(whole_second(entered)));
    }
    let way_back = standing.position.and_then(|position| position.way_back.as_ref());
    put(&mut status, "wayBack", json!(way_back));
    let live = report.reached.iter().filter_map(|(name, reached)| Some((name.clone(), json!(reached.live.as_ref()?))));
    let live: Map<String, Value> = live.collect();
    put(&mut status, "live", if live.is_empty() { Value::Null } else { Value::Object(live) });
    put(&mut status, "shown", columns(report, &standing));
    about(&mut status, owner, branch, findings);
    Some(CanaryPlan {
        key: owner.plan.clone(),
        owner: owner.to_string(),
        spec: plan.map_or_else(|| json!({}), |plan| plan.written()),
        status,
        conditions: conditions(report, reason),
    })
}

/// Ready, Reconciling and Stalled: always exactly one of them holds, so that kstatus reads Current, InProgress or Failed.
fn conditions(report: &PlanReport, reason: &Reason) -> [Condition; 3] {
    let reason = match reason {
        // What is in force may well be settled: what the branch asks for is not.
        reason if report.newer_invalid && !reason.needs_a_person() => &Reason::NewerInvalid,
        // A decision is ahead of its writes: they are on their way.
        Reason::Settled if !is_reached(report) => &Reason::Writing,
        reason => reason,
    };
    let (ready, stalled) = (matches!(reason, Reason::Settled), reason.needs_a_person());
    let message = shown(&reason.to_string());
    let condition = |holds| Condition { holds, reason: reason.name(), message: message.clone() };
    [condition(ready), condition(!ready && !stalled), condition(stalled)]
}

/// Whether every cluster has what the plan asks for, settled.
fn is_reached(report: &PlanReport) -> bool {
    let digest = report.plan.as_ref().map(|(plan, _)| &plan.digest);
    report.reached.values().filter(|reached| !reached.leaves).all(|reached| {
        reached.position.as_ref().is_some_and(|position| {
            position.phase == Phase::Settled
                && digest.is_none_or(|digest| position.plan.digest == *digest)
                && reached.live.as_ref() == Some(&position.desired)
        })
    })
}

fn columns(report: &PlanReport, standing: &Standing<'_>) -> Value {
    let mut columns = Map::new();
    let step = standing.step().map(|(name, weight)| match name {
        Some(name) => format!("{weight} {name}"),
        None => weight.to_string(),
    });
    let journaled = standing.position.map(|position| &position.plan.traffic);
    let target = journaled.or(standing.plan.map(|(plan, _)| &plan.traffic)).map(Traffic::to_string);
    let mut live: Vec<(&str, String)> = Vec::new();
    for (cluster, reached) in &report.reached {
        let text = match (&reached.live, &reached.position) {
            (Some(traffic), _) => traffic.to_string(),
            (None, Some(_)) => "?".to_owned(),
            (None, None) => "-".to_owned(),
        };
        live.push((cluster, text));
    }
    let same = live.windows(2).all(|pair| matches!(pair, [(_, one), (_, two)] if one == two));
    let live = match live.first() {
        Some((_, text)) if same => Some(text.clone()),
        _ => live.into_iter().map(|(cluster, text)| format!("{cluster}: {text}")).reduce(|all, one| all + "; " + &one),
    };
    for (column, text) in [("step", step), ("target", target), ("live", live)] {
        put(&mut columns, column, json!(text));
    }
    Value::Object(columns)
}

fn about<'a>(
    status: &mut Map<String, Value>,
    owner: &Owner,
    branch: &str,
    findings: impl Iterator<Item = &'a Finding>,
) {
    put(status, "repository", json!({"name": owner.repository, "branch": branch}));
    let findings = findings.take(FINDINGS_MAX).map(|finding| {
        let mut fields = Map::new();
        put(&mut fields, "code", json!(finding.code));
        put(&mut fields, "severity", json!(severity(finding.severity)));
        put(&mut fields, "message", json!(shown(&finding.message)));
        put(&mut fields, "file", json!(finding.place.as_ref().map(|place| shown(&place.file))));
        put(&mut fields, "hint", json!(finding.hints.first().map(|hint| shown(hint))));
        Value::Object(fields)
    });
    let findings: Vec<Value> = findings.collect();
    put(status, "findings", if findings.is_empty() { Value::Null } else { json!(findings) });
}

/// What is not known is left out: the server drops a `null` anyway.
fn put(fields: &mut Map<String, Value>, field: &str, value: Value) {
    if value.is_null() {
        fields.remove(field);
    } else {
        fields.insert(field.to_owned(), value);
    }
}

/// As Kubernetes has instants, and never early.
fn whole_second(at: Timestamp) -> Timestamp {
    let late = i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(at.as_second().saturating_add(late)).unwrap_or(at)
}
