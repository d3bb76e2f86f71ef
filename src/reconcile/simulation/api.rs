//! A model API server for one route: two objects, compare-and-swap, resource versions.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};
use tidegate::{
    cluster::Outcome,
    istio::{Change, Edit, ObjectKind},
};

/// The objects as an API server holds them.
#[derive(Clone, Default, PartialEq)]
pub struct Api {
    pub objects: BTreeMap<ObjectKind, Arc<Value>>,
    version: u64,
}

impl Api {
    /// Stores an object whatever is there.
    pub fn put(&mut self, kind: ObjectKind, mut object: Value) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("uid-{}", self.version));
        }
        let before = self.objects.get(&kind).filter(|before| before["metadata"]["uid"] == object["metadata"]["uid"]);
        object["metadata"]["generation"] = match before {
            Some(before) if before["spec"] == object["spec"] => before["metadata"]["generation"].clone(),
            Some(before) => json!(before["metadata"]["generation"].as_i64().unwrap_or(0) + 1),
            None => json!(1),
        };
        let object = Arc::new(object);
        self.objects.insert(kind, object.clone());
        object
    }

    /// What comes of a write.
    pub fn write(&mut self, edit: &Edit) -> Outcome {
        match (&edit.change, self.objects.get(&edit.kind).cloned()) {
            (Change::Create(object), None) => Outcome::Applied(Some(self.put(edit.kind, object.clone()))),
            (Change::Patch { patch, .. }, Some(live)) => {
                let mut object = Value::clone(&live);
                // What fails is dropped whole, so nothing has to be undone.
                match json_patch::patch_unsafe(&mut object, patch) {
                    Ok(()) if object == *live => Outcome::Applied(Some(live)),
                    Ok(()) => Outcome::Applied(Some(self.put(edit.kind, object))),
                    Err(_) => Outcome::Stale,
                }
            }
            (Change::Delete { resource_version, .. }, Some(live))
                if live["metadata"]["resourceVersion"] == json!(resource_version) =>
            {
                self.objects.remove(&edit.kind);
                Outcome::Applied(None)
            }
            _ => Outcome::Stale,
        }
    }
}
