//! Keeps one object as JSON without its version, and writes it out in whichever version is asked for.

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::owners::Owners;
use super::resource::{Resource, Served};

/// A JSON object.
pub type Body = Map<String, Value>;

/// A stored object: its fields but `apiVersion` and `kind`, and who owns them.
#[derive(Debug, Clone, Default)]
pub struct Object {
    /// All fields, named as in the store.
    pub body: Body,
    /// Which manager wrote which field.
    pub owners: Owners,
    /// The resourceVersion as a number.
    pub version: u64,
}

impl Object {
    /// Returns a text of `metadata`, empty if it is not there.
    pub fn meta(&self, field: &str) -> &str {
        self.metadata().and_then(|meta| meta.get(field)).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns `metadata`.
    pub fn metadata(&self) -> Option<&Body> {
        self.body.get("metadata").and_then(Value::as_object)
    }

    /// Returns the value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.metadata()?.get("labels")?.get(key)?.as_str()
    }

    /// Returns whether a finalizer holds the object.
    pub fn is_held(&self) -> bool {
        self.metadata().and_then(|meta| meta.get("finalizers")).and_then(Value::as_array).is_some_and(|f| !f.is_empty())
    }

    /// Returns the object as a client of that version sees it.
    pub fn versioned(&self, resource: &Resource, served: &Served) -> Value {
        let mut out = Body::new();
        out.insert("apiVersion".into(), served.api_version().into());
        out.insert("kind".into(), resource.kind.into());
        out.extend(self.body.iter().map(|(key, value)| (outward(served, key).to_owned(), value.clone())));
        Value::Object(out)
    }
}

/// Drops `apiVersion` and `kind` and gives every field the name it has in the store.
pub fn inward(served: &Served, versioned: Body) -> Body {
    versioned
        .into_iter()
        .filter(|(key, _)| key != "apiVersion" && key != "kind")
        .map(|(key, value)| match served.renames.iter().find(|(_, there)| *there == key) {
            Some((here, _)) => ((*here).to_owned(), value),
            None => (key, value),
        })
        .collect()
}

fn outward<'a>(served: &Served, key: &'a str) -> &'a str {
    served.renames.iter().find(|(here, _)| *here == key).map_or(key, |(_, there)| there)
}

/// How much of an object an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The whole object with its type.
    Whole,
    /// The whole object without its type, as items of built-in lists are.
    Untyped,
    /// `metadata` alone.
    Metadata,
}

/// An object on its way out; it is written without being copied.
pub struct View<'a> {
    /// What is written.
    pub object: &'a Object,
    /// The row it belongs to.
    pub resource: &'a Resource,
    /// The version it is written in.
    pub served: &'a Served,
    /// How much of it.
    pub shape: Shape,
}

impl Serialize for View<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.shape {
            Shape::Metadata => {
                map.serialize_entry("kind", "PartialObjectMetadata")?;
                map.serialize_entry("apiVersion", "meta.k8s.io/v1")?;
                if let Some(metadata) = self.object.body.get("metadata") {
                    map.serialize_entry("metadata", metadata)?;
                }
                return map.end();
            }
            Shape::Whole => {
                map.serialize_entry("apiVersion", &self.served.api_version())?;
                map.serialize_entry("kind", self.resource.kind)?;
            }
            Shape::Untyped => {}
        }
        for (key, value) in &self.object.body {
            map.serialize_entry(outward(self.served, key), value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::resource::by_path;
    use serde_json::json;

    #[test]
    fn an_event_is_seen_through_both_of_its_groups() {
        let (resource, new) = by_path("events.k8s.io", "v1", "events").unwrap();
        let (_, old) = by_path("", "v1", "events").unwrap();
        let written =
            json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "note": "hello", "regarding": {"name": "p"}});
        let object = Object { body: inward(new, written.as_object().unwrap().clone()), ..Object::default() };
        let seen = object.versioned(resource, old);
        assert_eq!(
            seen,
            json!({"apiVersion": "v1", "kind": "Event", "message": "hello", "involvedObject": {"name": "p"}})
        );
        assert_eq!(object.versioned(resource, new), written);
        let view = View { object: &object, resource, served: new, shape: Shape::Whole };
        assert_eq!(serde_json::to_value(view).unwrap(), written);
    }
}
