//! Keeps watch caches of one cluster and tells what changed in it.
//!
//! ```text
//!  VirtualServices ─┐
//!  DestinationRules ├─ feed (re-lists, backs off) ─► Observer ─┬─► Seen::{Object, Endpoints, Synced, Away, Back}
//!  EndpointSlices   │                                          └─► Endpoints (index)
//!  Pods ────────────┘
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinSet;

use super::feed::{Body, Eager, Fed, Item, Source};
use super::{Cluster, Endpoints, istio_version};
use crate::istio::ObjectKind;
use crate::istio::rules::ClusterLocal;
use crate::plan::ObjectKey;

/// Each may be a whole object.
const QUEUE_MAX: usize = 64;
const PROBE: Duration = Duration::from_millis(250);

/// What was seen in a cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// A VirtualService or DestinationRule appeared, changed or went.
    Object {
        /// Its kind.
        kind: ObjectKind,
        /// Which one.
        key: ObjectKey,
        /// The whole object without `managedFields`; `None` when it is gone.
        live: Option<Arc<Value>>,
    },
    /// The number of ready endpoints of some version of a Service may have changed, or what they run: ask
    /// [`Endpoints::ready`] and [`Endpoints::images`].
    Endpoints {
        /// The Service's namespace.
        namespace: String,
        /// The Service's name.
        service: String,
    },
    /// What the mesh config says of hosts whose callers stay in their cluster; `Err`: why it can't be read.
    ClusterLocal(Result<ClusterLocal, String>),
    /// Everything that was there has been told; comes once.
    Synced,
    /// The cluster can't be watched; trying goes on for ever.
    Away {
        /// One sentence that names the cluster: what went wrong, and what to do about it.
        error: String,
        /// Since when.
        since: Timestamp,
    },
    /// The cluster is watched again; what changed meanwhile is told as any change.
    Back,
}

/// Starts watching a cluster in all namespaces, from within a tokio runtime. It ends when the receiver is dropped.
pub fn watch(cluster: &Cluster) -> (Receiver<Seen>, Endpoints) {
    start(cluster, &Source::ALL)
}

/// The same of endpoints alone: it needs nothing of Istio there.
pub fn watch_endpoints(cluster: &Cluster) -> (Receiver<Seen>, Endpoints) {
    start(cluster, &Source::OF_ENDPOINTS)
}

fn start(cluster: &Cluster, sources: &'static [Source]) -> (Receiver<Seen>, Endpoints) {
    let (seen, receiver) = mpsc::channel(QUEUE_MAX);
    let endpoints = Endpoints::default();
    let observer = Observer::new(cluster.name(), sources, seen, endpoints.clone());
    let cluster = cluster.clone();
    tokio::spawn(async move {
        // It ends with an error only when nobody listens any more.
        let _ = run(cluster, observer).await;
    });
    (receiver, endpoints)
}

async fn run(cluster: Cluster, mut observer: Observer) -> Result<(), Unheard> {
    let mut backoff = Eager::default();
    let of_istio = observer.sources.iter().any(|source| matches!(source, Source::Istio(_)));
    while let Err(error) = if of_istio { istio_version(&cluster).await.map(drop) } else { Ok(()) } {
        let words = format!("{error}; {}", error.hint());
        observer.failed(Source::Istio(ObjectKind::VirtualService), words, Instant::now()).await?;
        let again = async {
            tokio::time::sleep(backoff.next().unwrap_or(PROBE)).await;
            cluster.meter().pulse().answers().await;
        };
        tokio::select! {
            () = again => {}
            () = observer.seen.closed() => return Err(Unheard),
        }
    }
    let (into, mut fed) = mpsc::channel(QUEUE_MAX);
    // Dropped with this function, the set ends the feeds.
    let mut feeds = JoinSet::new();
    for source in observer.sources {
        feeds.spawn(source.feed(cluster.clone(), into.clone()));
    }
    let nobody = observer.seen.clone();
    let mut probe = tokio::time::interval(PROBE);
    let mut pulse = cluster.meter().pulse().follow();
    pulse.mark_changed();
    loop {
        tokio::select! {
            Ok(()) = pulse.changed() => {
                let silent = pulse.borrow_and_update().clone();
                observer.heard(silent.as_deref()).await?;
            }
            news = fed.recv() => match news {
                Some((source, fed)) => observer.take(source, fed).await?,
                None => return Ok(()),
            },
            _ = probe.tick(), if !observer.failing.is_empty() => {
                observer.recovered(|source, since| cluster.meter().watch_opened(source.plural()) > Some(since)).await?;
            }
            () = nobody.closed() => return Err(Unheard),
        }
    }
}

/// Nobody listens any more.
#[derive(Debug)]
struct Unheard;

/// What one source holds, as far as a re-list needs it.
#[derive(Default)]
struct Known {
    versions: HashMap<ObjectKey, Box<str>>,
    listing: Option<HashSet<ObjectKey>>,
    complete: bool,
}

struct Observer {
    cluster: String,
    sources: &'static [Source],
    seen: Sender<Seen>,
    endpoints: Endpoints,
    known: HashMap<Source, Known>,
    failing: HashMap<Source, Instant>,
    /// Whether it does not even answer.
    silent: bool,
    synced: bool,
}

impl Observer {
    fn new(cluster: &str, sources: &'static [Source], seen: Sender<Seen>, endpoints: Endpoints) -> Self {
        let cluster = cluster.to_owned();
        let (known, failing) = (HashMap::new(), HashMap::new());
        Self { cluster, sources, seen, endpoints, known, failing, silent: false, synced: false }
    }

    async fn take(&mut self, source: Source, fed: Fed) -> Result<(), Unheard> {
        let known = self.known.entry(source).or_default();
        match fed {
            Fed::Failed { error, at } => {
                let error = format!("cannot watch {} of cluster {}: {error}", source.plural(), self.cluster);
                return self.failed(source, error, at).await;
            }
            // A list that began need not have reached the server yet: no sign of recovery.
            Fed::ListBegins => {
                known.listing = Some(HashSet::new());
                return Ok(());
            }
            Fed::Changed(item) => self.changed(source, item).await?,
            Fed::Gone(key) => self.gone(source, key).await?,
            Fed::ListEnds => {
                known.complete = true;
                if let Some(listed) = known.listing.take() {
                    let gone: Vec<_> = known.versions.keys().filter(|key| !listed.contains(key)).cloned().collect();
                    for key in gone {
                        self.gone(source, key).await?;
                    }
                }
                self.check_synced().await?;
            }
        }
        self.recovered(|healthy, _| healthy == source).await
    }

    async fn changed(&mut self, source: Source, item: Item) -> Result<(), Unheard> {
        let Item { key, resource_version, body } = item;
        let known = self.known.entry(source).or_default();
        if let Some(listed) = &mut known.listing {
            listed.insert(key.clone());
        }
        // A re-list tells again what is known already.
        if known.versions.get(&key).is_some_and(|version| **version == *resource_version) {
            return Ok(());
        }
        known.versions.insert(key.clone(), resource_version.into());
        let services = match (source, body) {
            (Source::Istio(kind), Body::Istio(object)) => {
                return self.tell(Seen::Object { kind, key, live: Some(Arc::new(object)) }).await;
            }
            (_, Body::Slice(slice)) => self.endpoints.put_slice(&key.namespace, &key.name, &slice),
            (_, Body::Pod(labels, image)) => self.endpoints.put_pod(&key.namespace, &key.name, &labels, image),
            (_, Body::Istio(_)) => Vec::new(),
        };
        self.tell_endpoints(key.namespace, services).await
    }

    async fn gone(&mut self, source: Source, key: ObjectKey) -> Result<(), Unheard> {
        if self.known.entry(source).or_default().versions.remove(&key).is_none() {
            return Ok(());
        }
        let services = match source {
            Source::Istio(kind) => return self.tell(Seen::Object { kind, key, live: None }).await,
            Source::Slices => self.endpoints.remove_slice(&key.namespace, &key.name),
            Source::Pods => self.endpoints.remove_pod(&key.namespace, &key.name),
        };
        self.tell_endpoints(key.namespace, services).await
    }

    async fn tell_endpoints(&self, namespace: String, services: Vec<String>) -> Result<(), Unheard> {
        // Before that nothing is known of any Service, and everything is asked once it is.
        if !self.synced {
            return Ok(());
        }
        for service in services {
            self.tell(Seen::Endpoints { namespace: namespace.clone(), service }).await?;
        }
        Ok(())
    }

    async fn check_synced(&mut self) -> Result<(), Unheard> {
        let complete = self.sources.iter().all(|source| self.known.get(source).is_some_and(|known| known.complete));
        if self.synced || !complete {
            return Ok(());
        }
        self.synced = true;
        self.endpoints.set_synced();
        self.tell(Seen::Synced).await
    }

    async fn failed(&mut self, source: Source, error: String, at: Instant) -> Result<(), Unheard> {
        let first = self.answers();
        self.failing.insert(source, at);
        if first {
            return self.tell(Seen::Away { error, since: Timestamp::now() }).await;
        }
        Ok(())
    }

    /// The cluster fell silent, with why, or answers again.
    async fn heard(&mut self, silent: Option<&str>) -> Result<(), Unheard> {
        let answered = self.answers();
        self.silent = silent.is_some();
        match silent {
            Some(why) if answered => {
                let error = format!("cluster {} does not answer: {why}", self.cluster);
                self.tell(Seen::Away { error, since: Timestamp::now() }).await
            }
            None if !answered && self.answers() => self.tell(Seen::Back).await,
            _ => Ok(()),
        }
    }

    fn answers(&self) -> bool {
        self.failing.is_empty() && !self.silent
    }

    /// Takes the sources that are healthy again off the failing ones.
    async fn recovered(&mut self, healthy: impl Fn(Source, Instant) -> bool) -> Result<(), Unheard> {
        if self.failing.is_empty() {
            return Ok(());
        }
        self.failing.retain(|source, since| !healthy(*source, *since));
        if self.answers() { self.tell(Seen::Back).await } else { Ok(()) }
    }

    async fn tell(&self, seen: Seen) -> Result<(), Unheard> {
        self.seen.send(seen).await.map_err(|_| Unheard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SERVICES: Source = Source::Istio(ObjectKind::VirtualService);

    fn key(name: &str) -> ObjectKey {
        ObjectKey { namespace: "shop".into(), name: name.into() }
    }

    fn changed(name: &str, version: &str) -> Fed {
        let body = Body::Istio(json!({"metadata": {"name": name, "resourceVersion": version}}));
        Fed::Changed(Item { key: key(name), resource_version: version.into(), body })
    }

    fn failed() -> Fed {
        Fed::Failed { error: "torn".into(), at: Instant::now() }
    }

    async fn told(events: impl IntoIterator<Item = (Source, Fed)>) -> Vec<String> {
        told_of(&Source::ALL, events).await
    }

    async fn told_of(sources: &'static [Source], events: impl IntoIterator<Item = (Source, Fed)>) -> Vec<String> {
        let (seen, mut receiver) = mpsc::channel(100);
        let mut observer = Observer::new("east", sources, seen, Endpoints::default());
        for (source, fed) in events {
            observer.take(source, fed).await.unwrap();
        }
        drop(observer);
        let mut told = Vec::new();
        while let Some(seen) = receiver.recv().await {
            told.push(match seen {
                Seen::Object { key, live: Some(_), .. } => format!("{key} is"),
                Seen::Object { key, live: None, .. } => format!("{key} is gone"),
                Seen::Endpoints { namespace, service } => format!("endpoints of {namespace}/{service}"),
                Seen::ClusterLocal(_) => "settings of the mesh".into(),
                Seen::Synced => "synced".into(),
                Seen::Away { error, .. } => format!("away: {error}"),
                Seen::Back => "back".into(),
            });
        }
        told
    }

    #[tokio::test]
    async fn a_re_list_tells_only_what_changed_or_went() {
        let events = [
            Fed::ListBegins,
            changed("a", "1"),
            changed("b", "2"),
            changed("c", "3"),
            Fed::ListEnds,
            Fed::ListBegins,
            changed("a", "1"),
            changed("b", "4"),
            Fed::ListEnds,
        ];
        let told = told(events.map(|fed| (SERVICES, fed))).await;
        assert_eq!(told, ["shop/a is", "shop/b is", "shop/c is", "shop/b is", "shop/c is gone"]);
    }

    #[tokio::test]
    async fn a_list_that_breaks_off_removes_nothing() {
        let events = [
            Fed::ListBegins,
            changed("a", "1"),
            changed("b", "2"),
            Fed::ListEnds,
            Fed::ListBegins,
            changed("a", "1"),
            Fed::ListBegins,
            changed("a", "1"),
            changed("b", "2"),
            Fed::ListEnds,
        ];
        assert_eq!(told(events.map(|fed| (SERVICES, fed))).await, ["shop/a is", "shop/b is"]);
    }

    #[tokio::test]
    async fn synced_comes_once_all_four_sources_are_complete() {
        let lists = || Source::ALL.into_iter().flat_map(|source| [(source, Fed::ListBegins), (source, Fed::ListEnds)]);
        assert_eq!(told(lists().take(7)).await, [""; 0]);
        assert_eq!(told(lists().chain(lists())).await, ["synced"]);
        let endpoints = || lists().filter(|(source, _)| Source::OF_ENDPOINTS.contains(source));
        assert_eq!(told_of(&Source::OF_ENDPOINTS, endpoints().take(3)).await, [""; 0]);
        assert_eq!(told_of(&Source::OF_ENDPOINTS, endpoints()).await, ["synced"]);
    }

    #[tokio::test]
    async fn a_cluster_is_back_only_when_it_answers_and_every_source_is_healthy() {
        let (seen, mut receiver) = mpsc::channel(100);
        let mut observer = Observer::new("east", &Source::ALL, seen, Endpoints::default());
        observer.heard(Some("no answer in 15s")).await.unwrap();
        observer.take(SERVICES, failed()).await.unwrap();
        observer.heard(None).await.unwrap();
        let Ok(Seen::Away { error, .. }) = receiver.try_recv() else { panic!("it is away") };
        assert_eq!(error, "cluster east does not answer: no answer in 15s");
        assert!(receiver.try_recv().is_err(), "its watch still fails");
        observer.heard(Some("torn")).await.unwrap();
        observer.take(SERVICES, Fed::ListEnds).await.unwrap();
        assert!(receiver.try_recv().is_err(), "it is silent again");
        observer.heard(None).await.unwrap();
        assert_eq!(receiver.try_recv(), Ok(Seen::Back));
    }

    #[tokio::test]
    async fn away_is_told_once_and_back_only_when_every_source_is_healthy() {
        let events = [
            (SERVICES, failed()),
            (Source::Pods, failed()),
            (SERVICES, failed()),
            (SERVICES, Fed::ListBegins),
            (SERVICES, Fed::ListEnds),
            (Source::Pods, Fed::ListEnds),
        ];
        assert_eq!(told(events).await, ["away: cannot watch virtualservices of cluster east: torn", "back"]);
    }
}
