//! Changes the state: create, update and delete, with the preconditions and the bookkeeping of the real server.

use std::hash::BuildHasher;
use std::sync::Arc;

use serde_json::Value;

use super::history::Change;
use super::object::{Body, Object};
use super::owners::{Owner, Owners};
use super::refusal::{Named, Refusal};
use super::resource::{Origin, Resource, Served, by_plural};
use super::state::State;
use super::validate;

/// Who writes, when, in which version, and whether in earnest.
#[derive(Debug, Clone)]
pub struct Author {
    /// The field manager and its way of writing.
    pub owner: Owner,
    /// The version that the request is written in.
    pub served: &'static Served,
    /// The present instant in RFC 3339, to the second.
    pub now: String,
    /// Whether nothing is to be kept.
    pub dry_run: bool,
}

/// The new fields of an object, with their owners if the edit knows them better than a comparison would.
pub type Edited = (Body, Option<Owners>);

/// What a deletion must find.
#[derive(Debug, Clone, Default)]
pub struct Preconditions {
    /// The uid.
    pub uid: Option<String>,
    /// The resourceVersion.
    pub version: Option<String>,
}

/// What clients may write; anything else in `metadata` is the server's or is dropped.
const OPEN_METADATA: [&str; 5] = ["generateName", "labels", "annotations", "finalizers", "ownerReferences"];
const KEPT_METADATA: [&str; 9] = [
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "resourceVersion",
];

impl State {
    /// Stores a new object and returns it.
    ///
    /// # Errors
    /// Refuses a name that is taken, a namespace that is not there, and what [`validate::check`] refuses.
    pub fn create(
        &mut self,
        resource: &'static Resource,
        namespace: &str,
        (mut body, owners): Edited,
        author: &Author,
    ) -> Result<Arc<Object>, Refusal> {
        let namespaces = by_plural("namespaces").filter(|row| resource.namespaced && *row != resource);
        if let Some(namespaces) = namespaces {
            self.get(namespaces, "", namespace)?;
        }
        let serial = self.version + 1;
        let uid = self.uid(serial);
        let suffix = self.suffix(serial);
        let mut meta = take_metadata(&mut body);
        if meta.get("resourceVersion").and_then(Value::as_str).is_some_and(|version| !version.is_empty()) {
            return Err(Refusal::VersionOnCreate);
        }
        let prefix = meta.get("generateName").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !prefix.is_empty() && text(&meta, "name").is_empty() {
            meta.insert("name".into(), format!("{prefix}{suffix}").into());
        }
        let name = text(&meta, "name").to_owned();
        if resource.namespaced {
            meta.insert("namespace".into(), namespace.into());
        }
        meta.retain(|field, _| field == "name" || field == "namespace" || OPEN_METADATA.contains(&field.as_str()));
        meta.insert("uid".into(), uid.into());
        meta.insert("creationTimestamp".into(), author.now.clone().into());
        if resource.generation {
            meta.insert("generation".into(), 1.into());
        }
        finish_new(resource, &name, &mut meta, &mut body);
        put_metadata(&mut body, meta);
        let mut owners = owners.unwrap_or_default();
        if !author.owner.applied {
            owners.record(&author.owner, &author.served.api_version(), &author.now, &Body::new(), &body);
        }
        let object = Object { body, owners, version: 0 };
        validate::check(resource, author.served, &object)?;
        if self.find(resource, namespace, &name).is_some() {
            return Err(Refusal::AlreadyExists(Named::new(resource, &name)));
        }
        Ok(self.commit(resource, None, object, author.dry_run, false))
    }

    /// Edits an object and returns its new state, or the present one if nothing changed.
    ///
    /// # Errors
    /// Refuses if it is not there, if the edit does, if the edited object names another uid or resourceVersion than the
    /// present ones, and what [`validate::check`] refuses.
    pub fn update(
        &mut self,
        resource: &'static Resource,
        (namespace, name): (&str, &str),
        author: &Author,
        edit: impl FnOnce(&Object) -> Result<Edited, Refusal>,
    ) -> Result<Arc<Object>, Refusal> {
        let old = self.get(resource, namespace, name)?;
        let (mut body, applied_owners) = edit(&old)?;
        let named = || Named::new(resource, name);
        let meta = take_metadata(&mut body);
        let version = text(&meta, "resourceVersion");
        if !version.is_empty() && version != old.meta("resourceVersion") {
            return Err(Refusal::Modified(named()));
        }
        let uid = text(&meta, "uid");
        if !uid.is_empty() && uid != old.meta("uid") {
            let (expected, found) = (uid.to_owned(), old.meta("uid").to_owned());
            return Err(Refusal::Replaced { named: named(), expected, found });
        }
        put_metadata(&mut body, meta);
        restrict(resource, author.owner.status, &old, &mut body);
        let mut owners = applied_owners.unwrap_or_else(|| old.owners.clone());
        if !author.owner.applied {
            owners.record(&author.owner, &author.served.api_version(), &author.now, &old.body, &body);
        }
        if body == old.body && owners == old.owners {
            return Ok(old);
        }
        if resource.generation && differs_in_content(&old.body, &body) {
            raise_generation(&mut body);
        }
        let object = Object { body, owners, version: old.version };
        validate::check(resource, author.served, &object)?;
        let gone = old.metadata().is_some_and(|meta| meta.contains_key("deletionTimestamp")) && !object.is_held();
        Ok(self.commit(resource, Some(old), object, author.dry_run, gone))
    }

    /// Deletes an object, or marks it if a finalizer holds it; returns its last state and whether it is gone.
    ///
    /// # Errors
    /// Refuses if it is not there or not the one that the preconditions mean.
    pub fn delete(
        &mut self,
        resource: &'static Resource,
        (namespace, name): (&str, &str),
        preconditions: &Preconditions,
        now: &str,
        dry_run: bool,
    ) -> Result<(Arc<Object>, bool), Refusal> {
        let old = self.get(resource, namespace, name)?;
        let checks = [
            ("UID", "uid", &preconditions.uid, "The object might have been deleted and then recreated"),
            ("ResourceVersion", "resourceVersion", &preconditions.version, "The object might have been modified"),
        ];
        for (what, field, expected, guess) in checks {
            if let Some(expected) = expected.as_ref().filter(|expected| *expected != old.meta(field)) {
                let (expected, found) = (expected.clone(), old.meta(field).to_owned());
                return Err(Refusal::Precondition { named: Named::new(resource, name), what, expected, found, guess });
            }
        }
        let mut object = (*old).clone();
        let mut meta = take_metadata(&mut object.body);
        let marked = meta.contains_key("deletionTimestamp");
        if !marked {
            meta.insert("deletionTimestamp".into(), now.into());
            meta.insert("deletionGracePeriodSeconds".into(), 0.into());
        }
        put_metadata(&mut object.body, meta);
        if old.is_held() {
            if marked {
                return Ok((old, false));
            }
            raise_generation(&mut object.body);
            return Ok((self.commit(resource, Some(old), object, dry_run, false), false));
        }
        if resource.plural == "namespaces" && !dry_run {
            self.empty_namespace(name);
        }
        let object = if resource.delete_returns_object { object } else { (*old).clone() };
        Ok((self.commit(resource, Some(old), object, dry_run, true), true))
    }

    /// The real server leaves this to a controller; here a namespace takes its objects along at once.
    fn empty_namespace(&mut self, namespace: &str) {
        let doomed: Vec<_> = self
            .tables
            .iter()
            .filter_map(|(plural, table)| by_plural(plural).map(|resource| (resource, table)))
            .flat_map(|(resource, table)| table.objects.iter().map(move |(key, object)| (resource, key, object)))
            .filter(|(_, key, _)| key.0 == namespace)
            .map(|(resource, _, object)| (resource, Arc::clone(object)))
            .collect();
        for (resource, object) in doomed {
            let last = (*object).clone();
            self.commit(resource, Some(object), last, false, true);
        }
    }

    fn commit(
        &mut self,
        resource: &'static Resource,
        before: Option<Arc<Object>>,
        mut object: Object,
        dry_run: bool,
        deleted: bool,
    ) -> Arc<Object> {
        let mut meta = take_metadata(&mut object.body);
        meta.insert("managedFields".into(), object.owners.managed_fields());
        if !dry_run {
            self.version += 1;
            object.version = self.version;
            meta.insert("resourceVersion".into(), self.version.to_string().into());
        }
        put_metadata(&mut object.body, meta);
        if dry_run {
            return Arc::new(object);
        }
        let after = Arc::new(object);
        let key = (after.meta("namespace").to_owned(), after.meta("name").to_owned());
        if let Some(table) = self.tables.get_mut(resource.plural) {
            if deleted {
                table.objects.remove(&key);
            } else {
                table.objects.insert(key.clone(), Arc::clone(&after));
            }
            table.latest = self.version;
            table.history.push(Change { version: self.version, key, before, after: Arc::clone(&after), deleted });
        }
        after
    }

    fn uid(&self, serial: u64) -> String {
        let (high, low) = (self.seed.hash_one((serial, "high")), self.seed.hash_one((serial, "low")));
        let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
        let (d, e) = (0x8000 | ((low >> 48) & 0x3fff), low & 0xffff_ffff_ffff);
        format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}")
    }

    fn suffix(&self, serial: u64) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut left = self.seed.hash_one((serial, "suffix"));
        let mut suffix = String::new();
        for _ in 0..5 {
            let at = usize::try_from(left % LETTERS.len() as u64).unwrap_or(0);
            suffix.extend(LETTERS.get(at).map(|letter| char::from(*letter)));
            left /= LETTERS.len() as u64;
        }
        suffix
    }
}

fn finish_new(resource: &'static Resource, name: &str, meta: &mut Body, body: &mut Body) {
    if resource.status {
        body.remove("status");
    }
    if resource.plural == "pods" {
        body.insert("status".into(), serde_json::json!({"phase": "Pending"}));
    }
    if resource.plural == "namespaces" {
        let labels = meta.entry("labels").or_insert_with(|| Value::Object(Body::new()));
        if let Some(labels) = labels.as_object_mut() {
            labels.insert("kubernetes.io/metadata.name".into(), name.into());
        }
        body.insert("spec".into(), serde_json::json!({"finalizers": ["kubernetes"]}));
        body.insert("status".into(), serde_json::json!({"phase": "Active"}));
    }
}

/// Refuses a replacement that does not say which state it replaces, where the real server does.
///
/// # Errors
/// Refuses if the resource needs a resourceVersion and the body has none.
pub fn require_version(resource: &'static Resource, name: &str, body: &Body) -> Result<(), Refusal> {
    let version = body.get("metadata").and_then(|meta| meta.get("resourceVersion")).and_then(Value::as_str);
    if resource.needs_version && version.unwrap_or_default().is_empty() {
        return Err(Refusal::Unconditional(Named::new(resource, name)));
    }
    Ok(())
}

/// Puts back what a client can't change: the server's own metadata, and `status` or all but `status`.
fn restrict(resource: &'static Resource, status: bool, old: &Object, body: &mut Body) {
    let kept = old.metadata().cloned().unwrap_or_default();
    let mut meta = take_metadata(body);
    meta.retain(|field, _| OPEN_METADATA.contains(&field.as_str()));
    meta.extend(KEPT_METADATA.iter().filter_map(|field| Some(((*field).to_owned(), kept.get(*field)?.clone()))));
    for field in OPEN_METADATA {
        let empty = |value: &Value| {
            value.is_null()
                || value.as_object().is_some_and(Body::is_empty)
                || value.as_array().is_some_and(Vec::is_empty)
        };
        if meta.get(field).is_some_and(empty) {
            meta.remove(field);
        }
    }
    put_metadata(body, meta);
    if status {
        let new_status = body.remove("status");
        let new_meta = body.remove("metadata");
        *body = old.body.clone();
        if let (Origin::BuiltIn, Some(meta)) = (resource.origin, new_meta) {
            body.insert("metadata".into(), meta);
        }
        match new_status {
            Some(value) => body.insert("status".into(), value),
            None => body.remove("status"),
        };
    } else if resource.status {
        match old.body.get("status") {
            Some(value) => body.insert("status".into(), value.clone()),
            None => body.remove("status"),
        };
    }
}

fn differs_in_content(old: &Body, new: &Body) -> bool {
    let content = |body: &Body| body.iter().filter(|(key, _)| *key != "metadata" && *key != "status").count();
    content(old) != content(new)
        || new.iter().any(|(key, value)| key != "metadata" && key != "status" && old.get(key) != Some(value))
}

fn raise_generation(body: &mut Body) {
    let mut meta = take_metadata(body);
    if let Some(generation) = meta.get("generation").and_then(Value::as_i64) {
        meta.insert("generation".into(), (generation + 1).into());
    }
    put_metadata(body, meta);
}

fn text<'a>(meta: &'a Body, field: &str) -> &'a str {
    meta.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Takes `metadata` out, empty if it was not there or no object.
pub fn take_metadata(body: &mut Body) -> Body {
    match body.remove("metadata") {
        Some(Value::Object(meta)) => meta,
        _ => Body::new(),
    }
}

/// Puts `metadata` back.
pub fn put_metadata(body: &mut Body, meta: Body) {
    body.insert("metadata".into(), Value::Object(meta));
}
