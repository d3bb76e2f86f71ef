//! Streams the changes of one resource: first what is there, if asked for, then each change as it is made.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::stream;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::history::Change;
use super::object::{Object, Shape, View};
use super::path::{Options, Place};
use super::refusal::Refusal;
use super::selector::Selector;
use super::state::Listing;
use super::store::{Round, Store};

/// The longest that a watch without `timeoutSeconds` lasts.
const LASTS_S: u64 = 30 * 60;
/// How often an idle watch tells how far it has got.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// The most bytes that are gathered into one chunk.
const CHUNK_MAX: usize = 64 * 1024;

struct Watching {
    store: Store,
    place: Place,
    selector: Selector,
    shape: Shape,
    cursor: u64,
    bookmarks: bool,
    pending: VecDeque<Bytes>,
    changes: watch::Receiver<u64>,
    rounds: watch::Receiver<Round>,
    ends: Instant,
    over: bool,
}

#[derive(Serialize)]
struct Event<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    object: T,
}

/// Returns the body of the answer to a watch.
///
/// # Errors
/// Refuses options that mean nothing. A version that is forgotten is no refusal but an ERROR event, as on a real server.
pub fn body(store: &Store, place: &Place, options: &Options, shape: Shape) -> Result<Body, Refusal> {
    options.check_versions(true)?;
    let selector = options.selector(place.resource)?;
    let from = match options.text("resourceVersion") {
        "" => 0,
        text => text.parse().map_err(|_| Refusal::BadRequest(format!("resourceVersion: Invalid value: {text:?}")))?,
    };
    let lasts = options.number("timeoutSeconds")?.filter(|seconds| *seconds > 0).unwrap_or(LASTS_S).min(LASTS_S);
    let changes = store.changes_of(place.resource).ok_or(Refusal::MethodNotAllowed)?;
    let mut watching = Watching {
        store: store.clone(),
        place: place.clone(),
        selector,
        shape,
        cursor: from,
        bookmarks: options.is_true("allowWatchBookmarks"),
        pending: VecDeque::new(),
        changes,
        rounds: store.rounds(),
        ends: Instant::now() + Duration::from_secs(lasts),
        over: false,
    };
    let initial = options.is_true("sendInitialEvents");
    if initial || (from == 0 && options.text("sendInitialEvents").is_empty()) {
        watching.begin(initial)?;
    } else if from == 0 {
        watching.cursor = store.read(super::state::State::version);
    }
    watching.catch_up();
    Ok(Body::from_stream(stream::unfold(watching, |mut watching| async move {
        let chunk = watching.next().await?;
        Some((Ok::<_, Infallible>(chunk), watching))
    })))
}

impl Watching {
    fn begin(&mut self, tell_end: bool) -> Result<(), Refusal> {
        let (namespace, selector) = (self.place.namespace.clone(), self.selector.clone());
        let listing = Listing { namespace, selector, ..Listing::default() };
        let page = self.store.read(|state| state.list(self.place.resource, &listing))?;
        for object in &page.objects {
            self.push("ADDED", object);
        }
        self.cursor = page.version;
        if tell_end && self.bookmarks {
            self.bookmark(true);
        }
        Ok(())
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.chunk() {
                return Some(chunk);
            }
            if self.over || *self.rounds.borrow() == Round::Closed {
                return None;
            }
            let idle = Instant::now() + BOOKMARK_EVERY;
            tokio::select! {
                biased;
                changed = self.changes.changed() => if changed.is_err() { return None },
                _ = self.rounds.changed() => return None,
                () = tokio::time::sleep_until(self.ends) => return None,
                () = tokio::time::sleep_until(idle), if self.bookmarks => self.bookmark(false),
            }
            self.catch_up();
        }
    }

    fn catch_up(&mut self) {
        self.changes.borrow_and_update();
        match self.store.read(|state| state.since(self.place.resource, self.cursor)) {
            Ok((changes, reached)) => {
                for change in changes {
                    self.tell(&change);
                }
                self.cursor = reached;
            }
            Err(refusal) => {
                self.line("ERROR", &refusal.status());
                self.over = true;
            }
        }
    }

    fn tell(&mut self, change: &Change) {
        if self.place.namespace.as_ref().is_some_and(|namespace| change.key.0 != *namespace) {
            return;
        }
        let picked = |object: &Arc<Object>| self.selector.picks(object);
        let before = change.before.as_ref().is_some_and(picked);
        let after = !change.deleted && picked(&change.after);
        match (before, after) {
            (false, false) => {}
            (false, true) => self.push("ADDED", &change.after),
            (true, true) => self.push("MODIFIED", &change.after),
            (true, false) => self.push("DELETED", &change.after),
        }
    }

    fn push(&mut self, kind: &str, object: &Object) {
        let view = View { object, resource: self.place.resource, served: self.place.served, shape: self.shape };
        self.line(kind, &view);
    }

    fn bookmark(&mut self, initial: bool) {
        let version = self.cursor.to_string();
        let metadata = if initial {
            json!({"resourceVersion": version, "annotations": {"k8s.io/initial-events-end": "true"}})
        } else {
            json!({"resourceVersion": version})
        };
        let (api_version, kind) = match self.shape {
            Shape::Metadata => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata"),
            Shape::Whole | Shape::Untyped => (self.place.served.api_version(), self.place.resource.kind),
        };
        self.line("BOOKMARK", &json!({"apiVersion": api_version, "kind": kind, "metadata": metadata}) as &Value);
    }

    fn line(&mut self, kind: &str, object: &impl Serialize) {
        if let Ok(mut line) = serde_json::to_vec(&Event { kind, object }) {
            line.push(b'\n');
            self.pending.push_back(line.into());
        }
    }

    fn chunk(&mut self) -> Option<Bytes> {
        let first = self.pending.pop_front()?;
        if self.pending.is_empty() {
            return Some(first);
        }
        let mut chunk = first.to_vec();
        while let Some(line) = self.pending.pop_front() {
            chunk.extend_from_slice(&line);
            if chunk.len() > CHUNK_MAX {
                break;
            }
        }
        Some(chunk.into())
    }
}
