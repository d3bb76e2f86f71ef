//! Builds namespaces, Services, Pods and EndpointSlices for a test, and records what an independent watch saw.
#![allow(dead_code, reason = "each test binary uses its part of the test bed")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test bed that fails is a failed test"
)]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use kube::Client;
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// The API of one kind in one namespace, as untyped objects; `api_version` is `v1` or `group/version`.
pub fn api(client: &Client, namespace: &str, api_version: &str, kind: &str) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    if namespace.is_empty() {
        return Api::all_with(client.clone(), &resource);
    }
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// Creates any object from its JSON and returns what the server answered.
pub async fn create(client: &Client, object: Value) -> Value {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let api = api(client, &text("/metadata/namespace"), &text("/apiVersion"), &text("/kind"));
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    serde_json::to_value(made).unwrap()
}

/// Deletes one object at once; a Pod too, which no kubelet is there to end.
pub async fn delete(client: &Client, namespace: &str, api_version: &str, kind: &str, name: &str) {
    api(client, namespace, api_version, kind).delete(name, &DeleteParams::default().grace_period(0)).await.unwrap();
}

/// Creates a namespace of a name that no other test has, and returns that name.
pub async fn namespace(client: &Client, prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("{prefix}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    create(client, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})).await;
    name
}

/// Creates a Service of one port that selects pods by `app: <name>`.
pub async fn service(client: &Client, namespace: &str, name: &str, port: u16) {
    let spec = json!({"selector": {"app": name}, "ports": [{"name": "http", "port": port}]});
    create(client, json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}))
        .await;
}

/// The node that all pods of a test are bound to.
pub const NODE: &str = "testbed";

/// Creates the node of all pods where it is absent: the EndpointSlice controller passes over pods without one.
pub async fn node(client: &Client) {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
    let made =
        api(client, "", "v1", "Node").create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await;
    assert!(made.is_ok() || made.is_err_and(|e| matches!(e, kube::Error::Api(s) if s.is_already_exists())));
}

/// Creates a Deployment whose pods carry `app: <service>` and `version: <version>`, named `<service>-<version>`.
pub async fn deployment(client: &Client, namespace: &str, service: &str, version: &str, replicas: u32) {
    node(client).await;
    let labels = json!({"app": service, "version": version});
    let container = json!({"name": "main", "image": "none.invalid/none"});
    create(
        client,
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": format!("{service}-{version}"), "namespace": namespace},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"nodeName": NODE, "containers": [container]}}}}),
    )
    .await;
}

/// Creates a Pod with these labels that is ready at this address.
pub async fn ready_pod(client: &Client, namespace: &str, name: &str, labels: Value, ip: &str) {
    let container = json!({"name": "main", "image": "none.invalid/none"});
    create(
        client,
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"nodeName": NODE, "containers": [container]}}),
    )
    .await;
    set_ready(client, namespace, name, ip, true).await;
}

/// Lets a Pod run another image, as `kubectl set image` does.
pub async fn run_image(client: &Client, namespace: &str, name: &str, image: &str) {
    let patch = json!({"spec": {"containers": [{"name": "main", "image": image}]}});
    api(client, namespace, "v1", "Pod").patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
}

/// Patches a Pod's status so that it runs at this address and is ready, or not.
pub async fn set_ready(client: &Client, namespace: &str, name: &str, ip: &str, ready: bool) {
    let now = "2026-01-01T00:00:00Z";
    let answer = if ready { "True" } else { "False" };
    let conditions: Vec<Value> = ["Initialized", "ContainersReady", "Ready", "PodScheduled"]
        .iter()
        .map(|kind| json!({"type": kind, "status": answer, "lastTransitionTime": now}))
        .collect();
    let status =
        json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "startTime": now, "conditions": conditions});
    api(client, namespace, "v1", "Pod")
        .patch_status(name, &PatchParams::default(), &Patch::Merge(json!({"status": status})))
        .await
        .unwrap();
}

/// The names of the pods that a label selector finds.
pub async fn pods(client: &Client, namespace: &str, selector: &str) -> Vec<String> {
    let list = api(client, namespace, "v1", "Pod").list(&ListParams::default().labels(selector)).await.unwrap();
    list.items.into_iter().filter_map(|pod| pod.metadata.name).collect()
}

/// One endpoint of a slice made by hand.
pub struct Endpoint<'a> {
    /// Its address.
    pub ip: &'a str,
    /// The pod behind it; without one it is an address of somebody else.
    pub pod: Option<&'a str>,
    /// The `ready` condition; `None` is an absent one, which means ready.
    pub ready: Option<bool>,
    /// The `terminating` condition.
    pub terminating: bool,
}

impl<'a> Endpoint<'a> {
    /// A ready endpoint of a pod.
    pub fn of(pod: &'a str, ip: &'a str) -> Self {
        Self { ip, pod: Some(pod), ready: Some(true), terminating: false }
    }
}

/// Puts an EndpointSlice of a Service in place by hand, for servers without the controller that would make it.
pub async fn endpoint_slice(client: &Client, namespace: &str, service: &str, name: &str, endpoints: &[Endpoint<'_>]) {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|endpoint| {
            let mut value = json!({"addresses": [endpoint.ip], "conditions": {"terminating": endpoint.terminating}});
            if let Some(pod) = endpoint.pod {
                value["targetRef"] = json!({"kind": "Pod", "name": pod, "namespace": namespace});
            }
            if let Some(ready) = endpoint.ready {
                value["conditions"]["ready"] = json!(ready);
            }
            value
        })
        .collect();
    let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": service}},
        "endpoints": endpoints, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]});
    api(client, namespace, "discovery.k8s.io/v1", "EndpointSlice")
        .patch(name, &PatchParams::apply("testbed").force(), &Patch::Apply(slice))
        .await
        .unwrap();
}

/// The live VirtualService, or `None`.
pub async fn virtual_service(client: &Client, namespace: &str, name: &str) -> Option<Value> {
    let live = api(client, namespace, "networking.istio.io/v1", "VirtualService").get_opt(name).await.unwrap();
    live.map(|object| serde_json::to_value(object).unwrap())
}

/// The destinations of the first HTTP route as (subset or else host, weight).
pub fn weights(virtual_service: &Value) -> Vec<(String, u64)> {
    let legs = virtual_service.pointer("/spec/http/0/route").and_then(Value::as_array).cloned().unwrap_or_default();
    let sole = legs.len() == 1;
    legs.iter()
        .map(|leg| {
            let to = &leg["destination"];
            let name = to["subset"].as_str().or(to["host"].as_str()).unwrap_or_default();
            // Istio gives a sole destination without a weight all of the traffic.
            (name.to_owned(), leg["weight"].as_u64().unwrap_or(if sole { 100 } else { 0 }))
        })
        .collect()
}

/// One event as the independent watch saw it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// `VirtualService` or `DestinationRule`.
    pub kind: &'static str,
    /// The object's name.
    pub name: String,
    /// The weights of its first route, see [`weights`]; empty for a DestinationRule and for a deleted object.
    pub weights: Vec<(String, u64)>,
    /// Whether the object was deleted.
    pub deleted: bool,
    /// The whole object.
    pub object: Value,
    /// When the event arrived.
    pub at: Instant,
}

/// An independent watch of one namespace: the order in which its Istio objects changed.
pub struct Recorder {
    events: Arc<Mutex<Vec<Recorded>>>,
    arrived: Arc<Notify>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Recorder {
    /// Watches from now on; what was there before is not recorded.
    pub async fn start(client: &Client, namespace: &str) -> Self {
        let mut recorder = Self { events: Arc::default(), arrived: Arc::default(), tasks: Vec::new() };
        for kind in ["VirtualService", "DestinationRule"] {
            let api = api(client, namespace, "networking.istio.io/v1", kind);
            let from = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
            let (events, arrived) = (Arc::clone(&recorder.events), Arc::clone(&recorder.arrived));
            recorder.tasks.push(tokio::spawn(async move {
                let mut from = from;
                loop {
                    let _ = follow(&api, kind, &mut from, &events, &arrived).await;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }));
        }
        recorder
    }

    /// All events up to now, in order of arrival.
    pub fn events(&self) -> Vec<Recorded> {
        self.events.lock().unwrap().clone()
    }

    /// Each distinct list of weights that a VirtualService went through, in order; repeats in a row are folded.
    pub fn walk(&self, name: &str) -> Vec<Vec<(String, u64)>> {
        let mut walk: Vec<_> = self
            .events()
            .into_iter()
            .filter(|event| event.kind == "VirtualService" && event.name == name && !event.deleted)
            .map(|event| event.weights)
            .collect();
        walk.dedup();
        walk
    }

    /// Waits for an event, past ones included; panics with what was seen instead when the deadline passes.
    pub async fn wait_for(&self, deadline: Duration, wanted: impl Fn(&Recorded) -> bool) -> Recorded {
        self.wait_for_after(0, deadline, wanted).await
    }

    /// The same for an event after the first `passed`.
    pub async fn wait_for_after(
        &self,
        passed: usize,
        deadline: Duration,
        wanted: impl Fn(&Recorded) -> bool,
    ) -> Recorded {
        let found = tokio::time::timeout(deadline, async {
            loop {
                let arrived = self.arrived.notified();
                if let Some(event) = self.events().into_iter().skip(passed).find(|event| wanted(event)) {
                    return event;
                }
                arrived.await;
            }
        });
        let Ok(event) = found.await else {
            let seen: Vec<_> = self.events().into_iter().map(|e| (e.kind, e.name, e.weights, e.deleted)).collect();
            panic!("the event did not come in {deadline:?}; seen: {seen:?}");
        };
        event
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.tasks.iter().for_each(|task| task.abort());
    }
}

async fn follow(
    api: &Api<DynamicObject>,
    kind: &'static str,
    from: &mut String,
    events: &Mutex<Vec<Recorded>>,
    arrived: &Notify,
) -> kube::Result<()> {
    let mut stream = Box::pin(api.watch(&WatchParams::default(), from).await?);
    while let Some(event) = stream.try_next().await? {
        let (object, deleted) = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
            WatchEvent::Deleted(object) => (object, true),
            // A server that was restarted does not remember what was before.
            WatchEvent::Error(status) if status.code == 410 => {
                let list = api.list(&ListParams::default()).await?;
                *from = list.metadata.resource_version.clone().unwrap_or_default();
                list.items.into_iter().for_each(|object| record(kind, object, false, events, arrived));
                return Ok(());
            }
            WatchEvent::Bookmark(_) | WatchEvent::Error(_) => continue,
        };
        *from = object.metadata.resource_version.clone().unwrap_or_default();
        record(kind, object, deleted, events, arrived);
    }
    Ok(())
}

fn record(kind: &'static str, object: DynamicObject, deleted: bool, events: &Mutex<Vec<Recorded>>, arrived: &Notify) {
    let name = object.metadata.name.clone().unwrap_or_default();
    let object = serde_json::to_value(object).unwrap();
    let weights = if deleted { Vec::new() } else { weights(&object) };
    events.lock().unwrap().push(Recorded { kind, name, weights, deleted, object, at: Instant::now() });
    arrived.notify_waiters();
}

/// Waits until a condition holds; panics with `what` when the deadline passes.
pub async fn eventually<F: Future<Output = bool>>(what: &str, deadline: Duration, mut holds: impl FnMut() -> F) {
    let end = Instant::now() + deadline;
    while !holds().await {
        assert!(Instant::now() < end, "{what}: not so after {deadline:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Makes Services whose versions v1 to v3 have a ready pod each.
pub async fn ready_services(client: &Client, namespace: &str, services: &[&str]) {
    for (number, name) in services.iter().enumerate() {
        service(client, namespace, name, 8080).await;
        let mut pods = Vec::new();
        for version in 1..=3 {
            let (pod, ip) = (format!("{name}-v{version}"), format!("10.1.{number}.{version}"));
            let labels = json!({"app": name, "version": format!("v{version}")});
            ready_pod(client, namespace, &pod, labels, &ip).await;
            pods.push((pod, ip));
        }
        let endpoints: Vec<_> = pods.iter().map(|(pod, ip)| Endpoint::of(pod, ip)).collect();
        endpoint_slice(client, namespace, name, name, &endpoints).await;
    }
}

/// What the Events of a reason say.
pub async fn told(client: &Client, namespace: &str, reason: &str) -> Vec<String> {
    let list = api(client, namespace, "events.k8s.io/v1", "Event").list(&ListParams::default()).await.unwrap();
    let told = list.items.iter().filter(|event| event.data["reason"] == reason);
    told.map(|event| event.data["note"].as_str().unwrap_or_default().to_owned()).collect()
}
