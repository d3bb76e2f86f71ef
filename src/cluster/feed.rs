//! Watches one kind in all namespaces for ever and passes on what it sees.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Config, DefaultBackoff, Event, InitialListStrategy, watcher};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc::Sender;

use super::Cluster;
use super::pod::Pod;
use super::untyped::Untyped;
use super::write::words;
use crate::istio::ObjectKind;
use crate::plan::ObjectKey;
use crate::rollout::Image;

/// The server ends each watch after this time, and a connection that died silently is noticed 5 s later.
const WATCH_S: u32 = 50;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    Istio(ObjectKind),
    Slices,
    Pods,
}

impl Source {
    pub(super) const ALL: [Self; 4] =
        [Self::Istio(ObjectKind::VirtualService), Self::Istio(ObjectKind::DestinationRule), Self::Slices, Self::Pods];

    /// What is counted, and no more.
    pub(super) const OF_ENDPOINTS: [Self; 2] = [Self::Slices, Self::Pods];

    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Istio(kind) => kind.plural(),
            Self::Slices => "endpointslices",
            Self::Pods => "pods",
        }
    }

    /// Watches this source until the receiver is gone.
    pub(super) async fn feed(self, cluster: Cluster, into: Sender<(Self, Fed)>) {
        let client = cluster.client().clone();
        match self {
            Self::Istio(kind) => {
                let api = Api::all_with(client, &cluster.resource(kind));
                feed(api, self, into, |object: Untyped| Body::Istio(object.value)).await;
            }
            Self::Slices => {
                feed(Api::all(client), self, into, |slice: EndpointSlice| Body::Slice(Box::new(slice))).await
            }
            Self::Pods => {
                let pod = |pod: Pod| {
                    let image = pod.image();
                    Body::Pod(pod.labels, image)
                };
                feed(Api::all(client), self, into, pod).await;
            }
        }
    }
}

/// What a feed passes on.
pub(super) enum Fed {
    /// An object appeared or changed.
    Changed(Item),
    /// An object went.
    Gone(ObjectKey),
    /// A list of all that is there begins; the one before it may not have ended.
    ListBegins,
    /// It ended: what was not in it is gone.
    ListEnds,
    /// The watch failed; it is tried again.
    Failed {
        /// What went wrong.
        error: String,
        /// When.
        at: Instant,
    },
}

/// One object.
pub(super) struct Item {
    pub(super) key: ObjectKey,
    pub(super) resource_version: String,
    pub(super) body: Body,
}

/// What is of interest in an object.
pub(super) enum Body {
    Istio(Value),
    Slice(Box<EndpointSlice>),
    Pod(BTreeMap<String, String>, Option<Image>),
}

/// Lists are streamed; a server that refuses that is listed page by page instead.
async fn feed<K>(api: Api<K>, source: Source, into: Sender<(Source, Fed)>, body: fn(K) -> Body)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let item = |object: K| Item {
        key: key_of(&object),
        resource_version: object.resource_version().unwrap_or_default(),
        body: body(object),
    };
    let mut config = Config::default().timeout(WATCH_S).streaming_lists();
    loop {
        let mut events = Box::pin(watcher(api.clone(), config.clone()).backoff(Eager::default()));
        while let Some(event) = events.next().await {
            let fed = match event {
                Ok(Event::Init) => Fed::ListBegins,
                Ok(Event::InitApply(object) | Event::Apply(object)) => Fed::Changed(item(object)),
                Ok(Event::InitDone) => Fed::ListEnds,
                Ok(Event::Delete(object)) => Fed::Gone(key_of(&object)),
                Err(error) if refuses_streaming(&config, &error) => {
                    config.initial_list_strategy = InitialListStrategy::ListWatch;
                    break;
                }
                // The server answers, and what follows is the list.
                Err(error) if is_expired(&error) => continue,
                Err(error) => Fed::Failed { error: words(&error), at: Instant::now() },
            };
            if into.send((source, fed)).await.is_err() {
                return;
            }
        }
    }
}

fn key_of(object: &impl Resource) -> ObjectKey {
    ObjectKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

/// Whether a server that does not know streaming lists says so.
fn refuses_streaming(config: &Config, error: &watcher::Error) -> bool {
    let status = match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) | watcher::Error::WatchError(status) => status,
        _ => return false,
    };
    config.initial_list_strategy == InitialListStrategy::StreamingList && matches!(status.code, 400 | 422)
}

/// Whether a server only says that it does not remember where the watch stood (410), as one that was restarted does.
fn is_expired(error: &watcher::Error) -> bool {
    let status = match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) | watcher::Error::WatchError(status) => status,
        _ => return false,
    };
    status.code == 410
}

/// kube's jittered back-off at a quarter of its delays, from 0.2 s to about 8 s: a canary waits for this.
#[derive(Default)]
pub(super) struct Eager(DefaultBackoff);

impl Iterator for Eager {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|delay| delay / 4)
    }
}

impl Backoff for Eager {
    fn reset(&mut self) {
        self.0.reset();
    }
}
