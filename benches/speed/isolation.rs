//! What a cluster that is dead, slow or huge does to the others: the same plans by five processes at once, each with three
//! good clusters and a fourth one, in turns and compared turn by turn, so that whatever else the machine does falls on all
//! alike. What two that are good differ by is what the measurement cannot tell.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate::sandbox::Server;

use crate::Wanted;
use crate::figures::{Board, Bound, Samples, Unit};
use crate::fleet::Fleet;
use crate::plans::{PlanRepository, path, plan};
use crate::process::{Running, Setup};
use crate::relay::Relay;

/// So many plans are for the three, and as many for all four.
const PLANS: usize = 100;
const GOOD: usize = 3;
/// VirtualServices of others in the huge cluster.
const FOREIGN: usize = 20_000;
/// How late the slow cluster answers.
const LATE: Duration = Duration::from_secs(10);
/// What a change may cost more beside a bad one, in the median.
const CHANGE_PERCENT: f64 = 10.0;
const STEP: u64 = 37;
const CONVERGENCE_WAIT: Duration = Duration::from_millis(200);
/// What a process needs to see that a cluster is gone.
const SEEN: Duration = Duration::from_secs(30);
/// Between two commits: out of step with what the one before leads to.
const PAUSE_MS: u64 = 60;
const PAUSE_MORE_MS: u64 = 47;

#[derive(Clone, Copy, PartialEq)]
enum Fourth {
    Good,
    Control,
    Dead,
    Slow,
    Huge,
}

impl Fourth {
    const ALL: [Self; 5] = [Self::Good, Self::Control, Self::Dead, Self::Slow, Self::Huge];

    const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Control => "good, too",
            Self::Dead => "dead",
            Self::Slow => "slow by 10 s",
            Self::Huge => "huge",
        }
    }
}

/// A process with its clusters.
struct Ward {
    fourth: Fourth,
    good: Fleet,
    bad: Option<Server>,
    relay: Relay,
    plans: PlanRepository,
    tidegate: Running,
    first_sync: Duration,
}

pub async fn measure(wanted: &Wanted, board: &mut Board) {
    if !wanted.has("isolation") {
        return;
    }
    let mut wards = Vec::new();
    for fourth in Fourth::ALL {
        wards.push(Ward::open(fourth).await);
    }
    for ward in &wards {
        let what = |what: &str| format!("{what}, 3 clusters and a {} one", ward.fourth.name());
        let mut first = Samples::new(Unit::Milliseconds);
        first.push_time(ward.first_sync);
        board.show(&what("first sync of 200 plans"), &first, &[]);
        board.show(&what("resident memory"), &Samples::of(Unit::Mebibytes, ward.tidegate.rss_mib()), &[]);
    }
    let step = format!("{{weight: {STEP}, hold: 1h}}");
    for ward in &mut wards {
        let raised: Vec<_> = all().map(|name| (path(&name), spec(&name, 100, &[&step]))).collect();
        ward.plans.publish(ward.plans.prepare(&raised));
        ward.good.all_at(&all().collect::<Vec<_>>(), STEP).await;
        ward.good.calm().await;
        ward.break_fourth().await;
    }
    tokio::time::sleep(SEEN).await;
    let commits = alternate(&wards, wanted.samples(200, 40), apart(), |name, turn| {
        let v2 = if (turn / PLANS).is_multiple_of(2) { 10 } else { 0 };
        (spec(name, v2, &[]), u64::from(v2))
    })
    .await;
    show(board, "commit to weights in three clusters", &commits);
    let back = alternate(&wards, wanted.samples(PLANS, 40), all(), |name, _| (spec(name, 0, &[]), 0)).await;
    show(board, "revert of plans for all four", &back);
    wards.into_iter().for_each(|ward| ward.tidegate.end());
}

/// The plans that are for the three good clusters alone.
fn apart() -> impl Iterator<Item = String> + Clone {
    (0..PLANS).map(|at| format!("p{at:05}"))
}

/// The plans that are for all four.
fn all() -> impl Iterator<Item = String> + Clone {
    (PLANS..2 * PLANS).map(|at| format!("p{at:05}"))
}

fn spec(name: &str, v2: u8, steps: &[&str]) -> String {
    let text = plan(crate::fleet::NAMESPACE, name, v2, steps);
    if apart().any(|one| one == name) { text.replace("spec:\n", "spec:\n  clusters: [c0, c1, c2]\n") } else { text }
}

/// The time that each change took in each of the wards, turn by turn.
async fn alternate(
    wards: &[Ward],
    samples: usize,
    names: impl Iterator<Item = String> + Clone,
    change: impl Fn(&str, usize) -> (String, u64),
) -> Vec<Samples> {
    let mut took: Vec<Samples> = wards.iter().map(|_| Samples::new(Unit::Milliseconds)).collect();
    for (turn, name) in names.cycle().take(samples).enumerate() {
        let (text, v2) = change(&name, turn);
        // Nobody is always first, nor always after the same one: five is prime.
        let stride = 1 + turn % (wards.len() - 1);
        for place in (0..wards.len()).map(|at| (at * stride + turn) % wards.len()) {
            let ward = &wards[place];
            let commit = ward.plans.prepare(&[(path(&name), text.clone())]);
            let begin = ward.plans.publish(commit);
            took[place].push_time(ward.good.all_at(std::slice::from_ref(&name), v2).await - begin);
            let more = (turn * 13 + place * 29) as u64 % PAUSE_MORE_MS;
            tokio::time::sleep(Duration::from_millis(PAUSE_MS + more)).await;
        }
    }
    took
}

fn show(board: &mut Board, what: &str, took: &[Samples]) {
    for (fourth, samples) in Fourth::ALL.into_iter().zip(took) {
        board.show(&format!("{what}; a fourth is {}", fourth.name()), samples, &[]);
    }
    for (fourth, samples) in Fourth::ALL.into_iter().zip(took).skip(1) {
        let mut more = Samples::new(Unit::Percent);
        samples.over(&took[0]).for_each(|ratio| more.push((ratio - 1.0) * 100.0));
        let bounds = [Bound::Median(CHANGE_PERCENT)];
        let bounds = if fourth == Fourth::Control { &[] } else { &bounds[..] };
        board.show(&format!("what that takes more where it is {}", fourth.name()), &more, bounds);
    }
}

impl Ward {
    async fn open(fourth: Fourth) -> Self {
        let names: Vec<String> = apart().chain(all()).collect();
        let mut good = Fleet::open(GOOD + 1, &names).await;
        let bad = good.take_last();
        if fourth == Fourth::Huge {
            fill(&bad);
        }
        let port = bad.url().rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
        let relay = Relay::to(port).await;
        let files: Vec<(String, String)> = names.iter().map(|name| (path(name), spec(name, 0, &[]))).collect();
        let plans = PlanRepository::with(&files);
        let kubeconfig = plans.beside().join("kubeconfig");
        let mut merged: Value = serde_json::from_str(&good.kubeconfig()).unwrap();
        let last = format!("c{GOOD}");
        let list = |merged: &mut Value, list: &str, item: Value| merged[list].as_array_mut().unwrap().push(item);
        let server = json!({"server": format!("http://127.0.0.1:{}", relay.port())});
        list(&mut merged, "clusters", json!({"name": last, "cluster": server}));
        list(&mut merged, "users", json!({"name": last, "user": {}}));
        list(&mut merged, "contexts", json!({"name": last, "context": {"cluster": last, "user": last}}));
        std::fs::write(&kubeconfig, merged.to_string()).unwrap();
        let mut setup = Setup::local(&plans);
        setup.contexts = format!("{},{last}", good.contexts());
        let begin = Instant::now();
        let tidegate = Running::start(&kubeconfig, &setup, CONVERGENCE_WAIT);
        good.all_at(&names, 0).await;
        let first_sync = begin.elapsed();
        good.calm().await;
        Self { fourth, good, bad: Some(bad), relay, plans, tidegate, first_sync }
    }

    async fn break_fourth(&mut self) {
        match self.fourth {
            Fourth::Good | Fourth::Control | Fourth::Huge => {}
            Fourth::Slow => self.relay.delay(LATE),
            Fourth::Dead => {
                self.relay.cut();
                if let Some(server) = self.bad.take() {
                    server.stop().await;
                }
            }
        }
    }
}

/// Puts routes of somebody else into a cluster, as large as people have them.
fn fill(server: &Server) {
    for at in 0..FOREIGN {
        let (name, namespace) = (format!("theirs-{at:05}"), format!("team-{:02}", at % 50));
        let routes: Vec<Value> = (0..3)
            .map(|route| {
                json!({"match": [{"uri": {"prefix": format!("/{route}/{name}")}}], "timeout": "5s",
                    "retries": {"attempts": 2, "perTryTimeout": "2s"},
                    "route": [{"destination": {"host": name, "subset": "v1", "port": {"number": 8080}}, "weight": 90},
                        {"destination": {"host": name, "subset": "v2", "port": {"number": 8080}}, "weight": 10}]})
            })
            .collect();
        let object = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": name, "team": namespace}},
            "spec": {"hosts": [name, format!("{name}.example.com")], "gateways": ["mesh", "istio-system/edge"], "http": routes}});
        server.store().put(object).unwrap();
    }
}
