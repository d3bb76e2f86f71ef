//! From a commit to the live weight, with few plans and with many, one at a time and all at once.

use std::time::{Duration, Instant};

use crate::Wanted;
use crate::figures::{Board, Bound, Samples, Unit};
use crate::mesh::{Mesh, Watch};
use crate::plans::{PlanRepository, path, plan};
use crate::process::Running;

/// The default: a raise is committed only once the change before it has converged.
const CONVERGENCE_WAIT: Duration = Duration::from_secs(2);
/// How many plans are changed, each up and down in turn.
const CHANGED: usize = 100;
const IDLE: Duration = Duration::from_secs(20);

/// The bounds with 100 plans, in milliseconds; 1,000 plans may cost half as much again.
const MEDIAN_MS: f64 = 50.0;
const P99_MS: f64 = 150.0;
const GROWTH: f64 = 1.5;
const ALL_MS: f64 = 2_000.0;

pub async fn measure(wanted: &Wanted, mesh: &Mesh, board: &mut Board) {
    let mut small = None;
    if wanted.has("live-100") {
        let mut bed = Bed::start(mesh, "hundred", 100, board).await;
        bed.measure(wanted, mesh, board, 1.0).await;
        small = Some(bed);
    }
    if wanted.has("live-1000") {
        let mut large = Bed::start(mesh, "thousand", 1_000, board).await;
        large.measure(wanted, mesh, board, GROWTH).await;
        if let Some(mut small) = small {
            let growth = growth(&mut small, &mut large, wanted.samples(200, 40)).await;
            board.show("commit to live: 1,000 plans over 100, medians", &growth, &[Bound::Median(GROWTH)]);
        }
    }
}

/// The ratio of the medians of both, in turns, so that whatever else the machine does meets both alike.
async fn growth(small: &mut Bed, large: &mut Bed, samples: usize) -> Samples {
    let (mut of_small, mut of_large) = (Samples::new(Unit::Milliseconds), Samples::new(Unit::Milliseconds));
    for at in 0..samples {
        of_small.push_time(small.change(at).await);
        of_large.push_time(large.change(at).await);
    }
    Samples::of(Unit::Count, of_large.median() / of_small.median())
}

/// A repository of plans, the tidegate that follows it, and a watch on what it does.
struct Bed {
    namespace: String,
    names: Vec<String>,
    plans: PlanRepository,
    tidegate: Running,
    watch: Watch,
}

impl Bed {
    async fn start(mesh: &Mesh, prefix: &str, count: usize, board: &mut Board) -> Self {
        let names: Vec<String> = (0..count).map(|at| format!("p{at:04}")).collect();
        let namespace = mesh.services(prefix, &names).await;
        let files: Vec<(String, String)> =
            names.iter().map(|name| (path(name), plan(&namespace, name, 0, &[]))).collect();
        let plans = PlanRepository::with(&files);
        let mut watch = Watch::start(mesh, &namespace).await;
        let begin = Instant::now();
        let tidegate = Running::start(&mesh.plane.kubeconfig(), &plans, CONVERGENCE_WAIT);
        let mut first = Samples::new(Unit::Milliseconds);
        first.push_time(watch.all_at(&names, 0).await - begin);
        board.show(&format!("start to all live, {count} plans (2 objects each)"), &first, &[]);
        mesh.calm().await;
        Self { namespace, names, plans, tidegate, watch }
    }

    async fn measure(&mut self, wanted: &Wanted, mesh: &Mesh, board: &mut Board, growth: f64) {
        let count = self.names.len();
        let mut live = Samples::new(Unit::Milliseconds);
        for at in 0..wanted.samples(400, 60) {
            live.push_time(self.change(at).await);
        }
        let bounds = [Bound::Median(MEDIAN_MS * growth), Bound::P99(P99_MS * growth)];
        board.show(&format!("commit to live, {count} plans"), &live, &bounds);
        mesh.calm().await;
        let all = self.at_once(mesh, wanted.samples(5, 2)).await;
        board.show(&format!("100 plans in one commit to all live, {count} plans"), &all, &[Bound::Most(ALL_MS)]);
        if !wanted.quick && count > CHANGED {
            let before = self.tidegate.cpu_s();
            tokio::time::sleep(IDLE).await;
            let used = (self.tidegate.cpu_s() - before) / IDLE.as_secs_f64() * 100.0;
            board.show(&format!("processor at rest, {count} plans"), &Samples::of(Unit::Percent, used), &[]);
        }
        let memory = Samples::of(Unit::Mebibytes, self.tidegate.rss_mib());
        board.show(&format!("resident memory, {count} plans"), &memory, &[]);
    }

    fn file(&self, name: &str, v2: u64) -> (String, String) {
        (path(name), plan(&self.namespace, name, u8::try_from(v2).unwrap(), &[]))
    }

    /// Commits another weight of the plan whose turn it is; returns how long it took until that was live.
    async fn change(&mut self, turn: usize) -> Duration {
        let name = self.changed()[turn % CHANGED].clone();
        let v2 = if self.watch.now[&name] == 0 { 10 } else { 0 };
        let commit = self.plans.prepare(&[self.file(&name, v2)]);
        let begin = self.plans.publish(commit);
        let end = self.watch.all_at(&[name], v2).await;
        // Out of step with whatever tidegate does at even intervals.
        tokio::time::sleep(Duration::from_millis(25 + (turn as u64 * 7) % 31)).await;
        end.saturating_duration_since(begin)
    }

    /// The plans that are changed, evenly spread over all.
    fn changed(&self) -> Vec<String> {
        self.names.iter().step_by(self.names.len() / CHANGED).cloned().collect()
    }

    async fn at_once(&mut self, mesh: &Mesh, samples: usize) -> Samples {
        let names = &self.changed();
        let mut all = Samples::new(Unit::Milliseconds);
        for at in 0..samples {
            let v2 = if at % 2 == 0 { 20 } else { 5 };
            let files: Vec<(String, String)> = names.iter().map(|name| self.file(name, v2)).collect();
            let commit = self.plans.prepare(&files);
            let begin = self.plans.publish(commit);
            let end = self.watch.all_at(names, v2).await;
            all.push_time(end.saturating_duration_since(begin));
            mesh.calm().await;
        }
        all
    }
}
