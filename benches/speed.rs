//! Measures what tidegate promises about speed, prints each figure beside its bound, and exits 1 above one.
//!
//! `cargo bench --bench speed -- [--report] [--quick] [NAME…]`; the names are those of [`BENCHMARKS`].
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that cannot measure has failed"
)]

#[path = "speed/back.rs"]
mod back;
#[path = "speed/bed.rs"]
mod bed;
#[path = "../tests/support/certificates.rs"]
#[allow(dead_code, reason = "the server of the tests can do more than is measured")]
mod certificates;
#[path = "speed/command.rs"]
mod command;
#[path = "../tests/support/controlplane.rs"]
mod controlplane;
#[path = "speed/converge.rs"]
mod converge;
#[path = "speed/decision.rs"]
mod decision;
#[path = "../tests/support/envoy.rs"]
mod envoy;
#[path = "speed/figures.rs"]
mod figures;
#[path = "speed/fleet.rs"]
mod fleet;
#[path = "../tests/support/git_http.rs"]
#[allow(dead_code, reason = "the server of the tests can do more than is measured")]
mod git_http;
#[path = "speed/isolation.rs"]
mod isolation;
#[path = "../tests/support/istiod.rs"]
mod istiod;
#[path = "../tests/support/kubernetes.rs"]
mod kubernetes;
#[path = "speed/live.rs"]
mod live;
#[path = "speed/mesh.rs"]
mod mesh;
#[path = "speed/plans.rs"]
mod plans;
#[path = "speed/process.rs"]
mod process;
#[path = "speed/push.rs"]
mod push;
#[path = "../tests/support/relay.rs"]
mod relay;
#[path = "speed/route.rs"]
mod route;
#[path = "speed/scale.rs"]
mod scale;
#[path = "../src/reconcile/simulation/mod.rs"]
mod simulated;
#[path = "speed/simulation.rs"]
mod simulation;
#[path = "speed/soak.rs"]
mod soak;
#[path = "speed/walk.rs"]
mod walk;

use std::process::ExitCode;

use figures::Board;
use mesh::Mesh;

/// As in the binary that is measured.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Everything that can be named on the command line, with what it measures.
const BENCHMARKS: [(&str, &str); 21] = [
    ("decision", "one decision for a plan that has not changed"),
    ("command", "tidegate check of 10,000 plans and objects, tidegate --version"),
    ("simulation", "walks that the simulation runs and judges a second"),
    ("walk", "length of holds and requests per step, on a kube-apiserver"),
    ("live-100", "commit to live weight with 100 plans, on a kube-apiserver"),
    ("live-1000", "the same with 1,000 plans"),
    ("push-1", "push over HTTP and webhook to live weight with 1 plan"),
    ("push-100", "the same with 100 plans"),
    ("push-1000", "the same with 1,000 plans"),
    ("revert", "revert to proven weights live with 100 plans, on a kube-apiserver"),
    ("stop", "stop annotation to proven weights live with 100 plans"),
    (
        "converge",
        "from the proxies having new weights to knowing it, and 1,000 plans that ask nothing, on istiod and Envoys",
    ),
    ("fleet-1", "commit and revert to the last cluster's weights, and standing still, with 100 plans in one sandbox"),
    ("fleet-10", "the same in 10 sandboxes, one of which dies"),
    ("fleet-100", "the same in 100 sandboxes, 10 of which die"),
    ("isolation", "commits and reverts in three clusters beside a fourth one that is good, dead, slow or huge"),
    ("scale-10", "first sync, commits, repairs, standing still and restarts with 10 plans"),
    ("scale-100", "the same with 100 plans"),
    ("scale-1000", "the same with 1,000 plans"),
    ("scale-10000", "the same with 10,000 plans"),
    ("soak", "resident memory over 2,000 commits"),
];

/// What the command line asks for.
struct Wanted {
    report: bool,
    quick: bool,
    names: Vec<String>,
}

impl Wanted {
    fn read() -> Result<Self, String> {
        let mut wanted = Self { report: false, quick: false, names: Vec::new() };
        for argument in std::env::args().skip(1) {
            match argument.as_str() {
                "--report" => wanted.report = true,
                "--quick" => wanted.quick = true,
                // Cargo's own.
                "--bench" => {}
                name if BENCHMARKS.iter().any(|(known, _)| *known == name) => wanted.names.push(name.to_owned()),
                other => return Err(format!("there is no benchmark or option `{other}`")),
            }
        }
        Ok(wanted)
    }

    fn has(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }

    /// `full` samples, or fewer where time matters more.
    fn samples(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }
}

fn main() -> ExitCode {
    let wanted = match Wanted::read() {
        Ok(wanted) => wanted,
        Err(error) => {
            eprintln!("error: {error}\nbenchmarks:");
            BENCHMARKS.iter().for_each(|(name, what)| eprintln!("  {name:10} {what}"));
            return ExitCode::from(2);
        }
    };
    rustls::crypto::ring::default_provider().install_default().unwrap();
    let mut board = Board::new();
    if wanted.has("decision") {
        decision::measure(&wanted, &mut board);
    }
    if wanted.has("command") {
        command::measure(&wanted, &mut board);
    }
    if wanted.has("simulation") {
        simulation::measure(&wanted, &mut board);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(fleet::measure(&wanted, &mut board));
    runtime.block_on(isolation::measure(&wanted, &mut board));
    let on_a_mesh =
        |name: &str| !["decision", "command", "simulation", "isolation"].contains(&name) && !name.starts_with("fleet-");
    if BENCHMARKS.iter().any(|(name, _)| on_a_mesh(name) && wanted.has(name)) {
        runtime.block_on(async {
            let mesh = Mesh::start().await;
            if wanted.has("walk") {
                walk::measure(&wanted, &mesh, &mut board).await;
            }
            live::measure(&wanted, &mesh, &mut board).await;
            push::measure(&wanted, &mesh, &mut board).await;
            back::measure(&wanted, &mesh, &mut board).await;
            scale::measure(&wanted, &mesh, &mut board).await;
            if wanted.has("converge") {
                converge::measure(&wanted, &mesh, &mut board).await;
            }
            if wanted.has("soak") {
                soak::measure(&wanted, &mesh, &mut board).await;
            }
        });
    }
    if board.is_within() || wanted.report { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
