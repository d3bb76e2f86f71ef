//! Answers gets and lists.

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::answer;
use super::history::Key;
use super::object::{Shape, View};
use super::path::{Options, Place};
use super::refusal::Refusal;
use super::resource::Origin;
use super::state::{Listing, Mark, Page};
use super::store::Store;

/// Answers with one object.
pub fn get(store: &Store, place: &Place, shape: Shape) -> Result<Response, Refusal> {
    let namespace = place.namespace.as_deref().unwrap_or_default();
    let name = place.name.as_deref().unwrap_or_default();
    let object = store.read(|state| state.get(place.resource, namespace, name))?;
    Ok(answer::json(200, &View { object: &object, resource: place.resource, served: place.served, shape }))
}

/// Answers with a page of objects.
pub fn list(store: &Store, place: &Place, options: &Options, shape: Shape) -> Result<Response, Refusal> {
    options.check_versions(false)?;
    let version = options.number("resourceVersion")?;
    let limit = usize::try_from(options.number("limit")?.unwrap_or(0)).unwrap_or(usize::MAX);
    let from = match options.text("continue") {
        "" => None,
        token => Some(
            unmark(token)
                .ok_or_else(|| Refusal::BadRequest("invalid continue token: continue key is not valid".into()))?,
        ),
    };
    let exact = version.filter(|version| {
        let matching = options.text("resourceVersionMatch");
        *version > 0 && (matching == "Exact" || (matching.is_empty() && limit > 0))
    });
    let listing = Listing {
        namespace: place.namespace.clone(),
        selector: options.selector(place.resource)?,
        // The watch cache, which answers version 0, returns everything at once.
        limit: if version == Some(0) { 0 } else { limit },
        from,
        exact,
    };
    let page = store.read(|state| {
        if let Some(asked) = version.filter(|asked| *asked > state.version()) {
            return Err(Refusal::NotYet { asked, current: state.version() });
        }
        state.list(place.resource, &listing)
    })?;
    Ok(answer::json(200, &written(place, &listing, &page, shape)))
}

/// A list on its way out.
#[derive(Serialize)]
pub struct ListView<'a> {
    kind: String,
    #[serde(rename = "apiVersion")]
    api_version: String,
    metadata: Map<String, Value>,
    items: Vec<View<'a>>,
}

/// Returns a page in the form that the client asked for.
pub fn written<'a>(place: &Place, listing: &Listing, page: &'a Page, shape: Shape) -> ListView<'a> {
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".into(), page.version.to_string().into());
    if let Some(next) = &page.next {
        metadata.insert("continue".into(), mark(next).into());
        if listing.selector.is_empty() {
            metadata.insert("remainingItemCount".into(), page.remaining.into());
        }
    }
    let (kind, api_version) = match shape {
        Shape::Metadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
        Shape::Whole | Shape::Untyped => (format!("{}List", place.resource.kind), place.served.api_version()),
    };
    let shape = match (shape, place.resource.origin) {
        (Shape::Whole, Origin::BuiltIn) => Shape::Untyped,
        (shape, _) => shape,
    };
    let view = |object| View { object, resource: place.resource, served: place.served, shape };
    ListView { kind, api_version, metadata, items: page.objects.iter().map(|object| view(object)).collect() }
}

fn mark((version, key): &Mark) -> String {
    URL_SAFE_NO_PAD.encode(json!({"v": "meta.k8s.io/v1", "rv": version, "start": [key.0, key.1]}).to_string())
}

fn unmark(token: &str) -> Option<Mark> {
    let token: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let key: Key = serde_json::from_value(token.get("start")?.clone()).ok()?;
    Some((token.get("rv")?.as_u64()?, key))
}
