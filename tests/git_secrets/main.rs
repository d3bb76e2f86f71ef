//! Runs one secret through every way in which a look at a repository can fail, and looks for it everywhere afterwards.
//!
//! What is searched: what `run` (with everything logged) and `diff` print, the mirrors and temporary files, all Events and
//! Istio objects of the cluster, `/status` and `/metrics`, and arguments, environment and core limit of each process.
// Helpers outside `#[test]` functions may panic as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../cli/bed.rs"]
#[allow(dead_code, reason = "each test binary uses its part of the test bed")]
mod bed;
mod paths;
#[path = "../support/process.rs"]
mod process;
mod search;
#[path = "../support/mod.rs"]
mod support;

use rustix::process::{Resource, Rlimit};
use support::repository;

use bed::{Bed, eventually, plan};
use paths::{Ends, Paths, Way};
use process::{Process, answer, command};
use search::Search;

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_found_nowhere_whatever_goes_wrong() {
    // Whatever this machine allows, tidegate has to forbid it by itself.
    let hard = rustix::process::getrlimit(Resource::Core).maximum;
    rustix::process::setrlimit(Resource::Core, Rlimit { current: hard, maximum: hard }).unwrap();
    let bed = Bed::open().await;
    bed.repository.write("plans/web.yaml", plan("web", "traffic: {v1: 100}"));
    bed.repository.commit_all("Add plans");
    let paths = Paths::open(&bed).await;
    let search = Search::new(paths.needles());
    let mut searched = 0;
    for some in paths.ways().chunks(4) {
        let walked = some.iter().map(|way| walk(&bed, way, &search));
        searched += futures::future::join_all(walked).await.into_iter().sum::<usize>();
    }
    println!("{} ways to fail, {} KiB searched", paths.ways().len(), searched >> 10);
    assert!(searched > 100_000, "only {searched} bytes were searched");
    for needle in paths.needles() {
        assert!(search.finds(&format!("x{needle}y")), "the search finds what is there");
    }
}

/// Walks one way with `diff` and with `run`, and returns how many bytes were searched.
async fn walk(bed: &Bed, way: &Way, search: &Search) -> usize {
    let home = tempfile::Builder::new().prefix("home-").tempdir_in(bed.repository.home()).unwrap();
    let mut arguments = bed.on_cluster(&["diff"]);
    arguments.extend(way.arguments.clone());
    let mut diff = command(home.path(), &arguments);
    diff.env("TIDEGATE_LOG", "trace").envs(way.environment.clone());
    let diff = answer(diff).await;
    search.text(&way.name, &diff.stdout);
    search.text(&way.name, &diff.stderr);
    let mut searched = diff.stdout.len() + diff.stderr.len();
    let said = |text: &str| assert!(text.contains(way.says), "{}: `{}` is not said: {text}", way.name, way.says);
    if way.ends == Ends::AtStart {
        said(&diff.stderr);
        assert_eq!(diff.code, 2, "{}: {diff:?}", way.name);
    } else if way.ends == Ends::Never {
        said(&diff.stderr);
        assert_eq!(diff.code, 3, "{}: {diff:?}", way.name);
    }

    let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mirror = home.path().join("mirror").display().to_string();
    let mut arguments =
        bed.on_cluster(&["run", "--interval", "1s", "--convergence-wait", "100ms", "--mirror", &mirror]);
    arguments.extend(way.arguments.clone());
    let serves = search.serves(home.path()).await;
    if serves {
        arguments.extend(["--listen".to_owned(), listen.clone()]);
    }
    let environment: Vec<_> =
        way.environment.iter().cloned().chain([("TIDEGATE_LOG".into(), "trace".into())]).collect();
    let mut process = Process::start_with(home.path(), &arguments, &environment);
    eventually(&way.name, || process.log().contains(way.says)).await;
    if way.ends != Ends::AtStart {
        searched += search.processes(&way.name, &process.id());
        if serves {
            for page in ["/status", "/metrics", "/healthz", "/readyz"] {
                searched += search.page(&way.name, &listen, page).await;
            }
        }
        if way.ends == Ends::Well {
            bed.until_settled("web", "v1=100").await;
            searched += search.cluster(bed).await;
        }
        process.terminate().await;
    }
    process.ended(bed::SOON).await;
    search.text(&way.name, &process.log());
    searched + process.log().len() + search.files(&way.name, home.path())
}
