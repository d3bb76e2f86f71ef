//! A real kube-apiserver with services whose versions have ready endpoints, and an independent watch on it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use kube::Client;
use kube::api::{DeleteParams, ListParams, WatchEvent, WatchParams};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use crate::controlplane::ControlPlane;
use crate::kubernetes::{Endpoint, api, endpoint_slice, namespace, ready_pod, weights};

/// How long anything may take before the benchmark gives up.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Longer than the convergence wait of everything that is measured here.
const CALM: Duration = Duration::from_millis(2_500);

/// The control plane, and a client beside tidegate's.
pub struct Mesh {
    pub plane: ControlPlane,
    pub client: Client,
}

/// A VirtualService as the watch saw it.
#[derive(Debug)]
pub struct Live {
    pub name: String,
    /// Percent for v2.
    pub v2: u64,
    pub object: Value,
    pub at: Instant,
    pub wall: Timestamp,
}

/// What a server was asked to write, by kind of request.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Requests {
    pub route_patches: f64,
    pub destination_patches: f64,
    pub events: f64,
    pub reads: f64,
}

impl Mesh {
    pub async fn start() -> Self {
        let plane = ControlPlane::start();
        let client = plane.client().await;
        Self { plane, client }
    }

    /// A namespace in which each of these services has a ready endpoint of v1 and of v2.
    pub async fn services(&self, prefix: &str, names: &[String]) -> String {
        let (client, namespace) = (&self.client, &namespace(&self.client, prefix).await);
        for (pod, ip) in [("v1", "10.1.0.1"), ("v2", "10.1.0.2")] {
            ready_pod(client, namespace, pod, json!({"version": pod}), ip).await;
        }
        let made = stream::iter(names).map(|name| async move {
            let endpoints = [Endpoint::of("v1", "10.1.0.1"), Endpoint::of("v2", "10.1.0.2")];
            endpoint_slice(client, namespace, name, name, &endpoints).await;
        });
        made.buffer_unordered(16).collect::<()>().await;
        namespace.clone()
    }

    /// Deletes all routes, rules and endpoints of a namespace.
    pub async fn clear(&self, namespace: &str) {
        let istio = "networking.istio.io/v1";
        for (group, kind) in
            [(istio, "VirtualService"), (istio, "DestinationRule"), ("discovery.k8s.io/v1", "EndpointSlice")]
        {
            let objects = api(&self.client, namespace, group, kind);
            objects.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
        }
    }

    /// The API server's own count of the requests that tidegate may send.
    pub async fn requests(&self) -> Requests {
        let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
        let text = self.client.request_text(request).await.unwrap();
        let mut requests = Requests::default();
        for line in text.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
            let has = |label: &str, value: &str| line.contains(&format!("{label}=\"{value}\""));
            let istio = has("group", "networking.istio.io");
            let field = match () {
                () if istio && has("verb", "PATCH") && has("resource", "virtualservices") => {
                    &mut requests.route_patches
                }
                () if istio && has("verb", "PATCH") => &mut requests.destination_patches,
                () if istio && (has("verb", "GET") || has("verb", "LIST")) => &mut requests.reads,
                () if has("resource", "events") && (has("verb", "POST") || has("verb", "PATCH")) => {
                    &mut requests.events
                }
                () => continue,
            };
            *field += line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        }
        requests
    }

    /// Waits until nothing has been written for longer than a convergence takes.
    pub async fn calm(&self) {
        let end = Instant::now() + PATIENCE;
        let mut last = self.requests().await;
        loop {
            tokio::time::sleep(CALM).await;
            let now = self.requests().await;
            let writes = |r: Requests| (r.route_patches, r.destination_patches, r.events);
            if writes(now) == writes(last) {
                return;
            }
            assert!(Instant::now() < end, "tidegate still writes after {PATIENCE:?}");
            last = now;
        }
    }
}

/// An independent watch of a namespace's VirtualServices.
pub struct Watch {
    events: UnboundedReceiver<Live>,
    task: JoinHandle<()>,
    /// The last weight of v2 by name.
    pub now: BTreeMap<String, u64>,
}

impl Watch {
    /// Watches from now on.
    pub async fn start(mesh: &Mesh, namespace: &str) -> Self {
        // A connection of its own: nothing of what is measured waits for it.
        let client = mesh.plane.client().await;
        let api = api(&client, namespace, "networking.istio.io/v1", "VirtualService");
        let mut from = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
        let (sender, events) = unbounded_channel();
        let task = tokio::spawn(async move {
            loop {
                let mut stream = api.watch(&WatchParams::default(), &from).await.unwrap().boxed();
                while let Ok(Some(event)) = stream.try_next().await {
                    let (at, wall) = (Instant::now(), Timestamp::now());
                    let object = match event {
                        WatchEvent::Added(object) | WatchEvent::Modified(object) => object,
                        // Else the next watch would begin where the server has forgotten what was.
                        WatchEvent::Bookmark(bookmark) => {
                            from = bookmark.metadata.resource_version;
                            continue;
                        }
                        _ => continue,
                    };
                    from = object.metadata.resource_version.clone().unwrap_or_default();
                    let name = object.metadata.name.clone().unwrap_or_default();
                    let object = serde_json::to_value(object).unwrap();
                    let v2 = weights(&object).iter().find(|(subset, _)| subset == "v2").map_or(0, |(_, v2)| *v2);
                    // Nobody listens once the benchmark is over.
                    let _ = sender.send(Live { name, v2, object, at, wall });
                }
            }
        });
        Self { events, task, now: BTreeMap::new() }
    }

    /// The next event; ends the benchmark where none comes.
    pub async fn next(&mut self) -> Live {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        let event = event.unwrap_or_else(|_| panic!("no event in {PATIENCE:?}; {} are live", self.now.len())).unwrap();
        self.now.insert(event.name.clone(), event.v2);
        event
    }

    /// Waits until each of these services has this weight for v2; returns the instant of the last event.
    pub async fn all_at(&mut self, names: &[String], v2: u64) -> Instant {
        let mut missing: Vec<&String> = names.iter().filter(|name| self.now.get(*name) != Some(&v2)).collect();
        let mut last = Instant::now();
        while !missing.is_empty() {
            let event = self.next().await;
            if event.v2 == v2 {
                missing.retain(|name| **name != event.name);
                last = event.at;
            }
        }
        last
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
