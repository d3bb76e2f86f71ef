//! Holds a Lease, or waits for it: compare-and-swap on `coordination.k8s.io/v1`, for as long as the process runs.
//!
//! ```text
//!  elect ─► Candidate ─┬─ tenure: who holds it, and until when this process is sure of its own
//!                      ├─ fence: whether it is held at this very instant
//!                      ├─ lift, hint
//!                      └─ release
//! ```

mod election;
mod record;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kube::Error;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind, Request};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use super::Cluster;
use super::untyped::Untyped;
use super::write::{FIELD_MANAGER, words};
use election::{Claim, Election};
use record::{Found, HINT};

pub use election::Own;

/// How long giving it away may take: then it runs out by itself.
const RELEASE_DEADLINE: Duration = Duration::from_secs(1);

/// Which lease, and who wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseOptions {
    /// The namespace; none: the one that the cluster's access names.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
    /// What to call this process; something is added that no other process has.
    pub called: String,
    /// For how long it is held without being renewed; whole seconds.
    pub duration: Duration,
}

/// Who holds the lease, as far as this process knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenure {
    /// Who; none: nobody is known to.
    pub holder: Option<Arc<str>>,
    /// This process does; it may have run out.
    pub own: Option<Own>,
    /// What a replica that does not lead saw of Git.
    pub hint: Option<Arc<str>>,
}

/// Whether the lease is held at this very instant.
#[derive(Clone, Debug)]
pub struct Fence(watch::Receiver<Tenure>);

impl Fence {
    /// Asked right before something is sent: whoever was frozen meanwhile finds that it ran out.
    pub fn holds(&self) -> bool {
        self.0.borrow().own.is_some_and(|own| Instant::now() < own.until)
    }
}

enum Order {
    Lift(u64),
    Hint(String),
    Release(oneshot::Sender<()>),
}

/// This process as one that wants the lease.
pub struct Candidate {
    tenure: watch::Receiver<Tenure>,
    orders: mpsc::UnboundedSender<Order>,
}

impl Candidate {
    /// Who holds it, now and from now on.
    pub fn tenure(&self) -> watch::Receiver<Tenure> {
        self.tenure.clone()
    }

    /// Whether it is held at this very instant.
    pub fn fence(&self) -> Fence {
        Fence(self.tenure.clone())
    }

    /// Something names a later term than the one that is held: another one begins, later still.
    pub fn lift(&self, term: u64) {
        // Where nobody receives, nothing is held any more.
        let _ = self.orders.send(Order::Lift(term));
    }

    /// Tells whoever holds it what was seen of Git; it looks for itself.
    pub fn hint(&self, seen: &str) {
        let _ = self.orders.send(Order::Hint(seen.to_owned()));
    }

    /// Gives it away, if it is held, so that the next one need not wait; a second at most.
    pub async fn release(&self) {
        let (sender, done) = oneshot::channel();
        if self.orders.send(Order::Release(sender)).is_ok() {
            let _ = tokio::time::timeout(RELEASE_DEADLINE, done).await;
        }
    }
}

/// Wants the lease from now on, until it is released or the candidate is dropped.
pub fn elect(cluster: &Cluster, options: &LeaseOptions) -> Candidate {
    let namespace = options.namespace.clone().unwrap_or_else(|| cluster.client().default_namespace().to_owned());
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("coordination.k8s.io", "v1", "Lease"));
    let api = Api::namespaced_with(cluster.client().clone(), &namespace, &resource);
    let identity: Arc<str> = format!("{}_{}", options.called, unique()).into();
    tracing::info!(cluster = cluster.name(), namespace, lease = options.name, %identity, "wants the lease");
    let election = Election::new(identity, options.duration);
    let (sender, tenure) = watch::channel(Tenure::default());
    let (orders, received) = mpsc::unbounded_channel();
    let lease = Lease { api, namespace, name: options.name.clone(), election, sender, trouble: None };
    tokio::spawn(lease.run(received));
    Candidate { tenure, orders }
}

/// What no other process has: two of the same pod, one after the other, are two.
fn unique() -> String {
    let mut bytes = [0_u8; 4];
    let filled = SystemRandom::new().fill(&mut bytes).is_ok();
    if filled { format!("{:08x}", u32::from_be_bytes(bytes)) } else { std::process::id().to_string() }
}

struct Lease {
    api: Api<Untyped>,
    namespace: String,
    name: String,
    election: Election,
    sender: watch::Sender<Tenure>,
    /// What was wrong last: it is said once.
    trouble: Option<String>,
}

/// Why a request was not done.
enum Failed {
    /// The lease is another one than it was.
    Moved,
    Unknown(String),
}

impl Lease {
    async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        loop {
            let began = Instant::now();
            let trouble = self.turn().await.err();
            self.tell(trouble);
            let next = self.election.next(began, Instant::now());
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                order = orders.recv() => match order {
                    Some(Order::Lift(term)) => self.election.lift(term),
                    Some(Order::Hint(seen)) => self.leave_hint(&seen).await,
                    Some(Order::Release(done)) => {
                        self.resign().await;
                        // Whoever waited too long has gone.
                        let _ = done.send(());
                        return;
                    }
                    None => return,
                },
            }
        }
    }

    /// One look, one claim, and both again where another was faster.
    async fn turn(&mut self) -> Result<(), String> {
        for _ in 0..2 {
            if self.election.is_to_look() {
                let found = self.look().await?;
                self.election.saw(found, Instant::now());
            }
            let (sent, wall) = (Instant::now(), wall());
            let Some(claim) = self.election.claim(sent, &wall) else { return Ok(()) };
            match self.write(&claim).await {
                Ok(found) => {
                    self.election.won(found, sent, Instant::now());
                    return Ok(());
                }
                Err(failed) => {
                    self.election.lost_sight();
                    if let Failed::Unknown(why) = failed {
                        return Err(why);
                    }
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, trouble: Option<String>) {
        let (now, election) = (Instant::now(), &self.election);
        let (own, holder) = (election.own(), election.holder(now).map(Arc::from));
        let tenure = Tenure { holder, own, hint: election.hint().map(Arc::from) };
        if trouble != self.trouble {
            match &trouble {
                Some(why) => tracing::warn!(namespace = self.namespace, lease = self.name, "the lease: {why}"),
                None => tracing::info!(namespace = self.namespace, lease = self.name, "the lease can be reached again"),
            }
            self.trouble = trouble;
        }
        self.sender.send_if_modified(|before| {
            let changed = *before != tenure;
            if before.own.map(|own| own.term) != tenure.own.map(|own| own.term) || before.holder != tenure.holder {
                let term = tenure.own.map(|own| own.term);
                tracing::info!(
                    lease = self.name,
                    holder = tenure.holder.as_deref(),
                    leads = term.is_some(),
                    term,
                    "the lease"
                );
            }
            *before = tenure;
            changed
        });
    }

    async fn look(&self) -> Result<Option<Found>, String> {
        let found = tokio::time::timeout(self.election.renews(), self.api.get_opt(&self.name)).await;
        match found {
            Ok(Ok(found)) => Ok(found.and_then(|lease| Found::read(&lease.value))),
            Ok(Err(error)) => Err(words(&error)),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    async fn write(&self, claim: &Claim) -> Result<Found, Failed> {
        let unreadable = || Failed::Unknown("the API server's answer is no lease".to_owned());
        let sent = tokio::time::timeout(self.election.renews(), self.send(claim)).await;
        match sent {
            Ok(Ok(lease)) => Found::read(&lease.value).ok_or_else(unreadable),
            Ok(Err(Error::Api(status))) if matches!(status.code, 404 | 409) => Err(Failed::Moved),
            Ok(Err(error)) => Err(Failed::Unknown(words(&error))),
            Err(_) => Err(Failed::Unknown("no answer in time".to_owned())),
        }
    }

    async fn send(&self, claim: &Claim) -> Result<Untyped, Error> {
        let spec = claim.record.spec();
        let Some(version) = &claim.version else {
            let metadata = json!({"name": self.name, "namespace": self.namespace});
            let lease =
                json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec});
            let body = serde_json::to_vec(&lease).map_err(Error::SerdeError)?;
            let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
            let request = Request::new(self.api.resource_url()).create(&params, body).map_err(Error::BuildRequest)?;
            return self.api.clone().into_client().request(request).await;
        };
        self.patch(&json!({"metadata": {"resourceVersion": version}, "spec": spec})).await
    }

    /// With a resourceVersion in it the server takes the patch only where that is still the object's.
    async fn patch(&self, patch: &Value) -> Result<Untyped, Error> {
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.api.patch(&self.name, &params, &Patch::Merge(patch)).await
    }

    async fn leave_hint(&self, seen: &str) {
        let patch = json!({"metadata": {"annotations": {HINT: seen}}});
        let left = tokio::time::timeout(self.election.renews(), self.patch(&patch)).await;
        if !matches!(left, Ok(Ok(_))) {
            tracing::debug!(lease = self.name, "no hint was left: whoever leads looks at its interval");
        }
    }

    /// Gives it away, also where a hint has made another version of it meanwhile.
    async fn resign(&mut self) {
        let held = self.election.resign();
        self.tell(None);
        for _ in 0..if held { 3 } else { 0 } {
            if self.election.is_to_look() {
                let Ok(found) = self.look().await else { return };
                self.election.saw(found, Instant::now());
            }
            let Some(claim) = self.election.release(&wall()) else { return };
            if self.write(&claim).await.is_ok() {
                tracing::info!(lease = self.name, "gave the lease away");
                return;
            }
            self.election.lost_sight();
        }
    }
}

/// The wall clock as Kubernetes writes it: for people, nobody counts with it.
fn wall() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}
