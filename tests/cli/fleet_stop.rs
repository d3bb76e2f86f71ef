//! `tidegate stop` and `why` with `--config` where clusters are silent, let go, or have routes of somebody else.

use std::{
    net::TcpListener,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tidegate::{
    rollout::{JOURNAL, Journal, OWNER},
    sandbox::Store,
};

use crate::bed::eventually;
use crate::fleet::{STEPS, Two};
use crate::process::run;

/// A cluster that accepts connections and never answers, and a configuration file with it before the east, or before
/// both.
struct Silent {
    _listener: TcpListener,
    file: PathBuf,
}

impl Silent {
    fn beside(two: &Two, others: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let home = two.east.repository.home();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut config: Value = serde_json::from_str(&two.west.kubeconfig()).unwrap();
        config["clusters"][0]["cluster"]["server"] = url.into();
        std::fs::write(home.join("silent"), config.to_string()).unwrap();
        let files = [("west", "west"), ("east", "kubeconfig")].into_iter().filter(|(name, _)| others.contains(name));
        let files: Vec<String> =
            files.map(|(name, file)| format!("- {{name: {name}, kubeconfig: {file}}}\n")).collect();
        let text = format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: Configuration\nrepositories: [{{url: '{}', name: plans}}]\nclusters:\n\
             - {{name: silent, kubeconfig: silent, mesh: shop}}\n- {{name: far, kubeconfig: silent, role: remote, mesh: shop}}\n{}",
            two.east.repository.location(),
            files.concat()
        );
        let file = home.join("silent.yaml");
        std::fs::write(&file, text).unwrap();
        Self { _listener: listener, file }
    }

    fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let file = ["--config".to_owned(), self.file.display().to_string()];
        arguments.iter().map(|word| (*word).to_owned()).chain(file).collect()
    }
}

fn web(store: &Store) -> Value {
    store.get("virtualservices", "shop", "web").unwrap()
}

fn stop_on(store: &Store) -> Option<String> {
    web(store)["metadata"]["annotations"]["tidegate.dev/stop"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_never_answers_holds_up_no_stop_elsewhere_and_is_told() {
    let two = Two::open().await;
    let mut process = two.walking().await;
    process.kill().await;
    let silent = Silent::beside(&two, &["west", "east"]);
    let home = two.east.repository.home().to_owned();
    let arguments = silent.arguments(&["stop", "web", "--reason", "ada"]);
    let begun = Instant::now();
    let stop = tokio::spawn(async move { run(&home, &arguments).await });
    for store in [two.east.store(), two.west.store()] {
        eventually("it is stopped", || stop_on(store).as_deref() == Some("ada")).await;
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(!stop.is_finished(), "the silent one is still waited for");
    let stop = stop.await.unwrap();
    assert_eq!(stop.code, 3, "{stop:?}");
    assert!(stop.stdout.contains("cluster east: stopped web: ") && stop.stdout.contains("cluster west: stopped web: "));
    let errors: Vec<&str> = stop.stderr.lines().collect();
    assert!(errors.len() == 1 && errors[0].starts_with("error: cluster silent "), "no remote is asked: {stop:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_nowhere_may_be_in_a_cluster_that_does_not_answer() {
    let two = Two::open().await;
    let silent = Silent::beside(&two, &["east"]);
    let home = two.east.repository.home();
    for words in [&["stop", "web", "--reason", "ada"][..], &["why", "web"]] {
        let answer = run(home, &silent.arguments(words)).await;
        assert_eq!((answer.code, answer.stdout.as_str()), (3, ""), "{answer:?}");
        let told = answer.stderr.contains("no plan `web` is applied in the clusters that answer; cluster silent");
        assert!(told && !answer.stderr.contains("cluster far"), "{answer:?}");
    }
    let both = two.ask(&["stop", "web", "--reason", "ada"]).await;
    assert_eq!(both.code, 2, "all of them answer: {both:?}");
    assert!(both.stderr.starts_with("error: no plan `web` is applied in these clusters"), "{both:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_routes_that_are_tidegates_are_stopped_and_one_whose_journal_is_broken_is() {
    let two = Two::open().await;
    let mut process = two.walking().await;
    process.kill().await;
    let (ours, mut theirs) = (web(two.west.store()), web(two.west.store()));
    theirs["metadata"]["labels"] = json!({});
    two.west.store().put(theirs).unwrap();
    let theirs = web(two.west.store());
    let stop = two.ask(&["stop", "web", "--reason", "ada"]).await;
    assert_eq!((stop.code, stop.stderr.as_str()), (0, ""), "{stop:?}");
    assert!(stop.stdout.starts_with("cluster east: stopped") && !stop.stdout.contains("cluster west"), "{stop:?}");
    assert_eq!(web(two.west.store()), theirs, "somebody else's");

    for owner in [true, false] {
        let mut broken = ours.clone();
        broken["metadata"]["resourceVersion"] = web(two.west.store())["metadata"]["resourceVersion"].clone();
        let annotations = broken["metadata"]["annotations"].as_object_mut().unwrap();
        annotations.insert(JOURNAL.to_owned(), "none".into());
        if !owner {
            annotations.remove(OWNER).unwrap();
        }
        two.west.store().put(broken).unwrap();
        let stop = two.ask(&["stop", "shop/web", "--reason", "bob"]).await;
        assert_eq!((stop.code, stop.stderr.as_str()), (0, ""), "{owner}: {stop:?}");
        assert_eq!(stop_on(two.west.store()).as_deref(), Some("bob"), "{owner}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_was_let_go_is_left_alone_and_not_believed() {
    let two = Two::open().await;
    let mut process = two.start();
    two.east.plan("web", &format!("{STEPS}\n  traffic: {{v1: 100}}"));
    two.until_settled_in_both().await;
    two.east.plan("web", &format!("clusters: [west]\n  {STEPS}\n  traffic: {{v1: 100}}"));
    let is_let_go =
        || Journal::on(&web(two.east.store())).is_some_and(|journal| journal.is_ok_and(|it| it.is_let_go()));
    eventually("the east is let go", is_let_go).await;
    two.east.plan("web", &format!("clusters: [west]\n  {STEPS}\n  traffic: {{v2: 100}}"));
    eventually("the west goes on", || two.weight_in_west() == Some(10)).await;
    process.kill().await;
    let json: Value = serde_json::from_str(&two.ask(&["status", "-o", "json"]).await.stdout).unwrap();
    let leaves = |cluster: &str| {
        let plan = json["plans"].as_array().unwrap().iter().find(|plan| plan["cluster"] == cluster);
        plan.unwrap_or_else(|| panic!("{json:#}"))["leaves"].clone()
    };
    assert_eq!((leaves("west"), leaves("east")), (json!(false), json!(true)));
    let stop = two.ask(&["stop", "web", "--reason", "ada"]).await;
    assert_eq!((stop.code, stop.stderr.as_str()), (0, ""), "{stop:?}");
    assert_eq!((stop_on(two.west.store()).as_deref(), stop_on(two.east.store())), (Some("ada"), None));
}
