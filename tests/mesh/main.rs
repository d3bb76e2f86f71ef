//! What callers get: plans in a Git repository, the real binary, a real API server, a real istiod, and requests through
//! real Envoys to servers on loopback.
//!
//! ```text
//! Repository ──► `tidegate run` ──► kube-apiserver ──► istiod ──► gateway Envoy ──► v1, v2, v3
//!                                                          └────► caller's Envoy ──┘
//! ```
//!
//! The tests share one mesh and follow one another, so that each has both cores; names, ports and namespaces are a
//! test's own. Where istiod or Envoy can't be had, every test is skipped, and the last line says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/process.rs"]
mod process;

#[path = "../scenarios/history.rs"]
mod history;

mod bed;
mod churn;
mod drills;
mod gap;
mod rejected;
mod runner;
mod scenarios;
mod shares;

use runner::Test;

const TESTS: &[(&str, Test)] = &[
    ("scenario_myservice_through_envoy", |mesh| Box::pin(scenarios::replay(mesh, &scenarios::MYSERVICE))),
    ("scenario_helloworld_through_envoy", |mesh| Box::pin(scenarios::replay(mesh, &scenarios::HELLOWORLD))),
    ("scenario_bookinfo_through_envoy", |mesh| Box::pin(scenarios::replay(mesh, &scenarios::BOOKINFO))),
    ("scenario_kubeflow_through_envoy", |mesh| Box::pin(scenarios::replay(mesh, &scenarios::KUBEFLOW))),
    ("scenario_website_through_envoy", |mesh| Box::pin(scenarios::replay(mesh, &scenarios::WEBSITE))),
    ("adding_a_version_fails_no_request", |mesh| Box::pin(drills::adding(mesh))),
    ("removing_a_version_fails_no_request", |mesh| Box::pin(drills::removing(mesh))),
    ("a_whole_walk_fails_no_request", |mesh| Box::pin(drills::walking(mesh))),
    ("a_revert_in_mid_walk_fails_no_request", |mesh| Box::pin(drills::reverting(mesh))),
    ("law_07_hold_time_starts_only_when_the_proxies_have_the_step", |mesh| Box::pin(churn::law_07(mesh))),
    ("a_route_that_envoy_refuses_fails_its_step", |mesh| Box::pin(rejected::refused(mesh))),
    ("a_subset_removed_too_soon_fails_requests", |mesh| Box::pin(gap::removed_too_soon(mesh))),
];

fn main() -> std::process::ExitCode {
    runner::main(TESTS)
}
