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
mod forwarded;
mod gap;
mod multicluster;
mod rejected;
mod runner;
mod scenarios;
mod shares;
mod two;

use runner::Test;

macro_rules! tests {
    ($($file:ident::$test:ident,)+) => {
        &[$((stringify!($test), |mesh| Box::pin($file::$test(mesh)))),+]
    };
}

const TESTS: &[(&str, Test)] = tests![
    scenarios::scenario_myservice_through_envoy,
    scenarios::scenario_helloworld_through_envoy,
    scenarios::scenario_bookinfo_through_envoy,
    scenarios::scenario_kubeflow_through_envoy,
    scenarios::scenario_website_through_envoy,
    multicluster::scenario_helloworld_over_two_primaries,
    multicluster::scenario_helloworld_over_a_primary_and_its_remote,
    drills::adding_a_version_fails_no_request,
    drills::removing_a_version_fails_no_request,
    drills::a_whole_walk_fails_no_request,
    drills::a_revert_in_mid_walk_fails_no_request,
    gap::a_subset_removed_too_soon_fails_requests,
    churn::law_07_hold_time_starts_only_when_the_proxies_have_the_step,
    forwarded::law_08_a_step_is_held_until_its_gateway_shows_it,
    forwarded::a_missing_right_holds_and_is_named_and_no_istiod_at_all_is_waited_out,
    forwarded::nothing_is_asked_at_rest,
    rejected::a_route_that_envoy_refuses_fails_its_step,
];

fn main() -> std::process::ExitCode {
    runner::main(TESTS)
}
