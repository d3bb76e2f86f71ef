//! Builds one client per cluster, with the deadlines that kube leaves out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use kube::api::Api;
use kube::client::ClientBuilder;
use kube::config::{ExecInteractiveMode, KubeConfigOptions};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};

use super::kubeconfig::{candidates, choose};
use super::meter::{Meter, MeterLayer};
use super::untyped::Untyped;
use super::{Answer, IstioVersion, Turns, Verb};
use crate::istio::ObjectKind;

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const BUILD_DEADLINE: Duration = Duration::from_secs(30);

/// The name of the cluster whose pod tidegate runs in.
pub const IN_CLUSTER: &str = "in-cluster";

/// How a cluster is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// The kubeconfig file; without one, those of `KUBECONFIG`, else `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; without one, the current context.
    pub context: Option<String>,
    /// Whether to use the service account of the pod that tidegate runs in, instead of a kubeconfig.
    pub in_cluster: bool,
}

impl Access {
    /// What to call the cluster where its configuration gives it no name: the context's name.
    ///
    /// # Errors
    /// Where no kubeconfig holds the context.
    pub fn context_name(&self) -> Result<String, ConnectError> {
        if self.in_cluster {
            return Ok(IN_CLUSTER.to_owned());
        }
        Ok(choose(&self.candidates(), self.context.as_deref())?.1)
    }

    fn candidates(&self) -> Vec<PathBuf> {
        let (variable, home) = (std::env::var_os("KUBECONFIG"), std::env::var_os("HOME"));
        candidates(self.kubeconfig.as_deref(), variable, home)
    }
}

/// Why no client could be built. The API server was not asked anything yet.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file can't be used.
    #[error("cannot read kubeconfig {}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no file at all.
    #[error("there is no kubeconfig")]
    NoKubeconfig,
    /// No context was asked for and no file has a current one.
    #[error("no context is chosen")]
    NoContext {
        /// The contexts of the files.
        known: Vec<String>,
    },
    /// No file holds this context.
    #[error("context {context} is in no kubeconfig")]
    UnknownContext {
        /// The context asked for.
        context: String,
        /// The contexts of the files.
        known: Vec<String>,
    },
    /// The context is there and makes no client.
    #[error("cannot make a client for cluster {cluster}: {why}")]
    Unusable {
        /// The cluster's name.
        cluster: String,
        /// What is wrong with the context.
        why: String,
    },
    /// A credential plugin did not end.
    #[error("no client for cluster {cluster} was made in {BUILD_DEADLINE:?}")]
    Slow {
        /// The cluster's name.
        cluster: String,
    },
}

impl ConnectError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { .. } => "give another file with --kubeconfig".into(),
            Self::NoKubeconfig => "give a file with --kubeconfig, set KUBECONFIG, or run inside the cluster".into(),
            Self::NoContext { known } | Self::UnknownContext { known, .. } if known.is_empty() => {
                "the kubeconfig has no contexts at all".into()
            }
            Self::NoContext { known } | Self::UnknownContext { known, .. } => {
                format!("choose one with --context: {}", known.join(", "))
            }
            Self::Unusable { .. } => "fix the context's cluster or user in the kubeconfig".into(),
            Self::Slow { .. } => "run the context's credential plugin by hand: it may be waiting for input".into(),
        }
    }
}

/// One cluster: its name in tidegate's configuration and its client. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    name: Arc<str>,
    url: Arc<str>,
    client: Client,
    meter: Arc<Meter>,
    istio: Arc<OnceLock<IstioVersion>>,
    turns: Arc<Turns>,
}

impl Cluster {
    /// Builds the client; the API server is not asked anything, so one that is away is no error here.
    ///
    /// Errs as [`ConnectError`], after 30 s at most. Must be called inside a tokio runtime.
    pub async fn connect(name: &str, access: &Access) -> Result<Self, ConnectError> {
        let (name, access) = (name.to_owned(), access.clone());
        let slow = ConnectError::Slow { cluster: name.clone() };
        // Credential plugins and files are read synchronously while the client is built.
        let built = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Handle::current();
            runtime.block_on(build(name, &access))
        });
        match tokio::time::timeout(BUILD_DEADLINE, built).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(slow),
        }
    }

    /// The cluster's name in tidegate's configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The API server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whose turn it is to write.
    pub fn turns(&self) -> Arc<Turns> {
        Arc::clone(&self.turns)
    }

    /// The client. Its reads and writes have no deadline of their own: the caller sets one.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How far the API server's clock is ahead of ours in milliseconds; 0 within a second, the resolution of its
    /// `Date`. `None` before the first answer.
    pub fn clock_offset_ms(&self) -> Option<i64> {
        self.meter.clock_offset_ms()
    }

    /// The number of requests so far by verb and answer.
    pub fn requests(&self) -> BTreeMap<(Verb, Answer), u64> {
        self.meter.counts()
    }

    /// When client certificates of a credential plugin end: the cluster has to be connected again before.
    pub fn valid_until(&self) -> Option<Timestamp> {
        *self.client.valid_until()
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(super) fn remember_istio_version(&self, version: IstioVersion) {
        // The first answer stands: a version does not change under a running process.
        let _ = self.istio.set(version);
    }

    pub(super) fn istio_version(&self) -> IstioVersion {
        self.istio.get().copied().unwrap_or_default()
    }

    pub(super) fn resource(&self, kind: ObjectKind) -> ApiResource {
        let version = self.istio_version().as_str();
        let kind_of = GroupVersionKind::gvk("networking.istio.io", version, kind.kind());
        ApiResource::from_gvk_with_plural(&kind_of, kind.plural())
    }

    pub(super) fn objects(&self, kind: ObjectKind, namespace: &str) -> Api<Untyped> {
        Api::namespaced_with(self.client.clone(), namespace, &self.resource(kind))
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("name", &self.name).finish_non_exhaustive()
    }
}

async fn build(name: String, access: &Access) -> Result<Cluster, ConnectError> {
    let unusable = |why: String| ConnectError::Unusable { cluster: name.clone(), why };
    let mut config = if access.in_cluster {
        Config::incluster().map_err(|error| unusable(error.to_string()))?
    } else {
        let (kubeconfig, context) = choose(&access.candidates(), access.context.as_deref())?;
        let options = KubeConfigOptions { context: Some(context), ..KubeConfigOptions::default() };
        Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| unusable(error.to_string()))?
    };
    config.connect_timeout = Some(CONNECT_DEADLINE);
    config.read_timeout = None;
    // kube would repeat writes by itself for minutes: law 6 looks first.
    config.default_retry = false;
    if let Some(exec) = config.auth_info.exec.as_mut() {
        exec.interactive_mode = Some(ExecInteractiveMode::Never);
    }
    let meter = Arc::new(Meter::default());
    let url = config.cluster_url.to_string();
    let url = url.trim_end_matches('/').into();
    let builder = ClientBuilder::try_from(config).map_err(|error| unusable(error.to_string()))?;
    let client = builder.with_layer(&MeterLayer(Arc::clone(&meter))).build();
    Ok(Cluster { name: name.into(), url, client, meter, istio: Arc::default(), turns: Arc::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_is_away_is_no_error_of_connecting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: \"http://127.0.0.1:1\"}}]\n\
                    users: [{name: u, user: {}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n";
        std::fs::write(&path, text).unwrap();
        let access = Access { kubeconfig: Some(path), ..Access::default() };
        let cluster = Cluster::connect("east", &access).await.unwrap();
        assert_eq!((cluster.name(), cluster.clock_offset_ms()), ("east", None));
        assert_eq!((access.context_name().unwrap().as_str(), cluster.url()), ("c", "http://127.0.0.1:1"));
    }

    #[tokio::test]
    async fn outside_a_pod_there_is_no_account_to_use() {
        let access = Access { in_cluster: true, ..Access::default() };
        let error = Cluster::connect("east", &access).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unusable { .. }), "{error}");
    }
}
