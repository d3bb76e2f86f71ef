//! Who else writes an object, by the field managers that the API server files.

use jiff::Timestamp;
use serde_json::Value;

/// Somebody who wrote an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The name under which the server files its fields.
    pub manager: String,
    /// `Apply` or `Update`.
    pub operation: String,
    /// When it last wrote.
    pub at: Option<Timestamp>,
}

/// The last writer of the object but `own`; who owns a part of the spec goes before who does not, as callers see the
/// spec. None where nobody else is filed: what a write takes over is not the other's any more.
pub fn last_writer(object: &Value, own: &str) -> Option<Writer> {
    let entries = object.get("metadata")?.get("managedFields")?.as_array()?;
    let others = entries.iter().filter_map(|entry| {
        let text = |field: &str| entry.get(field).and_then(Value::as_str);
        let manager = text("manager").filter(|manager| *manager != own)?;
        // What is written through a subresource is nothing that tidegate writes.
        if text("subresource").is_some_and(|part| !part.is_empty()) {
            return None;
        }
        let at = text("time").and_then(|at| at.parse::<Timestamp>().ok());
        let owns_spec = entry.get("fieldsV1").is_some_and(|fields| fields.get("f:spec").is_some());
        let operation = text("operation").unwrap_or("Update").to_owned();
        Some((owns_spec, Writer { manager: manager.to_owned(), operation, at }))
    });
    others.max_by_key(|(owns_spec, writer)| (*owns_spec, writer.at)).map(|(_, writer)| writer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, time: &str, fields: &Value) -> Value {
        json!({"manager": manager, "operation": "Update", "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    fn last(entries: &[Value]) -> Option<String> {
        last_writer(&json!({"metadata": {"managedFields": entries}}), "tidegate").map(|writer| writer.manager)
    }

    #[test]
    fn the_newest_owner_of_the_spec_is_named_before_a_newer_one_of_metadata() {
        let (spec, labels) = (json!({"f:spec": {"f:http": {}}}), json!({"f:metadata": {"f:labels": {"f:a": {}}}}));
        let old = entry("kubectl-edit", "2026-11-21T09:00:00Z", &spec);
        let new = entry("argocd-controller", "2026-11-21T09:01:00Z", &spec);
        let own = entry("tidegate", "2026-11-21T09:02:00Z", &spec);
        let label = entry("labeler", "2026-11-21T09:03:00Z", &labels);
        assert_eq!(last(&[old.clone(), own.clone(), label.clone(), new]).as_deref(), Some("argocd-controller"));
        assert_eq!(last(&[label, old]).as_deref(), Some("kubectl-edit"));
        assert_eq!(last(&[own]), None);
    }

    #[test]
    fn an_entry_without_a_time_or_of_a_subresource_misleads_nobody() {
        let spec = json!({"f:spec": {"f:http": {}}});
        let mut status = entry("istiod", "2026-11-21T09:05:00Z", &spec);
        status["subresource"] = json!("status");
        let mut timeless = entry("flux", "", &spec);
        timeless["operation"] = json!("Apply");
        assert_eq!(last(&[status.clone()]), None);
        assert_eq!(last(&[status, timeless]).as_deref(), Some("flux"));
        assert_eq!(last_writer(&json!({"metadata": {"managedFields": [7, {"manager": 7}]}}), "tidegate"), None);
        assert_eq!(last_writer(&Value::Null, "tidegate"), None);
    }
}
