//! Applies plain Istio objects as they stand, server-side and without force.

use kube::Error;
use kube::api::{Api, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind, Status};
use serde_json::Value;

use super::Cluster;
use super::untyped::Untyped;
use super::write::{DEADLINE, FIELD_MANAGER, LookError, found, words};

const WRONG_TYPE: &str = "failed to create typed patch object";

/// What came of applying an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// Done, or nothing was to be done; the object as the server answered it, without `managedFields`.
    Applied(Value),
    /// Not done: others own fields of it with other values.
    Conflict {
        /// The field managers that own them, each once.
        managers: Vec<String>,
        /// The server's words.
        message: String,
    },
    /// Not done: the server or one of its admission webhooks refuses it.
    Rejected {
        /// The server's words.
        message: String,
        /// The HTTP status; 0 where the object has no kind, namespace or name to send it to.
        code: u16,
    },
    /// It may have been done.
    Unknown {
        /// What happened instead of an answer.
        message: String,
    },
}

/// Applies one object with a deadline of 15 s. The object names its own `apiVersion`, kind, namespace and name.
pub async fn apply(cluster: &Cluster, object: &Value, dry_run: bool) -> Applied {
    let Some((objects, name)) = api_of(cluster, object) else {
        let message = "the object lacks apiVersion, kind, metadata.namespace or metadata.name".to_owned();
        return Applied::Rejected { message, code: 0 };
    };
    let params = PatchParams { dry_run, ..PatchParams::apply(FIELD_MANAGER) };
    crate::failpoint::pass("plain.write.before");
    let answer = tokio::time::timeout(DEADLINE, objects.patch(name, &params, &Patch::Apply(object))).await;
    crate::failpoint::pass("plain.write.after");
    match answer {
        Ok(Ok(live)) => Applied::Applied(live.value),
        Ok(Err(Error::Api(status))) => refused(*status),
        Ok(Err(error)) => Applied::Unknown { message: words(&error) },
        Err(_) => Applied::Unknown { message: format!("no answer in {DEADLINE:?}") },
    }
}

/// The live object that [`apply`] would change, without `managedFields`, or `None` where there is none; errs as
/// [`LookError`], after 15 s at most.
pub async fn look_plain(cluster: &Cluster, object: &Value) -> Result<Option<Value>, LookError> {
    let Some((objects, name)) = api_of(cluster, object) else { return Ok(None) };
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let answer = tokio::time::timeout(DEADLINE, objects.get_opt(name)).await;
    found(cluster, format!("{kind} {name}"), answer)
}

/// Where the object lives, and its name; none where it does not say.
fn api_of<'a>(cluster: &Cluster, object: &'a Value) -> Option<(Api<Untyped>, &'a str)> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let (api_version, kind) = (text("/apiVersion")?, text("/kind")?);
    let (namespace, name) = (text("/metadata/namespace")?, text("/metadata/name")?);
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Some((Api::namespaced_with(cluster.client().clone(), namespace, &resource), name))
}

fn refused(status: Status) -> Applied {
    match status.code {
        409 => match managers(&status) {
            managers if managers.is_empty() => Applied::Unknown { message: status.message },
            managers => Applied::Conflict { managers, message: status.message },
        },
        401 | 408 | 429 => Applied::Unknown { message: format!("{} ({})", status.message, status.code) },
        400..=499 => Applied::Rejected { message: status.message, code: status.code },
        // The server's answer to a value of the wrong type is a 500, and always the same.
        500 if status.message.starts_with(WRONG_TYPE) => Applied::Rejected { message: status.message, code: 500 },
        code => Applied::Unknown { message: format!("{} ({code})", status.message) },
    }
}

/// The managers that a conflict names: `conflict with "kubectl" using networking.istio.io/v1`.
fn managers(status: &Status) -> Vec<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut managers: Vec<String> = causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .filter_map(|cause| cause.message.split('"').nth(1).map(str::to_owned))
        .collect();
    managers.sort();
    managers.dedup();
    managers
}
