//! Answers creates, replacements, patches and deletions.

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::answer;
use super::object::{Body, Object, Shape, View, inward};
use super::patch::{Patch, Style, check_identity, owner_of};
use super::path::{Options, Place, manager};
use super::reads;
use super::refusal::{Cause, Named, Refusal};
use super::state::Listing;
use super::store::Store;
use super::write::{Author, Preconditions, require_version};

/// A request that may change something.
pub struct Request<'a> {
    /// What it is about.
    pub place: &'a Place,
    /// Its options.
    pub options: &'a Options,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// How much of the object goes into the answer.
    pub shape: Shape,
}

impl Request<'_> {
    fn namespace(&self) -> &str {
        self.place.namespace.as_deref().unwrap_or_default()
    }

    fn name(&self) -> &str {
        self.place.name.as_deref().unwrap_or_default()
    }

    fn author(&self, store: &Store, kind: &'static str, style: Option<Style>) -> Result<Author, Refusal> {
        let dry_run = self.options.dry_run(kind)?;
        let author = store.author("", self.place.served);
        let owner = owner_of(style, &manager(self.options, self.headers), self.place.status);
        Ok(Author { owner, dry_run, ..author })
    }

    fn object(&self) -> Result<Body, Refusal> {
        let kind = self.place.resource.kind;
        let refuse = |why: String| {
            Refusal::BadRequest(format!("the object provided is unrecognized (must be of type {kind}): {why}"))
        };
        let value: Value = serde_json::from_slice(&self.body).map_err(|error| refuse(error.to_string()))?;
        check_identity(self.place.resource, self.place.served, self.name(), &value)?;
        let namespace = value.get("metadata").and_then(|meta| meta.get("namespace")).and_then(Value::as_str);
        if namespace.is_some_and(|given| !given.is_empty() && given != self.namespace()) {
            return Err(Refusal::elsewhere());
        }
        match value {
            Value::Object(fields) => Ok(inward(self.place.served, fields)),
            _ => Err(refuse("not a JSON object".into())),
        }
    }

    fn answer(&self, code: u16, object: &Object) -> Response {
        let view = View { object, resource: self.place.resource, served: self.place.served, shape: self.shape };
        answer::json(code, &view)
    }

    /// Answers a POST.
    pub fn create(&self, store: &Store) -> Result<Response, Refusal> {
        let author = self.author(store, "CreateOptions", None)?;
        let body = self.object()?;
        let object = store.write(|state| state.create(self.place.resource, self.namespace(), (body, None), &author))?;
        Ok(self.answer(201, &object))
    }

    /// Answers a PUT.
    pub fn replace(&self, store: &Store) -> Result<Response, Refusal> {
        let author = self.author(store, "UpdateOptions", None)?;
        let body = self.object()?;
        let object = store.write(|state| {
            state.update(self.place.resource, (self.namespace(), self.name()), &author, |_| {
                require_version(self.place.resource, self.name(), &body)?;
                Ok((body, None))
            })
        })?;
        Ok(self.answer(200, &object))
    }

    /// Answers a PATCH; an apply creates what is not there.
    pub fn patch(&self, store: &Store) -> Result<Response, Refusal> {
        let content_type = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let style = Style::of(content_type.unwrap_or_default(), self.place.resource)?;
        let force = self.options.is_true("force");
        let refuse = |cause| Err(Refusal::InvalidOptions { kind: "PatchOptions", cause });
        if style == Style::Apply && self.options.text("fieldManager").is_empty() {
            return refuse(Cause::required("fieldManager", "is required for apply patch"));
        }
        if style != Style::Apply && force {
            return refuse(Cause::forbidden("force", "may not be specified for non-apply patch"));
        }
        let author = self.author(store, "PatchOptions", Some(style))?;
        let patch = Patch::read(style, &self.body, force)?;
        if let Patch::Apply(fields, _) = &patch {
            check_identity(self.place.resource, self.place.served, self.name(), &Value::Object(fields.clone()))?;
        }
        let at = (self.namespace(), self.name());
        let (code, object) = store.write(|state| {
            let edit = |old: &Object| patch.edit(self.place.resource, &author, old);
            if matches!(patch, Patch::Apply(..)) && state.get(self.place.resource, at.0, at.1).is_err() {
                let (mut body, owners) = edit(&Object::default())?;
                let mut meta = super::write::take_metadata(&mut body);
                meta.insert("name".into(), at.1.into());
                meta.remove("resourceVersion");
                super::write::put_metadata(&mut body, meta);
                return state.create(self.place.resource, at.0, (body, owners), &author).map(|object| (201, object));
            }
            state.update(self.place.resource, at, &author, edit).map(|object| (200, object))
        })?;
        Ok(self.answer(code, &object))
    }

    /// Answers a DELETE of one object.
    pub fn delete(&self, store: &Store) -> Result<Response, Refusal> {
        let (preconditions, dry_run) = self.deletion()?;
        let (resource, now) = (self.place.resource, store.now_text());
        let at = (self.namespace(), self.name());
        let (object, gone) = store.write(|state| state.delete(resource, at, &preconditions, &now, dry_run))?;
        if !gone || resource.delete_returns_object {
            return Ok(self.answer(200, &object));
        }
        let mut details = json!({"name": at.1, "kind": resource.plural, "uid": object.meta("uid")});
        if let (false, Some(details)) = (resource.group().is_empty(), details.as_object_mut()) {
            details.insert("group".into(), resource.group().into());
        }
        let status =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
        Ok(answer::json(200, &status))
    }

    /// Answers a DELETE of many objects with those that it deleted.
    pub fn delete_many(&self, store: &Store) -> Result<Response, Refusal> {
        let (preconditions, dry_run) = self.deletion()?;
        let now = store.now_text();
        let listing = Listing {
            namespace: self.place.namespace.clone(),
            selector: self.options.selector(self.place.resource)?,
            ..Listing::default()
        };
        let page = store.write(|state| {
            let page = state.list(self.place.resource, &listing)?;
            for object in &page.objects {
                let at = (object.meta("namespace"), object.meta("name"));
                state.delete(self.place.resource, at, &preconditions, &now, dry_run)?;
            }
            Ok::<_, Refusal>(page)
        })?;
        Ok(answer::json(200, &reads::written(self.place, &listing, &page, self.shape)))
    }

    fn deletion(&self) -> Result<(Preconditions, bool), Refusal> {
        let body: Value = if self.body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&self.body).map_err(|error| Refusal::BadRequest(error.to_string()))?
        };
        let given =
            |field| body.get("preconditions").and_then(|all| all.get(field)).and_then(Value::as_str).map(str::to_owned);
        let in_body = match body.get("dryRun").and_then(Value::as_array).map(Vec::as_slice) {
            None | Some([]) => false,
            Some([Value::String(all)]) if all == "All" => true,
            Some(other) => {
                let message = format!("Unsupported value: {other:?}: supported values: \"All\"");
                let named = Named::new(self.place.resource, self.name());
                return Err(Refusal::Invalid { named, causes: vec![Cause::invalid("dryRun", message)] });
            }
        };
        let dry_run = in_body || self.options.dry_run("DeleteOptions")?;
        Ok((Preconditions { uid: given("uid"), version: given("resourceVersion") }, dry_run))
    }
}
