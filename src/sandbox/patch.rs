//! Turns the body of a PATCH into the new fields of an object, by its content type.

use json_patch::PatchOperation;
use serde_json::Value;

use super::object::{Body, Object, inward};
use super::owners::Owner;
use super::refusal::{Cause, Named, Refusal};
use super::resource::{Origin, Resource, Served};
use super::write::{Author, Edited, require_version};

/// The ways to patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// RFC 6902.
    Json,
    /// RFC 7396.
    Merge,
    /// Treated like a merge: lists are replaced, not merged by key.
    Strategic,
    /// Server-side apply.
    Apply,
}

const FOR_DEFINED: &str = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
const FOR_BUILT_IN: &str = "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml";

impl Style {
    /// Reads a content type.
    ///
    /// # Errors
    /// Refuses types that the resource does not take.
    pub fn of(content_type: &str, resource: &'static Resource) -> Result<Self, Refusal> {
        let bare = content_type.split(';').next().unwrap_or_default().trim();
        match (bare, resource.origin) {
            ("application/json-patch+json", _) => Ok(Self::Json),
            ("application/merge-patch+json", _) => Ok(Self::Merge),
            ("application/apply-patch+yaml", _) => Ok(Self::Apply),
            ("application/strategic-merge-patch+json", Origin::BuiltIn) => Ok(Self::Strategic),
            (_, Origin::BuiltIn) => Err(Refusal::UnsupportedMediaType(FOR_BUILT_IN)),
            (_, Origin::Istio) => Err(Refusal::UnsupportedMediaType(FOR_DEFINED)),
        }
    }
}

/// A patch that was read.
#[derive(Debug)]
pub enum Patch {
    /// RFC 6902.
    Json(json_patch::Patch),
    /// RFC 7396.
    Merge(Value),
    /// Server-side apply: the fields, and whether to take those of others.
    Apply(Body, bool),
}

impl Patch {
    /// Reads a patch.
    ///
    /// # Errors
    /// Refuses what is not JSON and what is no patch of that style.
    pub fn read(style: Style, bytes: &[u8], force: bool) -> Result<Self, Refusal> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| Refusal::BadRequest(format!("error decoding patch: {error}")))?;
        match (style, value) {
            (Style::Json, value @ Value::Array(_)) => {
                serde_json::from_value(value).map(Self::Json).map_err(|_| Refusal::Unpatchable)
            }
            (Style::Merge | Style::Strategic, value @ Value::Object(_)) => Ok(Self::Merge(value)),
            (Style::Apply, Value::Object(fields)) if is_managed(&fields) => {
                Err(Refusal::BadRequest("metadata.managedFields must be nil".into()))
            }
            (Style::Apply, Value::Object(fields)) => Ok(Self::Apply(fields, force)),
            _ => Err(Refusal::BadRequest("error decoding patch: neither an object nor a list".into())),
        }
    }

    /// Returns the fields that an object has after the patch.
    ///
    /// # Errors
    /// Refuses a JSON Patch that does not fit, a change of name or kind, and an apply that meets another owner.
    pub fn edit(&self, resource: &'static Resource, author: &Author, old: &Object) -> Result<Edited, Refusal> {
        let served = author.served;
        let mut versioned = match self {
            Self::Apply(fields, force) => {
                let applied = inward(served, fields.clone());
                let edited =
                    old.owners.apply(&author.owner, *force, &served.api_version(), &author.now, &old.body, &applied);
                let (mut merged, owners) = edited?;
                let version = applied.get("metadata").and_then(|meta| meta.get("resourceVersion"));
                if let (Some(version), Some(meta)) =
                    (version, merged.get_mut("metadata").and_then(Value::as_object_mut))
                {
                    meta.insert("resourceVersion".into(), version.clone());
                }
                return Ok((merged, Some(owners)));
            }
            Self::Json(_) | Self::Merge(_) => old.versioned(resource, served),
        };
        match self {
            Self::Json(patch) => patch.iter().try_for_each(|operation| step(&mut versioned, operation))?,
            Self::Merge(patch) => json_patch::merge(&mut versioned, patch),
            Self::Apply(..) => {}
        }
        check_identity(resource, served, old.meta("name"), &versioned)?;
        let Value::Object(fields) = versioned else {
            return Err(Refusal::Unpatchable);
        };
        let body = inward(served, fields);
        require_version(resource, old.meta("name"), &body)?;
        let text =
            |field| body.get("metadata").and_then(|meta| meta.get(field)).and_then(Value::as_str).unwrap_or_default();
        if !text("uid").is_empty() && text("uid") != old.meta("uid") {
            let cause = Cause::invalid("metadata.uid", format!("Invalid value: {:?}: field is immutable", text("uid")));
            return Err(Refusal::Invalid { named: Named::new(resource, old.meta("name")), causes: vec![cause] });
        }
        if !text("namespace").is_empty() && text("namespace") != old.meta("namespace") {
            return Err(Refusal::elsewhere());
        }
        Ok((body, None))
    }
}

fn is_managed(fields: &Body) -> bool {
    let managed = fields.get("metadata").and_then(|meta| meta.get("managedFields"));
    managed.is_some_and(|entries| !entries.as_array().is_some_and(Vec::is_empty) && !entries.is_null())
}

fn step(versioned: &mut Value, operation: &PatchOperation) -> Result<(), Refusal> {
    // The real server takes a member that is not there for null; RFC 6902 does not.
    if let PatchOperation::Test(test) = operation
        && test.value.is_null()
        && versioned.pointer(test.path.as_str()).is_none()
        && test.path.parent().is_some_and(|parent| versioned.pointer(parent.as_str()).is_some_and(Value::is_object))
    {
        return Ok(());
    }
    json_patch::patch(versioned, std::slice::from_ref(operation)).map_err(|_| Refusal::Unpatchable)
}

/// Refuses a body whose version, kind or name is not that of the path.
///
/// # Errors
/// Says which of them differs.
pub fn check_identity(resource: &'static Resource, served: &Served, name: &str, body: &Value) -> Result<(), Refusal> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let (found, wanted) = (text(body.get("apiVersion")), served.api_version());
    let optional = resource.origin == Origin::BuiltIn;
    if found != wanted && !(optional && found.is_empty()) {
        return Err(Refusal::BadRequest(format!(
            "the API version in the data ({found}) does not match the expected API version ({wanted})"
        )));
    }
    let kind = text(body.get("kind"));
    if kind.is_empty() && !optional {
        let why =
            format!("the object provided is unrecognized (must be of type {}): its kind is missing", resource.kind);
        return Err(Refusal::BadRequest(why));
    }
    let found = text(body.get("metadata").and_then(|meta| meta.get("name")));
    if kind != resource.kind && !(optional && kind.is_empty()) {
        let cause = Cause::invalid("kind", format!("Invalid value: {kind:?}: must be {}", resource.kind));
        return Err(Refusal::Invalid { named: Named::new(resource, &found), causes: vec![cause] });
    }
    if name.is_empty() || found == name {
        Ok(())
    } else if found.is_empty() {
        Err(Refusal::BadRequest(format!(
            "the name of the object ({name} based on URL) was undeterminable: name must be provided"
        )))
    } else {
        Err(Refusal::BadRequest(format!(
            "the name of the object ({found}) does not match the name on the URL ({name})"
        )))
    }
}

/// Returns the owner of fields that are written in a style.
pub fn owner_of(style: Option<Style>, manager: &str, status: bool) -> Owner {
    Owner { manager: manager.to_owned(), applied: style == Some(Style::Apply), status }
}
