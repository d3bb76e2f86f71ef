//! Writes one edit as one compare-and-swap request and tells what came of it (law 6).

use std::sync::Arc;
use std::time::Duration;

use json_patch::{Patch as JsonPatch, PatchOperation};
use kube::Error;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, ValidationDirective};
use kube::core::Request;
use serde_json::Value;
use tokio::time::error::Elapsed;

use super::Cluster;
use super::pulse::ANSWER_DEADLINE;
use super::untyped::Untyped;
use crate::failpoint;
use crate::istio::{Change, Edit, ObjectKind};
use crate::plan::ObjectKey;

/// The name under which the server files tidegate's fields.
pub(super) const FIELD_MANAGER: &str = "tidegate";

/// How Kubernetes says that an account lacks a right; admission that refuses the content also answers with 403.
pub const NO_RIGHT: &str = "is forbidden: User ";

/// Longer than the ten seconds that an API server gives an admission webhook by default.
pub(super) const DEADLINE: Duration = ANSWER_DEADLINE;

/// How API servers begin to quote a whole object in a refusal.
const QUOTED: &str = "Invalid value: \"{";

/// The most of a server's words that is kept, in characters.
const WORDS_MAX: usize = 1_000;

/// What came of a write. After anything but `Applied` the live object is looked at before the next decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Done; the whole object as the server answered it, without `managedFields`. None after a deletion.
    Applied(Option<Arc<Value>>),
    /// Not done: the object was not as the edit took it to be.
    Stale,
    /// Not sent: the lease that it needs ran out before.
    Withheld,
    /// Not sent: the cluster has fallen silent.
    Unsent {
        /// How that shows.
        message: String,
    },
    /// Not done, and trying the same again will not help: the server or one of its admission webhooks refuses it.
    Rejected {
        /// The server's words.
        message: String,
        /// The HTTP status.
        code: u16,
    },
    /// It may have been done: no answer, or one that does not tell.
    Unknown {
        /// What happened instead of an answer.
        message: String,
    },
}

/// Why an object could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookError {
    /// The API server did not answer in time, or not with an object.
    #[error("cluster {cluster} did not answer about {object}: {message}")]
    Away {
        /// The cluster's name.
        cluster: String,
        /// Kind, namespace and name.
        object: String,
        /// What happened instead.
        message: String,
    },
    /// The API server refuses these credentials.
    #[error("cluster {cluster} refuses a look at {object}: {message}")]
    Forbidden {
        /// The cluster's name.
        cluster: String,
        /// Kind, namespace and name.
        object: String,
        /// The server's words.
        message: String,
    },
}

/// Sends the edit as one request with a deadline of 15 s, never repeated. A dry run passes admission and stores nothing.
pub async fn write(cluster: &Cluster, edit: &Edit, dry_run: bool) -> Outcome {
    let (before, after) = match edit.kind {
        ObjectKind::VirtualService => ("route.write.before", "route.write.after"),
        ObjectKind::DestinationRule => ("rule.write.before", "rule.write.after"),
    };
    if let Some(why) = cluster.meter().pulse().silent() {
        return Outcome::Unsent { message: why.to_string() };
    }
    failpoint::pass(before);
    let answer = tokio::time::timeout(DEADLINE, send(cluster, edit, dry_run)).await;
    failpoint::pass(after);
    match answer {
        Ok(Ok(answer)) => Outcome::Applied((!answer.is_null()).then(|| Arc::new(answer))),
        Ok(Err(error)) => refused(cluster, edit, error).await,
        Err(_) => Outcome::Unknown { message: format!("no answer in {DEADLINE:?}") },
    }
}

/// The live object, or `None` where there is none; errs as [`LookError`], after 15 s at most.
pub async fn look(cluster: &Cluster, kind: ObjectKind, key: &ObjectKey) -> Result<Option<Value>, LookError> {
    let objects = cluster.objects(kind, &key.namespace);
    let answer = tokio::time::timeout(DEADLINE, objects.get_opt(&key.name)).await;
    found(cluster, format!("{} {key}", kind.kind()), answer)
}

/// What came of looking for an object, in words that name it.
pub(super) fn found(
    cluster: &Cluster,
    object: String,
    answer: Result<Result<Option<Untyped>, Error>, Elapsed>,
) -> Result<Option<Value>, LookError> {
    let name = cluster.name().to_owned();
    match answer {
        Ok(Ok(live)) => Ok(live.map(|live| live.value)),
        Ok(Err(Error::Api(status))) if matches!(status.code, 401 | 403) => {
            Err(LookError::Forbidden { cluster: name, object, message: status.message })
        }
        Ok(Err(error)) => Err(LookError::Away { cluster: name, object, message: words(&error) }),
        Err(_) => Err(LookError::Away { cluster: name, object, message: format!("no answer in {DEADLINE:?}") }),
    }
}

async fn send(cluster: &Cluster, edit: &Edit, dry_run: bool) -> Result<Value, Error> {
    let objects = cluster.objects(edit.kind, &edit.key.namespace);
    let field_manager = Some(FIELD_MANAGER.to_owned());
    match &edit.change {
        Change::Create(object) => {
            let mut object = object.clone();
            if let Some(fields) = object.as_object_mut() {
                fields.insert("apiVersion".into(), cluster.istio_version().api_version().into());
            }
            let body = serde_json::to_vec(&object).map_err(Error::SerdeError)?;
            let params = PostParams { dry_run, field_manager };
            let request = Request::new(objects.resource_url()).create(&params, body).map_err(Error::BuildRequest)?;
            Ok(cluster.client().request::<Untyped>(strict(request)?).await?.value)
        }
        Change::Patch { patch, .. } => {
            let field_validation = Some(ValidationDirective::Strict);
            let params = PatchParams { dry_run, field_manager, field_validation, ..PatchParams::default() };
            Ok(objects.patch(&edit.key.name, &params, &Patch::Json::<()>(patch.clone())).await?.value)
        }
        Change::Delete { uid, resource_version } => {
            let only = Preconditions { uid: Some(uid.clone()), resource_version: Some(resource_version.clone()) };
            let params = DeleteParams { dry_run, preconditions: Some(only), ..DeleteParams::default() };
            objects.delete(&edit.key.name, &params).await?;
            Ok(Value::Null)
        }
    }
}

/// Asks the server to refuse fields that it does not know. By default it drops them in silence, and what was dropped
/// would be missed, and written again, for ever.
fn strict(mut request: http::Request<Vec<u8>>) -> Result<http::Request<Vec<u8>>, Error> {
    let separator = if request.uri().query().is_some() { '&' } else { '?' };
    let target = format!("{}{separator}fieldValidation=Strict", request.uri());
    *request.uri_mut() = target.parse().map_err(|error: http::uri::InvalidUri| Error::HttpError(error.into()))?;
    Ok(request)
}

async fn refused(cluster: &Cluster, edit: &Edit, error: Error) -> Outcome {
    let status = match error {
        Error::Api(status) => status,
        // Never sent: the object itself can't be a request.
        Error::BuildRequest(_) => return Outcome::Rejected { message: words(&error), code: 400 },
        other => return Outcome::Unknown { message: words(&other) },
    };
    let creates = matches!(edit.change, Change::Create(_));
    match status.code {
        404 if !creates => Outcome::Stale,
        409 => Outcome::Stale,
        422 => match &edit.change {
            // A failed test and a refused schema answer alike: only the object tells which it was.
            Change::Patch { patch, .. } if moved(cluster, edit, patch).await => Outcome::Stale,
            _ => Outcome::Rejected { message: brief(&status.message), code: status.code },
        },
        // Credentials that ended say nothing about the edit; nor does a server that is too busy to take it.
        401 | 408 => Outcome::Unknown { message: format!("{} ({})", status.message, status.code) },
        429 => {
            Outcome::Unknown { message: format!("the API server takes no more requests now (429): {}", status.message) }
        }
        400..=499 => Outcome::Rejected { message: brief(&status.message), code: status.code },
        code => Outcome::Unknown { message: format!("{} ({code})", status.message) },
    }
}

/// The server's words without the object that it quotes whole, journal and all: they go into journals and commits.
fn brief(message: &str) -> String {
    let mut text = message.to_owned();
    while let Some(at) = text.find(QUOTED) {
        let (before, quoted) = text.split_at(at + QUOTED.len());
        let mut escaped = false;
        let end = quoted.char_indices().find_map(|(at, letter)| {
            let ends = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            ends.then_some(at + 1)
        });
        let after = end.and_then(|end| quoted.get(end..)).unwrap_or_default();
        text = format!("{}the object{after}", before.strip_suffix("\"{").unwrap_or(before));
    }
    if text.chars().count() > WORDS_MAX {
        text = text.chars().take(WORDS_MAX).chain(['…']).collect();
    }
    text
}

/// Whether the object is another one than the patch tests for. An object that can't be seen counts as moved: the caller
/// then looks, decides again, and finds a true rejection at the next write.
async fn moved(cluster: &Cluster, edit: &Edit, patch: &JsonPatch) -> bool {
    let Ok(Some(live)) = look(cluster, edit.kind, &edit.key).await else { return true };
    ["/metadata/uid", "/metadata/resourceVersion"].iter().any(|path| tested(patch, path) != live.pointer(path))
}

fn tested<'a>(patch: &'a JsonPatch, wanted: &str) -> Option<&'a Value> {
    patch.0.iter().find_map(|operation| match operation {
        PatchOperation::Test(test) if test.path.as_str() == wanted => Some(&test.value),
        _ => None,
    })
}

/// An error with its causes in one line.
pub(super) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        // Many errors repeat their cause in their own words.
        if text.starts_with("ServiceError: ") && !text.contains(&more) {
            // What kube and hyper wrap around the cause tells people nothing.
            text = more;
        } else if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    // Nor does it where there is no other cause.
    text.strip_prefix("ServiceError: ").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_kept_without_the_object_that_it_quotes() {
        let said = r#""web" is invalid: patch: Invalid value: "{\"a\":\"{\\\"v\\\":1}\"}": strict decoding error: unknown field "spec.x""#;
        let kept =
            r#""web" is invalid: patch: Invalid value: the object: strict decoding error: unknown field "spec.x""#;
        assert_eq!(brief(said), kept);
        assert_eq!(brief("spec.hosts: Invalid value: \"a b\": no host"), "spec.hosts: Invalid value: \"a b\": no host");
        assert_eq!(brief("Invalid value: \"{cut"), "Invalid value: the object");
        assert_eq!(brief(&"ä".repeat(5_000)).chars().count(), WORDS_MAX + 1);
    }

    #[test]
    fn the_tested_resource_version_is_read_from_the_patch() {
        let patch: JsonPatch = serde_json::from_value(serde_json::json!([
            {"op": "test", "path": "/metadata/uid", "value": "u"},
            {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "replace", "path": "/spec", "value": {}},
        ]))
        .unwrap();
        assert_eq!(tested(&patch, "/metadata/resourceVersion"), Some(&Value::from("7")));
        assert_eq!(tested(&patch, "/spec"), None);
    }
}
