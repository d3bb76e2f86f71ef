//! A second repository in the same process: it is pushed to and seen all the time, however the others fare.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidegate::git::Sight;

use super::followed::{Followed, access};
use super::support::git_http::GitHttp;
use super::support::repository::Repository;

/// How many pushes are measured before the fault.
const BEFORE: usize = 8;

/// How many are measured beside it at least.
const BESIDE: usize = 5;

/// A repository that is followed and pushed to on a thread of its own.
pub struct Neighbour {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<[Vec<Duration>; 2]>>,
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
    }
}

impl Neighbour {
    /// Starts it; returns once it has been measured on its own.
    pub async fn start() -> Self {
        let (faulty, ended) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (measured, ready) = tokio::sync::oneshot::channel();
        let (is_faulty, is_ended) = (faulty.clone(), ended.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(run(&is_faulty, &is_ended, measured))
        });
        ready.await.unwrap();
        faulty.store(true, Ordering::Release);
        Self { ended, thread: Some(thread) }
    }

    /// Ends it and holds its latency to what it was before.
    pub async fn end(mut self) {
        self.ended.store(true, Ordering::Release);
        let thread = self.thread.take().unwrap();
        let [mut before, mut beside] = tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
        before.sort();
        beside.sort();
        let median = |sorted: &[Duration]| sorted[sorted.len() / 2];
        println!(
            "the neighbour: {} pushes, push to seen p50 {:?} (on its own {:?}), worst {:?}",
            beside.len(),
            median(&beside),
            median(&before),
            beside[beside.len() - 1]
        );
        assert!(median(&beside) < median(&before) * 4 + Duration::from_millis(100), "{before:?} {beside:?}");
    }
}

async fn run(faulty: &AtomicBool, ended: &AtomicBool, ready: tokio::sync::oneshot::Sender<()>) -> [Vec<Duration>; 2] {
    let repository = Repository::with(&[("plans/api.yaml", "0")]);
    repository.bare();
    let server = GitHttp::start(repository.home());
    let mut followed = Followed::start(&repository, &server.url("origin.git"), access());
    followed.tip("the neighbour's first sight", &repository.tip()).await;
    let mut took = [Vec::new(), Vec::new()];
    let mut ready = Some(ready);
    for count in 1.. {
        let tip = repository.commit("Change", &[("plans/api.yaml", &count.to_string())]);
        repository.push(false);
        let begun = Instant::now();
        followed.ask();
        followed
            .next("the neighbour", |outcome| {
                let sight = outcome.unwrap_or_else(|error| panic!("the neighbour fails, too: {error}"));
                matches!(sight, Sight::Moved(snapshot) if snapshot.tip == tip).then_some(())
            })
            .await;
        took[usize::from(faulty.load(Ordering::Acquire))].push(begun.elapsed());
        if count == BEFORE
            && let Some(ready) = ready.take()
        {
            ready.send(()).unwrap();
        }
        if ended.load(Ordering::Acquire) && took[1].len() >= BESIDE {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    followed.end("the neighbour");
    took
}
