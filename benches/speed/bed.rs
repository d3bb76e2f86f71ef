//! A repository of plans, the tidegate that follows it, and a watch on what it does.

use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::kubernetes::api;
use crate::mesh::{Mesh, PATIENCE, Watch};
use crate::plans::{PlanRepository, path, plan};
use crate::process::{Running, Setup};

/// The default.
const CONVERGENCE_WAIT: Duration = Duration::from_secs(2);
/// The same where a few plans are changed in turn, so that their turns do not take for ever.
const CONVERGENCE_WAIT_OF_FEW: Duration = Duration::from_millis(200);
/// How many plans are changed, each up and down in turn.
const CHANGED: usize = 100;

/// Some plans, live.
pub struct Bed {
    pub namespace: String,
    pub names: Vec<String>,
    pub plans: PlanRepository,
    setup: Setup,
    tidegate: Option<Running>,
    pub watch: Watch,
    wait: Duration,
    /// From the start of the process until every plan was live.
    pub first_sync: Duration,
}

impl Bed {
    /// Starts tidegate with so many plans that are not live yet, and waits until all are and nothing is written any more.
    pub async fn start(mesh: &Mesh, prefix: &str, count: usize) -> Self {
        Self::reached_by(mesh, prefix, count, Setup::local).await
    }

    /// The same, with the repository reached as `setup` says.
    pub async fn reached_by(
        mesh: &Mesh,
        prefix: &str,
        count: usize,
        setup: impl FnOnce(&PlanRepository) -> Setup,
    ) -> Self {
        let names: Vec<String> = (0..count).map(|at| format!("p{at:05}")).collect();
        let namespace = mesh.services(prefix, &names).await;
        let files: Vec<(String, String)> =
            names.iter().map(|name| (path(name), plan(&namespace, name, 0, &[]))).collect();
        let plans = PlanRepository::with(&files);
        let mut watch = Watch::start(mesh, &namespace).await;
        mesh.calm().await;
        let begin = Instant::now();
        let setup = setup(&plans);
        let wait = if count < CHANGED { CONVERGENCE_WAIT_OF_FEW } else { CONVERGENCE_WAIT };
        let tidegate = Running::start(&mesh.plane.kubeconfig(), &setup, wait);
        let first_sync = watch.all_at(&names, 0).await - begin;
        mesh.calm().await;
        Self { namespace, names, plans, setup, tidegate: Some(tidegate), watch, wait, first_sync }
    }

    /// Ends the process and deletes what it wrote: the next measurement is not one of a cluster with these plans, too.
    pub async fn end(mut self, mesh: &Mesh) {
        self.tidegate.take().unwrap().end();
        mesh.clear(&self.namespace).await;
    }

    /// The process.
    pub fn tidegate(&self) -> &Running {
        self.tidegate.as_ref().unwrap()
    }

    /// Ends the process and starts another; returns how long that took to be ready.
    pub async fn restart(&mut self, mesh: &Mesh) -> Duration {
        self.tidegate.take().unwrap().end();
        let begin = Instant::now();
        let tidegate = Running::start(&mesh.plane.kubeconfig(), &self.setup, self.wait);
        while !matches!(tidegate.ask("/readyz"), Some((200, _))) {
            assert!(begin.elapsed() < PATIENCE, "not ready after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let ready = begin.elapsed();
        self.tidegate = Some(tidegate);
        mesh.calm().await;
        ready
    }

    /// The file of a plan that gives v2 this weight.
    pub fn file(&self, name: &str, v2: u64) -> (String, String) {
        (path(name), plan(&self.namespace, name, u8::try_from(v2).unwrap(), &[]))
    }

    /// Commits another weight of the plan whose turn it is; returns how long it took until that was live.
    pub async fn change(&mut self, turn: usize) -> Duration {
        let (name, v2) = self.next_change(turn);
        let commit = self.plans.prepare(&[self.file(&name, v2)]);
        let begin = self.plans.publish(commit);
        self.live(begin, name, v2, turn).await
    }

    /// The plan whose turn it is, with the weight that it gets.
    pub fn next_change(&self, turn: usize) -> (String, u64) {
        let changed = self.changed();
        let name = changed[turn % changed.len()].clone();
        let v2 = if self.watch.now[&name] == 0 { 10 } else { 0 };
        (name, v2)
    }

    /// Waits until that weight is live; returns how long that was after `begin`.
    pub async fn live(&mut self, begin: Instant, name: String, v2: u64, turn: usize) -> Duration {
        let end = self.watch.all_at(&[name], v2).await;
        self.pause(turn).await;
        end.saturating_duration_since(begin)
    }

    /// A plan's next raise comes once its last change has converged; out of step with whatever happens at even intervals.
    async fn pause(&self, turn: usize) {
        let each = self.wait / u32::try_from(self.changed().len()).unwrap();
        tokio::time::sleep(each + Duration::from_millis(25 + (turn as u64 * 7) % 31)).await;
    }

    /// Raises a weight by hand; returns how long after the server's answer it was as before.
    pub async fn edit_by_hand(&mut self, mesh: &Mesh, turn: usize) -> Duration {
        let changed = self.changed();
        let name = changed[turn % changed.len()].clone();
        let before = self.watch.now[&name];
        let objects = api(&mesh.client, &self.namespace, "networking.istio.io/v1", "VirtualService");
        let destination =
            |subset: &str, weight: u64| json!({"destination": {"host": name, "subset": subset}, "weight": weight});
        let live = objects.get(&name).await.unwrap();
        let mut http = live.data["spec"]["http"].clone();
        http[0]["route"] = json!([destination("v1", 63 - before), destination("v2", 37 + before)]);
        let patch = Patch::Merge(json!({"spec": {"http": http}}));
        objects.patch(&name, &PatchParams::default(), &patch).await.unwrap();
        let begin = Instant::now();
        self.watch.all_at(std::slice::from_ref(&name), 37 + before).await;
        let end = self.watch.all_at(&[name], before).await;
        self.pause(turn).await;
        end.saturating_duration_since(begin)
    }

    /// The plans that are changed, evenly spread over all.
    pub fn changed(&self) -> Vec<String> {
        self.names.iter().step_by((self.names.len() / CHANGED).max(1)).cloned().collect()
    }
}
