//! Objects as the server wrote them, unknown fields of `metadata` included.

use std::borrow::Cow;

use kube::Resource;
use kube::api::ObjectMeta;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::Value;

/// Any object as JSON, without `managedFields`.
///
/// kube's `DynamicObject` types `metadata` and so loses what it does not know there (law 9).
#[derive(Clone, Debug)]
pub(super) struct Untyped {
    pub(super) value: Value,
    // Only what a watch needs: the rest of the metadata is read from `value`.
    metadata: ObjectMeta,
}

impl Untyped {
    /// Takes any object; errs where it has no `metadata`.
    pub(super) fn new(mut value: Value) -> Result<Self, &'static str> {
        let fields = value.get_mut("metadata").and_then(Value::as_object_mut).ok_or("the object has no metadata")?;
        fields.remove("managedFields");
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        let metadata = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        Ok(Self { value, metadata })
    }
}

impl<'de> Deserialize<'de> for Untyped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for Untyped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl Resource for Untyped {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn law_09_unknown_fields_of_metadata_survive_and_managed_fields_do_not() {
        let written =
            json!({"metadata": {"name": "web", "fromTomorrow": {"a": 1}, "managedFields": [{}]}, "spec": {"x": 1}});
        let read: Untyped = serde_json::from_value(written).unwrap();
        assert_eq!(
            serde_json::to_value(&read).unwrap(),
            json!({"metadata": {"name": "web", "fromTomorrow": {"a": 1}}, "spec": {"x": 1}})
        );
        assert_eq!(read.meta().name.as_deref(), Some("web"));
    }

    #[test]
    fn a_value_without_metadata_is_refused() {
        assert!(serde_json::from_value::<Untyped>(json!({"spec": {}})).is_err());
    }
}
