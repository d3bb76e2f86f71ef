//! Says why a request was refused, in the codes, reasons and words of the real server.

use serde_json::{Value, json};

use super::resource::Resource;

/// One object, named as refusals name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    resource: &'static Resource,
    name: String,
}

impl Named {
    /// Names an object of a resource.
    pub fn new(resource: &'static Resource, name: &str) -> Self {
        Self { resource, name: name.to_owned() }
    }

    fn called(&self, by: &str) -> String {
        match self.resource.group() {
            "" => format!("{by} \"{}\"", self.name),
            group => format!("{by}.{group} \"{}\"", self.name),
        }
    }

    fn details(&self, kind: &str) -> Value {
        let mut details = serde_json::Map::new();
        for (key, value) in [("name", self.name.as_str()), ("group", self.resource.group()), ("kind", kind)] {
            if !value.is_empty() {
                details.insert(key.to_owned(), value.into());
            }
        }
        Value::Object(details)
    }
}

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The class of mistake, such as `FieldValueRequired`.
    pub reason: &'static str,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub field: String,
}

impl Cause {
    /// A value that is not allowed.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: "FieldValueInvalid", message: message.into(), field: field.into() }
    }

    /// A field that is missing.
    pub fn required(field: impl Into<String>, hint: &str) -> Self {
        let message = if hint.is_empty() { "Required value".to_owned() } else { format!("Required value: {hint}") };
        Self { reason: "FieldValueRequired", message, field: field.into() }
    }

    /// A field that must not be there.
    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self { reason: "FieldValueForbidden", message: format!("Forbidden: {why}"), field: field.into() }
    }

    fn json(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}

const UNCONDITIONAL_FIELD: &str = "metadata.resourceVersion";
const UNCONDITIONAL: &str = "Invalid value: 0: must be specified for an update";

/// Why a request was not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such object.
    #[error("{} not found", .0.called(.0.resource.plural))]
    NotFound(Named),
    /// An object of that name is there.
    #[error("{} already exists", .0.called(.0.resource.plural))]
    AlreadyExists(Named),
    /// The resourceVersion is not the present one.
    #[error("Operation cannot be fulfilled on {}: the object has been modified; please apply your changes to the latest version and try again", .0.called(.0.resource.plural))]
    Modified(Named),
    /// The replacement of something that may only be replaced by version.
    #[error("{} is invalid: {UNCONDITIONAL_FIELD}: {UNCONDITIONAL}", .0.called(.0.resource.plural))]
    Unconditional(Named),
    /// Another object has taken the place of the one that was meant.
    #[error("Operation cannot be fulfilled on {}: Precondition failed: UID in precondition: {expected}, UID in object meta: {found}", .named.called(.named.resource.plural))]
    Replaced {
        /// The object.
        named: Named,
        /// The uid in the request.
        expected: String,
        /// The uid in the store.
        found: String,
    },
    /// A precondition of a deletion does not hold.
    #[error("Operation cannot be fulfilled on {}: the {what} in the precondition ({expected}) does not match the {what} in record ({found}). {guess}", .named.called(.named.resource.kind))]
    Precondition {
        /// The object.
        named: Named,
        /// `UID` or `ResourceVersion`.
        what: &'static str,
        /// The value in the request.
        expected: String,
        /// The value in the store.
        found: String,
        /// What may have happened.
        guess: &'static str,
    },
    /// Other managers own fields that an apply would change: (manager, field).
    #[error("{}", conflicts(.0))]
    Owned(Vec<(String, String)>),
    /// Fields are wrong.
    #[error("{} is invalid: {}", .named.called(.named.resource.kind), sentence(.causes))]
    Invalid {
        /// The object.
        named: Named,
        /// Its mistakes.
        causes: Vec<Cause>,
    },
    /// Options in the query are wrong.
    #[error("{kind}.meta.k8s.io \"\" is invalid: {}", .cause.field.clone() + ": " + &.cause.message)]
    InvalidOptions {
        /// `ListOptions`, `PatchOptions` and so on.
        kind: &'static str,
        /// The mistake.
        cause: Cause,
    },
    /// A JSON Patch whose test failed or whose path is not there.
    #[error("the server rejected our request due to an error in our request")]
    Unpatchable,
    /// The request makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// The content type is not one of these.
    #[error("the body of the request was in an unknown format - accepted media types include: {0}")]
    UnsupportedMediaType(&'static str),
    /// The body is larger than this many bytes.
    #[error("Request entity too large: limit is {0}")]
    BodyTooLarge(usize),
    /// The object is larger than the database takes.
    #[error("etcdserver: request is too large")]
    ObjectTooLarge,
    /// A created object names a resourceVersion.
    #[error("resourceVersion should not be set on objects to be created")]
    VersionOnCreate,
    /// History does not reach back that far.
    #[error("too old resource version: {asked} ({oldest})")]
    Expired {
        /// The resourceVersion of the request.
        asked: u64,
        /// The oldest one that can be served.
        oldest: u64,
    },
    /// The store has not got that far.
    #[error("Timeout: Too large resource version: {asked}, current: {current}")]
    NotYet {
        /// The resourceVersion of the request.
        asked: u64,
        /// The newest there is.
        current: u64,
    },
    /// No token, or not the right one.
    #[error("Unauthorized")]
    Unauthorized,
    /// The path does not take this method.
    #[error("the server does not allow this method on the requested resource")]
    MethodNotAllowed,
    /// A fault that a test asked for.
    #[error("injected fault: {0}")]
    Injected(u16),
}

fn with_causes(mut details: Value, causes: &[Cause]) -> Value {
    if let Some(details) = details.as_object_mut() {
        details.insert("causes".into(), causes.iter().map(Cause::json).collect());
    }
    details
}

fn conflicts(conflicts: &[(String, String)]) -> String {
    match conflicts {
        [(manager, field)] => format!("Apply failed with 1 conflict: conflict with \"{manager}\": {field}"),
        many => {
            let lines: String = many.iter().map(|(m, field)| format!("\nconflict with \"{m}\": {field}")).collect();
            format!("Apply failed with {} conflicts:{lines}", many.len())
        }
    }
}

fn sentence(causes: &[Cause]) -> String {
    let all: Vec<_> = causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
    if all.len() == 1 { all.concat() } else { format!("[{}]", all.join(", ")) }
}

impl Refusal {
    /// Returns the refusal of an object that names another namespace than its path.
    pub fn elsewhere() -> Self {
        let why = "the namespace of the provided object does not match the namespace sent on the request";
        Self::BadRequest(why.to_owned())
    }

    /// Returns the HTTP status code.
    pub fn code(&self) -> u16 {
        self.class().0
    }

    fn class(&self) -> (u16, &'static str) {
        match self {
            Self::NotFound(_) => (404, "NotFound"),
            Self::AlreadyExists(_) => (409, "AlreadyExists"),
            Self::Modified(_) | Self::Replaced { .. } | Self::Precondition { .. } | Self::Owned(_) => (409, "Conflict"),
            Self::Invalid { .. } | Self::Unconditional(_) | Self::InvalidOptions { .. } | Self::Unpatchable => {
                (422, "Invalid")
            }
            Self::BadRequest(_) => (400, "BadRequest"),
            Self::UnsupportedMediaType(_) => (415, "UnsupportedMediaType"),
            Self::BodyTooLarge(_) => (413, "RequestEntityTooLarge"),
            Self::ObjectTooLarge | Self::VersionOnCreate => (500, ""),
            Self::Expired { .. } => (410, "Expired"),
            Self::NotYet { .. } => (504, "Timeout"),
            Self::Unauthorized => (401, "Unauthorized"),
            Self::MethodNotAllowed => (405, "MethodNotAllowed"),
            Self::Injected(code) => (*code, injected_reason(*code)),
        }
    }

    fn details(&self) -> Option<Value> {
        Some(match self {
            Self::NotFound(named)
            | Self::AlreadyExists(named)
            | Self::Modified(named)
            | Self::Replaced { named, .. } => named.details(named.resource.plural),
            Self::Precondition { named, .. } => named.details(named.resource.kind),
            Self::Owned(conflicts) => {
                let causes: Vec<_> = conflicts
                    .iter()
                    .map(|(manager, field)| {
                        json!({"reason": "FieldManagerConflict", "message": format!("conflict with \"{manager}\""), "field": field})
                    })
                    .collect();
                json!({"causes": causes})
            }
            Self::Invalid { named, causes } => with_causes(named.details(named.resource.kind), causes),
            Self::Unconditional(named) => {
                let cause = Cause::invalid(UNCONDITIONAL_FIELD, UNCONDITIONAL);
                with_causes(named.details(named.resource.plural), &[cause])
            }
            Self::InvalidOptions { kind, cause } => {
                json!({"group": "meta.k8s.io", "kind": kind, "causes": [cause.json()]})
            }
            Self::Unpatchable => json!({}),
            Self::NotYet { .. } => json!({
                "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                "retryAfterSeconds": 1
            }),
            Self::Injected(429) => json!({"retryAfterSeconds": 1}),
            _ => return None,
        })
    }

    /// Returns the Status object that a client gets.
    pub fn status(&self) -> Value {
        let (code, reason) = self.class();
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.to_string(), "code": code
        });
        if let Some(status) = status.as_object_mut() {
            if !reason.is_empty() {
                status.insert("reason".into(), reason.into());
            }
            if let Some(details) = self.details() {
                status.insert("details".into(), details);
            }
        }
        status
    }
}

fn injected_reason(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::resource::by_plural;

    #[test]
    fn a_core_object_is_named_without_a_group_and_others_with_it() {
        let pod = Refusal::NotFound(Named::new(by_plural("pods").unwrap(), "p"));
        assert_eq!(pod.to_string(), "pods \"p\" not found");
        let web = Refusal::NotFound(Named::new(by_plural("virtualservices").unwrap(), "web"));
        assert_eq!(web.to_string(), "virtualservices.networking.istio.io \"web\" not found");
        assert_eq!(web.status()["details"]["group"], "networking.istio.io");
        assert_eq!(web.status()["code"], 404);
    }

    #[test]
    fn two_mistakes_are_listed_in_brackets() {
        let named = Named::new(by_plural("pods").unwrap(), "p");
        let causes = vec![Cause::required("a", ""), Cause::invalid("b", "bad")];
        let refusal = Refusal::Invalid { named, causes };
        assert_eq!(refusal.to_string(), "Pod \"p\" is invalid: [a: Required value, b: bad]");
    }
}
