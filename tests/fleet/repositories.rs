//! Several plan repositories in one process.

use serde_json::Value;

use crate::bed::{EAST, Fleet, WEST};
use crate::configured::{Configured, cluster};
use crate::kubernetes::{self, eventually};
use crate::process::Process;
use crate::repository::Repository;
use crate::{FAST, SLOW, V1};

const SOON: std::time::Duration = std::time::Duration::from_secs(60);

/// Two repositories of the same two clusters: the fleet's with `web`, and another one.
struct Two {
    bed: Configured,
    other: Repository,
}

impl Two {
    /// `allow`: what the file says of the other repository.
    async fn open(prefix: &str, allow: &str) -> Self {
        let bed = Configured::open(prefix, &[EAST, WEST]).await;
        let two = Self { bed, other: Repository::empty() };
        for client in two.fleet().clients.values() {
            kubernetes::ready_services(client, &two.fleet().namespace, &["api"]).await;
        }
        two.write(&[EAST, WEST], allow);
        two
    }

    fn fleet(&self) -> &Fleet {
        &self.bed.fleet
    }

    fn write(&self, clusters: &[&str], allow: &str) {
        self.write_with(clusters, &format!("- {{url: '{}', name: pay{allow}}}\n", self.other.location()));
    }

    /// The file with other lines for the other repository.
    fn write_with(&self, clusters: &[&str], pay: &str) {
        let shop = self.fleet().repository.location();
        let clusters: String = clusters.iter().map(|name| format!("- {}\n", cluster(name, "eu"))).collect();
        self.bed.write_text(&format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: Configuration\nrepositories:\n- {{url: '{shop}', name: \
             shop}}\n{pay}clusters:\n{clusters}"
        ));
    }

    /// A commit to the other repository.
    fn plan(&self, name: &str, service: &str, spec: &str) {
        let text = format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: {name}, namespace: {}}}\nspec:\n  \
             service: {service}\n  from: {{v1: 100}}\n  versions: {{v1: {{labels: {{version: v1}}}}, v2: {{labels: \
             {{version: v2}}}}}}\n{spec}\n",
            self.fleet().namespace
        );
        self.other.commit(spec, &[(format!("plans/{name}.yaml"), text)]);
    }

    /// Waits until v2 of the other repository's plan has so much in both clusters.
    async fn until(&self, name: &str, v2: u64) {
        let there = || async {
            for client in self.fleet().clients.values() {
                let live = kubernetes::virtual_service(client, &self.fleet().namespace, name).await;
                let weights = live.map(|live| kubernetes::weights(&live)).unwrap_or_default();
                let found = weights.iter().find(|(version, _)| version == "v2").map_or(0, |(_, weight)| *weight);
                if weights.is_empty() || found != v2 {
                    return false;
                }
            }
            true
        };
        eventually(&format!("{name} of the other repository at {v2}"), SOON, there).await;
    }

    /// Waits until the status of the other repository is so.
    async fn until_other(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        let of = |status: &Value| {
            let all = status["repositories"].as_array()?;
            all.iter().find(|one| one["name"] == "pay").map(&holds)
        };
        self.bed.until_status(what, |status| of(status) == Some(true)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn law_10_a_repository_that_is_gone_holds_no_other_up() {
    let two = Two::open("repositories", "").await;
    let (fleet, process) = (two.fleet(), two.bed.start());
    fleet.plan(V1);
    two.plan("api", "api", V1);
    fleet.until_settled(&[("v1", 100)]).await;
    two.until("api", 0).await;
    two.plan("api", "api", SLOW);
    two.until("api", 10).await;
    let away = two.other.home().join("away");
    std::fs::rename(two.other.path(), &away).unwrap();
    two.until_other("it cannot be read", |other| other["error"].is_string()).await;
    assert_eq!(two.bed.metric("tidegate_git_reachable{repository=\"pay\"}").await.as_deref(), Some("0.0"));
    assert_eq!(two.bed.metric("tidegate_git_reachable{repository=\"shop\"}").await.as_deref(), Some("1.0"));
    fleet.plan(FAST);
    fleet.until_settled(&[("v2", 100)]).await;
    fleet.repository.revert("HEAD");
    fleet.until_settled(&[("v1", 100)]).await;
    two.until("api", 10).await;
    std::fs::rename(&away, two.other.path()).unwrap();
    two.other.revert("HEAD");
    two.until("api", 0).await;
    let status = fleet.status().await;
    let plans = status["plans"].as_array().unwrap();
    let owners: Vec<_> = plans.iter().map(|plan| (plan["repository"].as_str(), plan["name"].as_str())).collect();
    let [pay, shop] = [(Some("pay"), Some("api")), (Some("shop"), Some("web"))];
    assert_eq!(owners, [pay, pay, shop, shop], "a line for each plan and cluster");
    assert_eq!(status["clusters"].as_array().unwrap().len(), 2, "each cluster once");
    assert!(process.log().contains("repository{name=\"pay\"}"), "{}", process.log());
    // One round does the same, and tells of each.
    drop(process);
    fleet.plan(FAST);
    let answer = two.bed.once().await;
    assert!(answer.stdout.contains("web"), "{answer:?}");
    std::fs::rename(two.other.path(), &away).unwrap();
    let answer = two.bed.once().await;
    assert_eq!(answer.code, 3, "{answer:?}");
    assert!(answer.stderr.contains("error: repository pay: plan repository:"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_come_and_go_while_a_walk_of_another_goes_on() {
    let two = Two::open("come", "").await;
    let (fleet, process) = (two.fleet(), two.bed.start());
    fleet.plan(V1);
    two.plan("api", "api", V1);
    fleet.until_settled(&[("v1", 100)]).await;
    two.until("api", 0).await;
    fleet.plan(SLOW);
    fleet.until(&[EAST, WEST], 10).await;
    let count = |status: &Value| status["repositories"].as_array().map_or(0, Vec::len);
    two.write_with(&[EAST, WEST], "");
    two.bed.until_status("the other is gone", |status| count(status) == 1).await;
    // Nobody reads it now, and what it had asked for stays.
    two.plan("api", "api", SLOW);
    fleet.stays(EAST, 10).await;
    two.until("api", 0).await;
    two.write(&[EAST, WEST], "");
    two.until("api", 10).await;
    // Another branch is another place to read; it has what `main` had before.
    two.other.git(&["branch", "live", "HEAD~1"]);
    let branch = format!("- {{url: '{}', name: pay, branch: live}}\n", two.other.location());
    two.write_with(&[EAST, WEST], &branch);
    two.until("api", 0).await;
    // A file with a repository that cannot be followed changes nothing.
    two.write_with(
        &[EAST, WEST],
        "- {url: 'https://git.example.com/p', name: pay, knownHosts: none, verify: tip, verifyKeys: [none]}\n",
    );
    let refused = |status: &Value| {
        let error = status["configuration"]["error"].as_str();
        error.is_some_and(|why| why.contains("repository pay")) && count(status) == 2
    };
    two.bed.until_status("the file is not taken", refused).await;
    fleet.plan(FAST);
    fleet.until_settled(&[("v2", 100)]).await;
    assert_eq!(fleet.walk(EAST), [0, 10, 50, 100], "what was there went on as it was");
    assert!(!process.log().contains("panicked"), "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn law_09_a_plan_of_one_repository_is_never_taken_by_another() {
    let two = Two::open("owners", "").await;
    let (fleet, _process) = (two.fleet(), two.bed.start());
    fleet.plan(V1);
    fleet.until_settled(&[("v1", 100)]).await;
    // The same route, and another one with the same host.
    two.plan("web", "web", "  prune: true\n  traffic: {v2: 100}");
    two.plan("mine", "web", "  prune: true\n  traffic: {v2: 100}");
    let refused = |status: &Value| {
        let plans = status["plans"].as_array().into_iter().flatten();
        let of = plans.filter(|plan| plan["repository"] == "pay").map(|plan| plan["reason"]["needsAPerson"] == true);
        let of: Vec<bool> = of.collect();
        of.len() == 4 && of.iter().all(|refused| *refused)
    };
    two.bed.until_status("both are held", refused).await;
    fleet.stays(EAST, 0).await;
    assert_eq!((fleet.walk(EAST), fleet.walk(WEST)), (vec![0], vec![0]));
    // What lost is taken away in mid-walk of what has the route, as the sentence says.
    fleet.plan(SLOW);
    fleet.until(&[EAST, WEST], 10).await;
    two.other.remove("Leave web to the shop", &["plans/web.yaml", "plans/mine.yaml"]);
    let gone = |status: &Value| status["plans"].as_array().is_some_and(|all| all.len() == 2);
    two.bed.until_status("nothing is left of it", gone).await;
    fleet.stays(EAST, 10).await;
    fleet.plan(FAST);
    fleet.until_settled(&[("v2", 100)]).await;
    assert_eq!((fleet.walk(EAST), fleet.walk(WEST)), (vec![0, 10, 50, 100], vec![0, 10, 50, 100]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_moves_nothing_beyond_what_it_is_allowed() {
    let fleet_namespace = |two: &Two| two.fleet().namespace.clone();
    let two = Two::open("allowed", ", allow: {hosts: [none.example.com]}").await;
    let namespace = fleet_namespace(&two);
    let host = format!("api.{namespace}.svc.cluster.local");
    two.write(&[EAST, WEST], &format!(", allow: {{namespaces: [{namespace}], hosts: [{host}], kinds: [CanaryPlan]}}"));
    let (fleet, process) = (two.fleet(), two.bed.start());
    two.plan("api", "api", V1);
    two.until("api", 0).await;
    two.plan("web", "web", V1);
    two.until_other("it is beyond", |other| other["findings"][0]["code"] == "AL02").await;
    assert!(fleet.is_untouched(EAST) || fleet.walk(EAST).is_empty());
    // The other repository may.
    fleet.plan(V1);
    fleet.until_settled(&[("v1", 100)]).await;
    // What was in force stays so where a commit goes too far.
    two.plan("api", "web", FAST);
    two.until_other("so is this", |other| other["findings"].as_array().is_some_and(|all| all.len() == 2)).await;
    two.until("api", 0).await;
    assert!(!process.log().contains("panicked"), "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn law_06_one_lease_is_for_all_repositories_and_goes_over_with_all_of_them() {
    let two = Two::open("led", "").await;
    let fleet = two.fleet();
    let flags = ["--leader-elect", "--lease-name", "led", "--lease-namespace", &fleet.namespace];
    let mut first = two.bed.start_with(&flags);
    fleet.until_leads(true).await;
    fleet.plan(V1);
    two.plan("api", "api", V1);
    fleet.until_settled(&[("v1", 100)]).await;
    two.until("api", 0).await;
    let second: Process = two.bed.start_with(&flags);
    fleet.until_leads(false).await;
    let asked = std::time::Instant::now();
    first.terminate().await;
    assert_eq!(first.ended(SOON).await, 0);
    fleet.until_leads(true).await;
    println!("handed over {} ms after the end was asked for", asked.elapsed().as_millis());
    fleet.plan(FAST);
    two.plan("api", "api", FAST);
    fleet.until_settled(&[("v2", 100)]).await;
    two.until("api", 100).await;
    drop(second);
}
