//! Replays the histories of the five scenarios, commit by commit, on a real API server and on the sandbox.
//!
//! A scenario is a folder of `tests/histories`: each file is what `plans/<scenario>.yaml` holds after one commit. A
//! file that is equal to an earlier one is committed with `git revert`. What each commit leads to is written in
//! `golden/<scenario>/`, once for both servers, and the weights also in the table below. After an intended change,
//! `INSTA_UPDATE=always cargo test --test scenarios` writes the golden files anew: read what changed in them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod guarded;
mod history;
mod quiet;
mod replay;
mod story;
mod timeline;

use replay::{Scenario, Service, replay};
use support::world::Bed;

const MYSERVICE: Scenario = Scenario {
    name: "myservice",
    namespaces: &["myservice"],
    services: &[Service { name: "myservice", port: 8080, versions: &["v1", "v2"] }],
    gateway: Some(("myservice", "myservice-gateway")),
    moves: &[
        &[("myservice", &["v1=100"])],
        &[("myservice", &["v1=95 v2=5"])],
        &[("myservice", &["v1=80 v2=20", "v1=50 v2=50", "v1=20 v2=80", "v2=100"])],
        &[("myservice", &["v1=100"])],
        &[],
        &[],
        &[],
        &[],
        &[],
        &[("myservice", &["v1=80 v2=20", "v1=50 v2=50", "v1=20 v2=80", "v2=100"])],
    ],
};

const HELLOWORLD: Scenario = Scenario {
    name: "helloworld",
    namespaces: &["helloworld"],
    services: &[Service { name: "helloworld", port: 5000, versions: &["v1", "v2"] }],
    gateway: Some(("helloworld", "helloworld-gateway")),
    moves: &[&[("helloworld", &["v1=100"])], &[("helloworld", &["v1=80 v2=20"])]],
};

const BOOKINFO: Scenario = Scenario {
    name: "bookinfo",
    namespaces: &["bookinfo"],
    services: &[
        Service { name: "productpage", port: 9080, versions: &["v1"] },
        Service { name: "reviews", port: 9080, versions: &["v1", "v2", "v3"] },
        Service { name: "ratings", port: 9080, versions: &["v1"] },
        Service { name: "details", port: 9080, versions: &["v1"] },
    ],
    gateway: None,
    moves: &[
        &[("details", &["v1=100"]), ("productpage", &["v1=100"]), ("ratings", &["v1=100"]), ("reviews", &["v1=100"])],
        &[("reviews", &["v1=90 v2=10"])],
        &[("reviews", &["v1=50 v3=50"])],
        &[("reviews", &["v3=100"])],
    ],
};

const KUBEFLOW: Scenario = Scenario {
    name: "kubeflow",
    namespaces: &["myapp", "kubeflow"],
    services: &[Service { name: "myapp-svc", port: 80, versions: &["v2", "v3"] }],
    gateway: Some(("kubeflow", "kubeflow-gateway")),
    moves: &[&[("myapp-vs", &["v2=90 v3=10"])], &[("myapp-vs", &["v2=10 v3=90"])]],
};

const WEBSITE: Scenario = Scenario {
    name: "website",
    namespaces: &["website"],
    services: &[Service { name: "website", port: 80, versions: &["website-version-1", "website-version-2"] }],
    gateway: Some(("website", "website-gateway")),
    moves: &[
        &[("website", &["version-1=100"])],
        &[],
        &[("website", &["version-1=80 version-2=20", "version-1=50 version-2=50", "version-1=20 version-2=80"])],
    ],
};

macro_rules! scenario {
    ($scenario:ident, $real:ident, $sandbox:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $real() {
            replay(&$scenario, Bed::Real).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $sandbox() {
            replay(&$scenario, Bed::Sandbox).await;
        }
    };
}

scenario!(MYSERVICE, scenario_myservice_on_the_real_api_server, scenario_myservice_on_the_sandbox);
scenario!(HELLOWORLD, scenario_helloworld_on_the_real_api_server, scenario_helloworld_on_the_sandbox);
scenario!(BOOKINFO, scenario_bookinfo_on_the_real_api_server, scenario_bookinfo_on_the_sandbox);
scenario!(KUBEFLOW, scenario_kubeflow_on_the_real_api_server, scenario_kubeflow_on_the_sandbox);
scenario!(WEBSITE, scenario_website_on_the_real_api_server, scenario_website_on_the_sandbox);

#[test]
fn the_last_commit_of_each_history_is_the_plan_that_a_reader_sees() {
    for scenario in [MYSERVICE, HELLOWORLD, BOOKINFO, KUBEFLOW, WEBSITE] {
        let path = history::root().join("plans").join(format!("{}.yaml", scenario.name));
        let commits = history::commits(scenario.name);
        assert_eq!(commits.len(), scenario.moves.len(), "{}", scenario.name);
        assert_eq!(commits.last().unwrap().text, std::fs::read_to_string(path).unwrap());
    }
}

#[test]
fn every_plan_of_every_history_is_without_a_finding() {
    for scenario in [MYSERVICE, HELLOWORLD, BOOKINFO, KUBEFLOW, WEBSITE] {
        for commit in history::commits(scenario.name) {
            let findings = tidegate::plan::parse_file(&commit.label, commit.text.as_bytes()).findings;
            assert!(findings.is_empty(), "{}: {findings:?}", commit.label);
        }
    }
}
