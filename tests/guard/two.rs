//! Two clusters, of which one is cut off from whoever raises, and has a guard.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate::rollout::Phase;

use crate::fleet::{EAST, Fleet, WEST};
use crate::process::Process;
use crate::proxy::Proxy;
use crate::{MACHINE, SLOW};

const V1: &str = "  traffic: {v1: 100}";

/// Whoever raises, whose way to WEST can be closed, and the guard of WEST.
struct Cut {
    fleet: Fleet,
    way: Proxy,
    hub: Process,
    _guard: Process,
}

impl Cut {
    /// Both clusters at 10, and WEST is cut off.
    async fn open(prefix: &str, spec: &str) -> Self {
        let fleet = Fleet::open(prefix, &[EAST, WEST]).await;
        let way = Proxy::start(&fleet.kubeconfig_of(WEST)).await;
        let hub = Self::hub(&fleet, &way);
        let home = fleet.repository.home().join("guard");
        std::fs::create_dir_all(&home).unwrap();
        let kubeconfig = fleet.kubeconfig().display().to_string();
        let guard = ["run", "--guard", "--kubeconfig", &kubeconfig, "--context", WEST, "--convergence-wait", "300ms"];
        let guard = Process::start(&home, &guard);
        fleet.plan(V1);
        fleet.until_settled(&[("v1", 100)]).await;
        fleet.plan(spec);
        fleet.until(&[EAST, WEST], 10).await;
        way.close().await;
        Self { fleet, way, hub, _guard: guard }
    }

    fn hub(fleet: &Fleet, way: &Proxy) -> Process {
        let (location, kubeconfig) = (fleet.repository.location(), by_way(fleet, way).display().to_string());
        let contexts = format!("{EAST},{WEST}");
        let mut hub = vec!["run", "--repo", &location, "--repo-name", &fleet.namespace, "--read-only"];
        hub.extend(["--kubeconfig", &kubeconfig, "--context", &contexts]);
        hub.extend(["--convergence-wait", "300ms", "--listen", "127.0.0.1:0"]);
        Process::start(fleet.repository.home(), &hub)
    }

    /// No pod of v2 is ready in WEST any more; returns how long the guard took to go back there.
    async fn fails(&self) -> Duration {
        self.fleet.fail(WEST).await;
        let gone = Instant::now();
        self.fleet.until_live(WEST, 0).await;
        let took = gone.elapsed();
        assert!((Duration::from_secs(10)..Duration::from_secs(12)).contains(&took), "{took:?}");
        self.fleet.stays(EAST, 10).await;
        took
    }
}

/// A kubeconfig of both clusters, by which WEST is reached through the proxy.
fn by_way(fleet: &Fleet, way: &Proxy) -> PathBuf {
    let text = std::fs::read_to_string(fleet.kubeconfig()).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    let proxied: Value = serde_yaml::from_str(&way.kubeconfig_text()).unwrap();
    let clusters = config["clusters"].as_array_mut().unwrap();
    let west = clusters.iter_mut().find(|cluster| cluster["name"] == WEST).unwrap();
    west["cluster"] = proxied["clusters"][0]["cluster"].clone();
    let path = fleet.repository.home().join("by-way");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn law_03_a_cluster_that_is_cut_off_goes_back_by_its_guard_and_the_other_follows() {
    let _alone = MACHINE.lock().await;
    let cut = Cut::open("cut", SLOW).await;
    let took = cut.fails().await;
    println!("endpoints gone in a cluster that is cut off: back there after {} ms", took.as_millis());
    cut.way.open().await;
    cut.fleet.until(&[EAST, WEST], 0).await;
    cut.fleet.stays(EAST, 0).await;
    for cluster in [EAST, WEST] {
        assert_eq!(cut.fleet.walk(cluster), [0_u64, 10, 0], "{cluster}");
        assert!(matches!(cut.fleet.phase(cluster).await, Some(Phase::WentBack { .. })));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guard_took_back_in_its_cluster_alone_stays_so_where_the_plan_says_so() {
    let _alone = MACHINE.lock().await;
    let mut cut = Cut::open("partial", &format!("{SLOW}\n  onPartial: rollback-failed")).await;
    cut.fails().await;
    // Whoever raises next finds it in the journal.
    cut.hub.kill().await;
    cut.way.open().await;
    let _heir = Cut::hub(&cut.fleet, &cut.way);
    cut.fleet.until_reason("FailureHeld", &format!("failed: version v2 in cluster {WEST} had no ready endpoint")).await;
    cut.fleet.stays(EAST, 10).await;
    assert_eq!((cut.fleet.walk(EAST), cut.fleet.walk(WEST)), (vec![0, 10], vec![0, 10, 0]));
    cut.fleet.repository.revert("HEAD");
    cut.fleet.until_settled(&[("v1", 100)]).await;
    assert_eq!((cut.fleet.walk(EAST), cut.fleet.walk(WEST)), (vec![0, 10, 0], vec![0, 10, 0]));
}
