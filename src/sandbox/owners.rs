//! Tracks which manager owns which field, and merges server-side applies.
//!
//! A field is a path to a leaf; lists are leaves, as every list in Istio's definitions is. For built-in kinds, whose
//! lists the real server merges by key, that is coarser than the truth.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::object::Body;
use super::refusal::Refusal;

type Path = Vec<String>;

/// Who writes, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The field manager.
    pub manager: String,
    /// Whether by server-side apply.
    pub applied: bool,
    /// Whether through the status subresource.
    pub status: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Owned {
    api_version: String,
    since: String,
    fields: BTreeSet<Path>,
}

/// The owners of one object's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners(BTreeMap<Owner, Owned>);

impl Owners {
    /// Gives every field that differs between two states to the one who changed it.
    pub fn record(&mut self, owner: &Owner, api_version: &str, now: &str, old: &Body, new: &Body) {
        let (before, after) = (leaves(old), leaves(new));
        let changed: BTreeSet<Path> = after
            .iter()
            .filter(|(path, value)| before.get(*path) != Some(*value))
            .map(|(path, _)| path.clone())
            .collect();
        if changed.is_empty() && before.len() == after.len() {
            return;
        }
        for (other, owned) in &mut self.0 {
            owned.fields.retain(|path| after.contains_key(path) && (other == owner || !changed.contains(path)));
        }
        if !changed.is_empty() {
            let mine = self.0.entry(owner.clone()).or_default();
            mine.fields.extend(changed);
            api_version.clone_into(&mut mine.api_version);
            now.clone_into(&mut mine.since);
        }
        self.0.retain(|_, owned| !owned.fields.is_empty());
    }

    /// Merges what a manager applies into the live fields; returns the merged fields and their owners.
    ///
    /// # Errors
    /// Refuses, unless forced, to change what another manager owns.
    pub fn apply(
        &self,
        owner: &Owner,
        force: bool,
        api_version: &str,
        now: &str,
        live: &Body,
        applied: &Body,
    ) -> Result<(Body, Self), Refusal> {
        let (present, wanted) = (leaves(live), leaves(applied));
        let changed: BTreeSet<&Path> =
            wanted.iter().filter(|(path, value)| present.get(*path) != Some(*value)).map(|(path, _)| path).collect();
        let conflicts: Vec<_> = self
            .0
            .iter()
            .filter(|(other, _)| *other != owner)
            .flat_map(|(other, owned)| {
                owned
                    .fields
                    .iter()
                    .filter(|path| changed.contains(path))
                    .map(|path| (other.manager.clone(), dotted(path)))
            })
            .collect();
        if !conflicts.is_empty() && !force {
            return Err(Refusal::Owned(conflicts));
        }
        let mut merged = live.clone();
        let former = self.0.get(owner).cloned().unwrap_or_default();
        for path in former.fields.iter().filter(|path| !wanted.contains_key(*path)) {
            if !self.0.iter().any(|(other, owned)| other != owner && owned.fields.contains(path)) {
                remove(&mut merged, path);
            }
        }
        for (path, value) in &wanted {
            set(&mut merged, path, value);
        }
        let mut owners = self.clone();
        for (_, owned) in owners.0.iter_mut().filter(|(other, _)| *other != owner) {
            owned.fields.retain(|path| !changed.contains(path));
        }
        let fields: BTreeSet<Path> = wanted.keys().cloned().collect();
        let since = if fields == former.fields && changed.is_empty() { former.since } else { now.to_owned() };
        owners.0.insert(owner.clone(), Owned { api_version: api_version.to_owned(), since, fields });
        owners.0.retain(|other, owned| other == owner || !owned.fields.is_empty());
        Ok((merged, owners))
    }

    /// Returns `metadata.managedFields`.
    pub fn managed_fields(&self) -> Value {
        self.0
            .iter()
            .map(|(owner, owned)| {
                let mut tree = Map::new();
                for path in &owned.fields {
                    plant(&mut tree, path);
                }
                let mut entry = json!({
                    "manager": owner.manager,
                    "operation": if owner.applied { "Apply" } else { "Update" },
                    "apiVersion": owned.api_version,
                    "time": owned.since,
                    "fieldsType": "FieldsV1",
                    "fieldsV1": tree,
                });
                if let (true, Some(entry)) = (owner.status, entry.as_object_mut()) {
                    entry.insert("subresource".into(), "status".into());
                }
                entry
            })
            .collect()
    }
}

const OWNABLE_METADATA: [&str; 4] = ["labels", "annotations", "finalizers", "ownerReferences"];

fn leaves(body: &Body) -> BTreeMap<Path, &Value> {
    let mut out = BTreeMap::new();
    for (key, value) in body {
        match (key.as_str(), value) {
            ("apiVersion" | "kind", _) => {}
            ("metadata", Value::Object(metadata)) => {
                for field in OWNABLE_METADATA {
                    if let Some(value) = metadata.get(field) {
                        descend(vec![key.clone(), field.to_owned()], value, &mut out);
                    }
                }
            }
            _ => descend(vec![key.clone()], value, &mut out),
        }
    }
    out
}

fn descend<'a>(path: Path, value: &'a Value, out: &mut BTreeMap<Path, &'a Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let mut deeper = path.clone();
                deeper.push(key.clone());
                descend(deeper, value, out);
            }
        }
        _ => {
            out.insert(path, value);
        }
    }
}

fn dotted(path: &Path) -> String {
    path.iter().flat_map(|part| [".", part.as_str()]).collect()
}

fn set(body: &mut Body, path: &[String], value: &Value) {
    match path {
        [] => {}
        [last] => {
            let stays = value.as_object().is_some_and(Map::is_empty) && body.get(last).is_some_and(Value::is_object);
            if !stays {
                body.insert(last.clone(), value.clone());
            }
        }
        [first, rest @ ..] => {
            let child = body.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
            if !child.is_object() {
                *child = Value::Object(Map::new());
            }
            if let Some(child) = child.as_object_mut() {
                set(child, rest, value);
            }
        }
    }
}

fn remove(body: &mut Body, path: &[String]) {
    match path {
        [] => {}
        [last] => {
            body.remove(last);
        }
        [first, rest @ ..] => {
            if let Some(child) = body.get_mut(first).and_then(Value::as_object_mut) {
                remove(child, rest);
                if child.is_empty() {
                    body.remove(first);
                }
            }
        }
    }
}

fn plant(tree: &mut Body, path: &[String]) {
    if let [first, rest @ ..] = path {
        let child = tree.entry(format!("f:{first}")).or_insert_with(|| Value::Object(Map::new()));
        if let Some(child) = child.as_object_mut() {
            plant(child, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(value: Value) -> Body {
        value.as_object().unwrap().clone()
    }

    fn applier(manager: &str) -> Owner {
        Owner { manager: manager.into(), applied: true, status: false }
    }

    #[test]
    fn another_managers_field_is_changed_only_by_force() {
        let mine = body(json!({"spec": {"hosts": ["a"], "gateways": ["mesh"]}}));
        let (live, owners) = Owners::default().apply(&applier("one"), false, "v1", "t", &Body::new(), &mine).unwrap();
        let theirs = body(json!({"spec": {"hosts": ["b"]}}));
        let refusal = owners.apply(&applier("two"), false, "v1", "t", &live, &theirs).unwrap_err();
        assert_eq!(refusal.to_string(), "Apply failed with 1 conflict: conflict with \"one\": .spec.hosts");
        let (forced, owners) = owners.apply(&applier("two"), true, "v1", "t", &live, &theirs).unwrap();
        assert_eq!(Value::Object(forced.clone()), json!({"spec": {"hosts": ["b"], "gateways": ["mesh"]}}));
        assert!(owners.apply(&applier("one"), false, "v1", "t", &forced, &mine).is_err());
    }

    #[test]
    fn a_field_left_out_of_the_next_apply_goes_unless_somebody_else_owns_it() {
        let both = body(json!({"metadata": {"labels": {"x": "y"}}, "spec": {"hosts": ["a"], "gateways": ["mesh"]}}));
        let (live, owners) = Owners::default().apply(&applier("one"), false, "v1", "t", &Body::new(), &both).unwrap();
        let shared = body(json!({"spec": {"hosts": ["a"]}}));
        let (live, owners) = owners.apply(&applier("two"), false, "v1", "t", &live, &shared).unwrap();
        let (left, _) = owners.apply(&applier("one"), false, "v1", "t", &live, &body(json!({"spec": {}}))).unwrap();
        assert_eq!(Value::Object(left), json!({"spec": {"hosts": ["a"]}}));
    }

    #[test]
    fn an_update_takes_the_fields_it_changes() {
        let old = body(json!({"spec": {"hosts": ["a"], "http": []}}));
        let new = body(json!({"spec": {"hosts": ["b"], "http": []}}));
        let (one, two) =
            (Owner { manager: "one".into(), ..Owner::default() }, Owner { manager: "two".into(), ..Owner::default() });
        let mut owners = Owners::default();
        owners.record(&one, "v1", "t", &Body::new(), &old);
        owners.record(&two, "v1", "u", &old, &new);
        let fields = owners.managed_fields();
        assert_eq!(fields[0]["fieldsV1"], json!({"f:spec": {"f:http": {}}}));
        assert_eq!(fields[1]["fieldsV1"], json!({"f:spec": {"f:hosts": {}}}));
    }
}
