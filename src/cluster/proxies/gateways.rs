//! Asks the gateways of a cluster, of Envoy's own admin pages, which routes they have.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use kube::Error;
use serde::Deserialize;
use serde_json::Value;

use super::{
    page::Pages,
    pods::{self, PodName, lacks_right},
};
use crate::cluster::Cluster;

/// Where the Envoy of a pod has its admin pages.
const PORT: u16 = 15000;
/// How long the API server may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long it stands which pods are a gateway's.
const STANDS: Duration = Duration::from_secs(5);

/// The gateways of a cluster that are asked which routes they have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gateways {
    /// None.
    Unasked,
    /// At these addresses of Envoys' admin pages.
    At(Vec<http::Uri>),
    /// In the pods that a Gateway selects, each through the API server's port-forward.
    In,
}

/// The gateways that were found so far.
pub(super) struct Found {
    cluster: Cluster,
    which: Gateways,
    /// By the name that istiod has for each.
    pages: HashMap<String, Pages>,
    /// Those of each Gateway, `namespace/name`, and when they were looked for.
    selected: HashMap<String, (Instant, BTreeSet<String>)>,
}

impl Found {
    pub(super) fn new(cluster: Cluster, which: Gateways) -> Self {
        Self { cluster, which, pages: HashMap::new(), selected: HashMap::new() }
    }

    /// Whether any is asked.
    pub(super) fn are_asked(&self) -> bool {
        self.which != Gateways::Unasked
    }

    /// Those that serve one of these Gateways.
    pub(super) async fn serving(&mut self, gateways: &[String]) -> Result<BTreeSet<String>, String> {
        match self.which.clone() {
            Gateways::Unasked => Ok(BTreeSet::new()),
            Gateways::At(urls) => self.at(&urls).await,
            Gateways::In => {
                let mut serving = BTreeSet::new();
                for gateway in gateways {
                    serving.extend(self.selected(gateway).await?);
                }
                Ok(serving)
            }
        }
    }

    /// The routes that one of them has.
    pub(super) async fn routes(&self, gateway: &str) -> Result<Value, String> {
        let pages = self.pages.get(gateway).ok_or("it is not known")?;
        let body = pages.get("/config_dump?resource=dynamic_route_configs").await?;
        serde_json::from_slice(&body).map_err(|error| format!("its answer cannot be read: {error}"))
    }

    /// Keeps no connection while nothing is asked.
    pub(super) fn rest(&mut self) {
        self.selected.clear();
        if self.which == Gateways::In {
            self.pages.clear();
        }
    }

    /// Which gateway answers at each address, asked once.
    async fn at(&mut self, urls: &[http::Uri]) -> Result<BTreeSet<String>, String> {
        if self.pages.len() != urls.len() {
            self.pages.clear();
            for url in urls {
                let pages = Pages::at(url, None)?;
                let name = name(&pages).await.map_err(|error| format!("gateway at {url}: {error}"))?;
                self.pages.insert(name, pages);
            }
        }
        Ok(self.pages.keys().cloned().collect())
    }

    /// The pods of a Gateway, `namespace/name`.
    async fn selected(&mut self, gateway: &str) -> Result<BTreeSet<String>, String> {
        if let Some((_, names)) = self.selected.get(gateway).filter(|(at, _)| at.elapsed() < STANDS) {
            return Ok(names.clone());
        }
        let labels = self.selector(gateway).await?;
        let pods = match labels.is_empty() {
            // It is for every proxy there is, and so for none in particular.
            true => BTreeSet::new(),
            false => pods::labelled(self.cluster.client(), None, &labels).await?.ready,
        };
        let names: BTreeSet<String> = pods.iter().map(PodName::proxy).collect();
        for pod in &pods {
            self.pages.entry(pod.proxy()).or_insert_with(|| Pages::of(self.cluster.client(), pod, PORT));
        }
        self.selected.insert(gateway.to_owned(), (Instant::now(), names.clone()));
        Ok(names)
    }

    /// The labels of a Gateway's pods; empty where there is no such Gateway.
    async fn selector(&self, gateway: &str) -> Result<String, String> {
        let Some((namespace, name)) = gateway.split_once('/') else { return Ok(String::new()) };
        let version = self.cluster.istio_version().as_str();
        let path = format!("/apis/networking.istio.io/{version}/namespaces/{namespace}/gateways/{name}");
        let request = http::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
        let asked = tokio::time::timeout(DEADLINE, self.cluster.client().request::<Selecting>(request)).await;
        match asked {
            Ok(Ok(found)) => {
                let labels = found.spec.selector.iter().map(|(key, value)| format!("{key}={value}"));
                Ok(labels.collect::<Vec<_>>().join(","))
            }
            Ok(Err(Error::Api(status))) if status.code == 404 => Ok(String::new()),
            Ok(Err(error)) => {
                let hint = if lacks_right(&error) { "; grant tidegate's account `get` on gateways" } else { "" };
                Err(format!("Gateway {gateway} cannot be read: {error}{hint}"))
            }
            Err(_) => Err(format!("Gateway {gateway} cannot be read: no answer in {DEADLINE:?}")),
        }
    }
}

/// The name that istiod has for an Envoy, `pod.namespace`.
async fn name(pages: &Pages) -> Result<String, String> {
    let body = pages.get("/server_info").await?;
    let info: Info = serde_json::from_slice(&body).map_err(|error| format!("its answer cannot be read: {error}"))?;
    // `router~address~pod.namespace~domain`
    let name = info.node.id.split('~').nth(2).map(str::to_owned);
    name.ok_or_else(|| format!("it is no proxy of Istio's: its node id is {:?}", info.node.id))
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    node: Node,
}

#[derive(Deserialize, Default)]
struct Node {
    #[serde(default)]
    id: String,
}

/// Of a Gateway only this.
#[derive(Deserialize)]
struct Selecting {
    spec: Selector,
}

#[derive(Deserialize)]
struct Selector {
    #[serde(default)]
    selector: BTreeMap<String, String>,
}
