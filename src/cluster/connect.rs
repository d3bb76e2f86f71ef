//! Builds one client per cluster, with the deadlines that kube leaves out.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use kube::api::Api;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use tokio::task::AbortHandle;

use super::kubeconfig::{candidates, choose};
use super::meter::{Meter, MeterLayer};
use super::plugin::{self, TokenLayer};
use super::pulse;
use super::secret::{self, SecretName};
use super::untyped::Untyped;
use super::{Answer, IstioVersion, Turns, Verb};
use crate::istio::ObjectKind;

/// Attempts that went past their deadline, by cluster.
static HUNG: Mutex<BTreeMap<String, AbortHandle>> = Mutex::new(BTreeMap::new());

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
    /// The Secret of the cluster that tidegate runs in that has the kubeconfig.
    pub secret: Option<SecretName>,
}

impl Access {
    /// The way to a cluster where nobody says one: the pod's service account in a pod that is told of no kubeconfig, else
    /// the current context.
    pub fn usual() -> Self {
        let in_pod = std::env::var_os("KUBECONFIG").is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        Self { in_cluster: in_pod, ..Self::default() }
    }

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
    /// The Secret can't be used.
    #[error("cannot make a client for cluster {cluster} from Secret {secret}: {why}")]
    Secret {
        /// The cluster's name.
        cluster: String,
        /// The Secret.
        secret: SecretName,
        /// What is wrong with it.
        why: String,
    },
    /// A file of its credentials was not read.
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
            Self::Unusable { why, .. } if why.starts_with("credential plugin") => {
                "run the plugin by hand, without a terminal: it has ten seconds".into()
            }
            Self::Unusable { .. } => "fix the context's cluster or user in the kubeconfig".into(),
            Self::Secret { .. } => {
                "make it as `istioctl create-remote-secret` or Argo CD does, and let tidegate get it".into()
            }
            Self::Slow { .. } => "look at the files of the kubeconfig: reading one of them does not end".into(),
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
    credentials: Credentials,
    _probe: Arc<Probing>,
}

/// What asks a silent server whether it answers again; ends when dropped.
struct Probing(AbortHandle);

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a client was made of, as one number: other credentials are another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials(u64);

impl Cluster {
    /// Builds the client; the API server is not asked anything, so one that is away is no error here.
    ///
    /// Errs as [`ConnectError`], after 30 s at most. Must be called inside a tokio runtime.
    pub async fn connect(name: &str, access: &Access) -> Result<Self, ConnectError> {
        let (cluster, access) = (name.to_owned(), access.clone());
        aside(name, async move { build(cluster, &access).await }).await
    }

    /// What a client would be made of now; no credential plugin is run.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn credentials_now(name: &str, access: &Access) -> Result<Credentials, ConnectError> {
        let (cluster, access) = (name.to_owned(), access.clone());
        aside(name, async move { Ok(load(&cluster, &access).await?.1) }).await
    }

    /// What this client was made of.
    pub fn credentials(&self) -> Credentials {
        self.credentials
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

    /// The same, whose writes wait for these turns.
    pub(super) fn writing_in(self, turns: Turns) -> Self {
        Self { turns: Arc::new(turns), ..self }
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

    /// How long its last answer was waited for, of what is answered at once.
    pub fn answered_in(&self) -> Option<Duration> {
        self.meter.pulse().took()
    }

    /// Whether it has fallen silent: nothing but probes is sent until it answers.
    pub fn is_silent(&self) -> bool {
        self.meter.pulse().silent().is_some()
    }

    /// From now on it is noticed soon, or later, that the API server answers no more: within half a minute while something
    /// waits for it, else within a minute.
    pub fn keep_vigil(&self, keep: bool) {
        self.meter.pulse().keep_vigil(keep);
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

/// Files are read synchronously while a client is built.
async fn aside<T: Send + 'static>(
    name: &str,
    work: impl Future<Output = Result<T, ConnectError>> + Send + 'static,
) -> Result<T, ConnectError> {
    within(BUILD_DEADLINE, name, work).await
}

async fn within<T: Send + 'static>(
    deadline: Duration,
    name: &str,
    work: impl Future<Output = Result<T, ConnectError>> + Send + 'static,
) -> Result<T, ConnectError> {
    let slow = || ConnectError::Slow { cluster: name.to_owned() };
    // A file that hangs keeps its thread: another attempt beside it would take one more of those that all clusters share.
    if HUNG.lock().is_ok_and(|hung| hung.get(name).is_some_and(|there| !there.is_finished())) {
        return Err(slow());
    }
    let done = tokio::task::spawn_blocking(move || tokio::runtime::Handle::current().block_on(work));
    let handle = done.abort_handle();
    match tokio::time::timeout(deadline, done).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(slow()),
        Err(_) => {
            if let Ok(mut hung) = HUNG.lock() {
                hung.insert(name.to_owned(), handle);
            }
            Err(slow())
        }
    }
}

/// What [`local`] gives, or the Secret, and what stands for it.
async fn load(name: &str, access: &Access) -> Result<(Option<(Kubeconfig, String)>, Credentials), ConnectError> {
    let found = match &access.secret {
        None => local(access)?,
        Some(secret) => {
            let unread = |why| ConnectError::Secret { cluster: name.to_owned(), secret: secret.clone(), why };
            let (home, ..) = make(name, local(&Access::usual())?).await?;
            Some(secret::read(&home, secret, name).await.map_err(unread)?)
        }
    };
    let mut hasher = DefaultHasher::new();
    if let Some((kubeconfig, context)) = &found {
        context.hash(&mut hasher);
        serde_json::to_vec(kubeconfig).unwrap_or_default().hash(&mut hasher);
        // A token file is read again by the client itself.
        let users = kubeconfig.auth_infos.iter().filter_map(|user| user.auth_info.as_ref());
        let files = users.flat_map(|user| [&user.client_certificate, &user.client_key]);
        let clusters = kubeconfig.clusters.iter().filter_map(|cluster| cluster.cluster.as_ref());
        let files = files.chain(clusters.map(|cluster| &cluster.certificate_authority));
        files.flatten().for_each(|file| std::fs::read(file).ok().hash(&mut hasher));
    }
    Ok((found, Credentials(hasher.finish())))
}

async fn build(name: String, access: &Access) -> Result<Cluster, ConnectError> {
    let (found, credentials) = load(&name, access).await?;
    let (client, url, meter) = make(&name, found).await?;
    let probing = tokio::spawn(pulse::probe(Arc::clone(meter.pulse()), client.clone())).abort_handle();
    let _probe = Arc::new(Probing(probing));
    let (istio, turns) = (Arc::default(), Arc::default());
    Ok(Cluster { name: name.into(), url, client, meter, istio, turns, credentials, _probe })
}

/// The kubeconfig and the context in it; none for the pod's account.
fn local(access: &Access) -> Result<Option<(Kubeconfig, String)>, ConnectError> {
    if access.in_cluster {
        return Ok(None);
    }
    choose(&access.candidates(), access.context.as_deref()).map(Some)
}

/// A client with its address and what counts its requests.
async fn make(name: &str, found: Option<(Kubeconfig, String)>) -> Result<(Client, Arc<str>, Arc<Meter>), ConnectError> {
    let unusable = |why: String| ConnectError::Unusable { cluster: name.to_owned(), why };
    let mut config = match found {
        None => Config::incluster().map_err(|error| unusable(error.to_string()))?,
        Some((kubeconfig, context)) => {
            let options = KubeConfigOptions { context: Some(context), ..KubeConfigOptions::default() };
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| unusable(error.to_string()))?
        }
    };
    config.connect_timeout = Some(CONNECT_DEADLINE);
    config.read_timeout = None;
    // kube would repeat writes by itself for minutes: law 6 looks first.
    config.default_retry = false;
    let (mut granted, mut until) = (None, None);
    if let Some(exec) = config.auth_info.exec.take() {
        let given = plugin::run(&exec).await.map_err(unusable)?;
        if let Some((user, ends)) = given.certificate() {
            config.auth_info.client_certificate_data = user.client_certificate_data;
            config.auth_info.client_key_data = user.client_key_data;
            until = ends;
        }
        granted = Some((exec, given));
    }
    let meter = Arc::new(Meter::default());
    let url = config.cluster_url.to_string();
    let url = url.trim_end_matches('/').into();
    let builder = ClientBuilder::try_from(config).map_err(|error| unusable(without_proxy(&error)))?;
    let builder = builder.with_layer(&TokenLayer(granted)).with_layer(&MeterLayer(Arc::clone(&meter)));
    let client = builder.with_valid_until(until).build();
    Ok((client, url, meter))
}

/// Why no client can be built, without the address of a proxy, which may have a password in it.
fn without_proxy(error: &kube::Error) -> String {
    let scheme = |url: &http::Uri| url.scheme_str().unwrap_or_default().to_owned();
    match error {
        kube::Error::ProxyProtocolDisabled { proxy_url, .. } | kube::Error::ProxyProtocolUnsupported { proxy_url } => {
            format!("a proxy by `{}` is not supported", scheme(proxy_url))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_proxy_is_not_told() {
        let proxy_url = Box::new("socks5://ann:s3cret@proxy:1080".parse().unwrap());
        let error = kube::Error::ProxyProtocolDisabled { proxy_url, protocol_feature: "kube/socks5" };
        assert_eq!(without_proxy(&error), "a proxy by `socks5` is not supported");
    }

    #[tokio::test]
    async fn a_file_that_hangs_takes_one_thread_however_often_it_is_tried() {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let hangs = async move {
            let _ = held.recv();
            Ok(())
        };
        assert!(matches!(within(Duration::from_millis(50), "hung", hangs).await, Err(ConnectError::Slow { .. })));
        let again = aside("hung", async { Ok(()) }).await;
        assert!(matches!(again, Err(ConnectError::Slow { .. })), "the first still holds its thread");
        assert!(aside("another", async { Ok(()) }).await.is_ok());
        drop(release);
        let end = std::time::Instant::now() + BUILD_DEADLINE;
        while aside("hung", async { Ok(()) }).await.is_err() {
            assert!(std::time::Instant::now() < end, "it never gives its thread back");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

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
