//! `tidegate run --guard`: going back in one cluster, with neither the plan repository nor whoever raises there.

use clap::Arg;

use crate::{
    cluster::{Member, Role},
    reconcile::{self, GuardOptions},
    rollout::Settings,
};

use super::{DONE, Failure, run::Run};

/// The flags that a guard knows; all others are about a repository, or about raising.
const KNOWN: [&str; 7] = ["guard", "kubeconfig", "context", "cluster_name", "listen", "convergence_wait", "log_format"];

/// Makes a flag that a guard does not know an error beside `--guard`.
pub(super) fn without_guard(arg: Arg) -> Arg {
    if KNOWN.contains(&arg.get_id().as_str()) { arg } else { arg.conflicts_with("guard") }
}

impl Run {
    /// Guards the one cluster that flags name.
    pub(super) async fn guard(self) -> Result<u8, Failure> {
        let mut reached = self.clusters.connect().await?;
        let several = reached.len() > 1;
        let Some((access, cluster)) = reached.pop().filter(|_| !several) else {
            let error = anyhow::anyhow!("a guard goes back in one cluster, and --context names several");
            return Err(Failure::usage(error, "run one in each cluster, best in a pod there"));
        };
        let (name, labels, role) = (cluster.name().to_owned(), Default::default(), Role::Primary);
        let member = Member { name, labels, access, mesh: None, role, writes_max: None, proxies: None };
        if self.clusters.is_nameless(std::slice::from_ref(&member)) {
            let error = anyhow::anyhow!("--guard needs a name for the cluster: in every pod it is `in-cluster`");
            return Err(Failure::usage(error, "say --cluster-name, as whoever raises there calls the cluster"));
        }
        let (server, ends) = self.serve.start(tokio::sync::watch::channel(Vec::new()).1).await?.unzip();
        let settings = Settings { convergence_wait_ms: self.convergence_wait_ms(), ..Settings::default() };
        let instance = std::env::var("POD_NAME").ok();
        let asks = ends.map(|ends| ends.asks);
        reconcile::guard(GuardOptions { member, cluster, settings, instance, asks }, super::run::asked_to_end()).await;
        if let Some(server) = server {
            server.stop().await;
        }
        Ok(DONE)
    }
}
