//! Writes one resource: created, or changed where it is still the one that was seen; its status in a request of its own.

use jiff::Timestamp;
use json_patch::Patch as JsonPatch;
use kube::Error;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Request;
use serde_json::{Value, json};

use super::super::{
    Cluster,
    untyped::Untyped,
    write::{DEADLINE, FIELD_MANAGER, NO_RIGHT, words},
};
use super::{CanaryPlan, GROUP, KIND, PLURAL, Published, VERSION, Written, api_of, fingerprint};
use crate::plan::PlanKey;
use crate::rollout::{MANAGED_BY, OWNER};

/// Makes the resource say what it should, in two requests at most where it is as it was last seen; 15 s each.
pub async fn write_canaryplan(
    cluster: &Cluster,
    plan: &CanaryPlan,
    written: Option<Written>,
    now: Timestamp,
) -> Published<Written> {
    let api = api_of(cluster, &plan.key.namespace);
    let mut seen = written;
    // What was seen may be gone or another one: then it is looked at once.
    for _ in 0..2 {
        let tried = match &seen {
            Some(written) => change(&api, plan, written, now).await,
            None => create(&api, plan, now).await,
        };
        match tried {
            Err(Refused::Published(published)) => return published,
            Err(Refused::Moved(message)) => match look(&api, plan).await {
                Look::Gone => seen = None,
                Look::Found(live) if seen.as_ref().is_some_and(|seen| seen.uid == live.uid) => {
                    return Published::Rejected(message);
                }
                Look::Found(live) => seen = Some(live),
                Look::Failed(published) => return published,
            },
            Ok(written) => return Published::Done(written),
        }
    }
    Published::Unknown("the resource changes all the time".to_owned())
}

/// Deletes the resource that was last seen; another one of that name stays.
pub async fn remove_canaryplan(cluster: &Cluster, key: &PlanKey, written: &Written) -> Published<()> {
    let only = Preconditions { uid: Some(written.uid.to_string()), resource_version: None };
    let params = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
    match timed(api_of(cluster, &key.namespace).delete(&key.name, &params)).await {
        Ok(_) => Published::Done(()),
        Err(Refused::Moved(_)) => Published::Done(()),
        Err(Refused::Published(published)) => published,
    }
}

/// Why a request did nothing.
enum Refused<T> {
    /// The resource is not as it was seen.
    Moved(String),
    Published(Published<T>),
}

enum Look {
    Gone,
    Found(Written),
    Failed(Published<Written>),
}

async fn create(api: &Api<Untyped>, plan: &CanaryPlan, now: Timestamp) -> Result<Written, Refused<Written>> {
    let object = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": KIND,
        "metadata": {
            "name": plan.key.name,
            "namespace": plan.key.namespace,
            "labels": {MANAGED_BY.0: MANAGED_BY.1},
            "annotations": {OWNER: plan.owner},
        },
        "spec": plan.spec,
    });
    let unbuilt = |error: &dyn std::fmt::Display| Refused::Published(Published::Rejected(error.to_string()));
    let body = serde_json::to_vec(&object).map_err(|error| unbuilt(&error))?;
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    let request = Request::new(api.resource_url()).create(&params, body).map_err(|error| unbuilt(&error))?;
    let client = api.clone().into_client();
    let made = timed(client.request::<Untyped>(request)).await?;
    status(api, plan, made.value, [None; 3], now).await
}

async fn change(
    api: &Api<Untyped>,
    plan: &CanaryPlan,
    written: &Written,
    now: Timestamp,
) -> Result<Written, Refused<Written>> {
    if fingerprint(&plan.spec) == written.spec {
        return status(
            api,
            plan,
            json!({"metadata": {"uid": written.uid, "generation": written.generation}}),
            written.since,
            now,
        )
        .await;
    }
    let patch = json!([
        {"op": "test", "path": "/metadata/uid", "value": written.uid},
        {"op": "test", "path": pointer("annotations", OWNER), "value": plan.owner},
        {"op": "test", "path": pointer("labels", MANAGED_BY.0), "value": MANAGED_BY.1},
        {"op": "add", "path": "/spec", "value": plan.spec},
    ]);
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let changed = timed(api.patch(&plan.key.name, &params, &json_patch(patch)?)).await?;
    status(api, plan, changed.value, written.since, now).await
}

/// Writes the status of the resource that `seen` names, with the generation that it has.
async fn status(
    api: &Api<Untyped>,
    plan: &CanaryPlan,
    seen: Value,
    before: [Option<(bool, Timestamp)>; 3],
    now: Timestamp,
) -> Result<Written, Refused<Written>> {
    let uid = seen.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
    let generation = seen.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
    // Whole seconds, as Kubernetes has them.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let since = |place: usize, holds: bool| match before.get(place) {
        Some(Some((held, at))) if *held == holds => Some(*at),
        _ => Some(now),
    };
    let patch = json!([
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "add", "path": "/status", "value": plan.whole_status(Some(generation), since)},
    ]);
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let answer = timed(api.patch_status(&plan.key.name, &params, &json_patch(patch)?)).await?;
    // Somebody's edit of the spec between the two requests shows in the generation: the next change puts it back.
    Ok(Written {
        uid: uid.into(),
        generation,
        spec: answer.value.get("spec").map_or(0, fingerprint),
        status: plan.status_fingerprint(),
        since: std::array::from_fn(|place| {
            let holds = plan.conditions.get(place)?.holds;
            Some((holds, since(place, holds)?))
        }),
    })
}

async fn look(api: &Api<Untyped>, plan: &CanaryPlan) -> Look {
    match timed::<_, Written>(api.get_opt(&plan.key.name)).await {
        Ok(None) => Look::Gone,
        Ok(Some(live)) => match Written::of(&live.value, &plan.owner) {
            Some(written) => Look::Found(written),
            None => Look::Failed(Published::Foreign),
        },
        Err(Refused::Moved(message)) => Look::Failed(Published::Unknown(message)),
        Err(Refused::Published(published)) => Look::Failed(published),
    }
}

fn pointer(part: &str, field: &str) -> String {
    format!("/metadata/{part}/{}", field.replace('~', "~0").replace('/', "~1"))
}

fn json_patch<T>(patch: Value) -> Result<Patch<()>, Refused<T>> {
    let patch: JsonPatch =
        serde_json::from_value(patch).map_err(|error| Refused::Published(Published::Rejected(error.to_string())))?;
    Ok(Patch::Json(patch))
}

async fn timed<A, T>(request: impl Future<Output = Result<A, Error>>) -> Result<A, Refused<T>> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(match &error {
            Error::Api(status) if matches!(status.code, 409 | 422) || is_gone(status) => {
                Refused::Moved(status.message.clone())
            }
            _ => Refused::Published(refused(error)),
        }),
        Err(_) => Err(Refused::Published(Published::Unknown(format!("no answer in {DEADLINE:?}")))),
    }
}

/// Whether the answer says that this one is not there; a server without the resource at all says less.
fn is_gone(status: &kube::core::Status) -> bool {
    status.code == 404
        && status.details.as_ref().is_some_and(|details| details.kind == PLURAL && !details.name.is_empty())
}

/// What an error comes to where it is not about one resource that has moved.
pub(super) fn refused<T>(error: Error) -> Published<T> {
    let Error::Api(status) = error else { return Published::Unknown(words(&error)) };
    let about = status.details.as_ref().map_or("", |details| details.kind.as_str());
    match status.code {
        404 if about == "namespaces" => Published::NoNamespace,
        404 => Published::Off(format!("the cluster has no {PLURAL}.{GROUP}: deploy/base/crd.yaml is not installed")),
        403 if status.message.contains(NO_RIGHT) => Published::Off(status.message),
        401 | 408 | 429 => Published::Unknown(format!("{} ({})", status.message, status.code)),
        400..=499 => Published::Rejected(status.message),
        code => Published::Unknown(format!("{} ({code})", status.message)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::super::{CONDITIONS, Condition};
    use super::*;

    fn plan(holds: bool, message: &str) -> CanaryPlan {
        let condition = |holds| Condition { holds, reason: "Settled", message: message.to_owned() };
        CanaryPlan {
            key: PlanKey { namespace: "shop".into(), name: "web".into() },
            owner: "plans/shop/web".into(),
            spec: json!({"traffic": {"v1": 100}}),
            status: Map::from_iter([("phase".to_owned(), json!("Settled"))]),
            conditions: [condition(holds), condition(!holds), condition(false)],
        }
    }

    fn live(plan: &CanaryPlan, generation: i64, observed: i64, at: &str) -> Value {
        let at: Timestamp = at.parse().unwrap();
        json!({
            "metadata": {"uid": "u", "generation": generation, "labels": {MANAGED_BY.0: MANAGED_BY.1},
                "annotations": {OWNER: plan.owner}},
            "spec": plan.spec,
            "status": plan.whole_status(Some(observed), |_, _| Some(at)),
        })
    }

    #[test]
    fn what_is_there_already_is_told_by_content_and_not_by_its_times() {
        let wanted = plan(true, "the target is settled");
        for at in ["2026-11-21T04:00:00Z", "2026-11-21T05:00:00Z"] {
            assert!(wanted.is(&Written::of(&live(&wanted, 3, 3, at), &wanted.owner).unwrap()));
        }
        let at = "2026-11-21T04:00:00Z";
        let there = Written::of(&live(&wanted, 3, 3, at), &wanted.owner).unwrap();
        assert!(!plan(false, "the target is settled").is(&there) && !plan(true, "other words").is(&there));
        let unobserved = Written::of(&live(&wanted, 4, 3, at), &wanted.owner).unwrap();
        assert!(!wanted.is(&unobserved), "a status of an older generation is none of this one");
    }

    #[test]
    fn a_resource_without_our_marks_is_somebody_elses() {
        let wanted = plan(true, "x");
        let mut theirs = live(&wanted, 1, 1, "2026-11-21T04:00:00Z");
        assert!(Written::of(&theirs, "plans/shop/other").is_none());
        theirs["metadata"]["labels"] = json!({});
        assert!(Written::of(&theirs, &wanted.owner).is_none());
    }

    #[test]
    fn every_condition_has_its_place() {
        let status = plan(true, "x").whole_status(Some(2), |_, _| Some(Timestamp::UNIX_EPOCH));
        let kinds: Vec<&Value> = status["conditions"].as_array().unwrap().iter().map(|one| &one["type"]).collect();
        assert_eq!(kinds, CONDITIONS);
        assert_eq!(status["conditions"][0]["observedGeneration"], 2);
    }
}
