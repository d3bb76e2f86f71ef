//! What people wait for at a prompt: `tidegate check` of many plans, and the start of the process.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Wanted;
use crate::figures::{Board, Bound, Samples, Unit};
use crate::plans::plan;
use crate::process::BINARY;

const PLANS: usize = 10_000;
const CHECK_MS: f64 = 3_000.0;
const BINARY_MB: f64 = 30.0;
const VERSION_MS: f64 = 20.0;

pub fn measure(wanted: &Wanted, board: &mut Board) {
    let dir = tempfile::tempdir().unwrap();
    for at in 0..PLANS {
        let (namespace, name) = (format!("shop-{:02}", at % 50), format!("p{at:05}"));
        let text = plan(&namespace, &name, 50, &["{weight: 1, hold: 10m}", "{weight: 10, hold: 1h}"]);
        std::fs::write(dir.path().join(format!("{name}.yaml")), text).unwrap();
    }
    let check = timed(wanted.samples(10, 3), &["check", dir.path().to_str().unwrap()]);
    board.show("tidegate check, 10,000 plans", &check, &[Bound::Median(CHECK_MS)]);
    let mixed = tempfile::tempdir().unwrap();
    for at in 0..PLANS {
        std::fs::write(mixed.path().join(format!("o{at:05}.yaml")), object(at)).unwrap();
    }
    let check = timed(wanted.samples(10, 3), &["check", mixed.path().to_str().unwrap()]);
    board.show("tidegate check, 10,000 plans and objects", &check, &[Bound::Median(CHECK_MS)]);
    let size = std::fs::metadata(BINARY).unwrap().len() as f64 / 1e6;
    board.show("release binary, in MB", &Samples::of(Unit::Count, size), &[Bound::Most(BINARY_MB)]);
    let version = timed(wanted.samples(200, 30), &["--version"]);
    board.show("tidegate --version", &version, &[Bound::Median(VERSION_MS)]);
}

/// A plan at a gateway, a Gateway or a ServiceEntry, in turns: what rules between objects look through.
fn object(at: usize) -> String {
    let (namespace, name) = (format!("shop-{:02}", at % 50), format!("o{at:05}"));
    let head = |kind: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n"
        )
    };
    match at % 5 {
        0 => {
            let servers = "  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [";
            format!("{}  selector: {{istio: in}}\n{servers}'*.{name}.example.com']}}]\n", head("Gateway"))
        }
        1 => {
            let ports = "  ports: [{number: 443, name: tls, protocol: TLS}]\n  resolution: DNS\n";
            format!("{}  hosts: [{name}.example.com]\n{ports}", head("ServiceEntry"))
        }
        _ => {
            let gateway = format!("o{:05}", at - at % 5);
            let host = format!("{name}.{gateway}.example.com");
            let home = format!("shop-{:02}", (at - at % 5) % 50);
            let routing = format!("  gateways: [mesh, {home}/{gateway}]\n  hosts: [{name}, {host}]\n");
            plan(&namespace, &name, 50, &["{weight: 1, hold: 10m}", "{weight: 10, hold: 1h}"]) + &routing
        }
    }
}

fn timed(samples: usize, arguments: &[&str]) -> Samples {
    let mut times = Samples::new(Unit::Milliseconds);
    for _ in 0..samples {
        let mut command = Command::new(BINARY);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        let begin = Instant::now();
        let status = command.status().unwrap();
        times.push_time(begin.elapsed());
        assert!(status.success(), "tidegate {arguments:?}: {status}");
    }
    times
}
