//! A repository that is followed, and what is expected of it in a fault and after it.

use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidegate::git::{Access, Fault, GitError, Limits, Seen, Sight, Source, follow};
use tokio::sync::{mpsc, watch};

use super::support::repository::Repository;

/// How long anything may take; a machine may be busy.
pub const SOON: Duration = Duration::from_secs(60);

/// Short limits, so that a fault is seen soon, and the real program as child.
pub fn access() -> Access {
    let limits = Limits { look: Duration::from_secs(3), fetch: Duration::from_secs(6), ..Limits::default() };
    Access { program: Some(env!("CARGO_BIN_EXE_tidegate").into()), limits, ..Access::default() }
}

/// A follower on a thread of its own.
pub struct Followed {
    pub url: String,
    pub dir: PathBuf,
    ask: watch::Sender<u64>,
    seen: mpsc::Receiver<Seen>,
    thread: JoinHandle<()>,
}

impl Followed {
    /// Follows `url` with a mirror of its own.
    pub fn start(repository: &Repository, url: &str, access: Access) -> Self {
        let dir = tempfile::Builder::new().prefix("state-").tempdir_in(repository.home()).unwrap().keep();
        Self::start_in(dir, url, access)
    }

    /// Follows `url` with its mirror in a folder.
    pub fn start_in(dir: PathBuf, url: &str, access: Access) -> Self {
        let source = Source::with_access(url, "main", "plans", Duration::from_secs(1), access).unwrap();
        let (ask, asked) = watch::channel(0);
        let (seen, thread) = follow(source, dir.clone(), asked).unwrap();
        Self { url: url.to_owned(), dir, ask, seen, thread }
    }

    /// Asks for a look now.
    pub fn ask(&self) {
        self.ask.send_modify(|count| *count += 1);
    }

    /// The next sight that `wanted` finds something in.
    pub async fn next<T>(&mut self, what: &str, mut wanted: impl FnMut(Result<Sight, GitError>) -> Option<T>) -> T {
        let end = Instant::now() + SOON;
        let mut last = None;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(seen) = tokio::time::timeout(left, self.seen.recv()).await else {
                panic!("{what}: not seen in {SOON:?}, last: {last:?}");
            };
            let outcome = seen.expect("the follower runs").outcome;
            last = Some(format!("{outcome:?}"));
            if let Some(found) = wanted(outcome) {
                return found;
            }
        }
    }

    /// Waits for a fault and holds it to what every fault must be.
    pub async fn fault(&mut self, what: &str, is: impl Fn(&Fault) -> bool) -> Fault {
        let url = self.url.clone();
        self.next(what, |outcome| {
            let error = outcome.err()?;
            let GitError::Network { location, fault } = &error else { return None };
            assert_eq!(*location, url, "{what}: another repository is named");
            let (text, hint) = (error.to_string(), error.hint());
            assert!(text.starts_with(&url) && !text.contains('\n') && !text.ends_with('.'), "{what}: {text}");
            assert!(!hint.is_empty() && !error.category().is_empty(), "{what}: {text}");
            is(fault).then(|| (**fault).clone())
        })
        .await
    }

    /// Waits until the branch is seen at a commit.
    pub async fn tip(&mut self, what: &str, wanted: &str) {
        self.next(what, |outcome| match outcome {
            Ok(Sight::Moved(snapshot)) => (snapshot.tip == wanted).then_some(()),
            Ok(Sight::Unchanged { tip }) => (tip == wanted).then_some(()),
            _ => None,
        })
        .await;
    }

    /// Ends it and checks that nothing is left of what failed.
    pub fn end(self, what: &str) {
        drop(self.seen);
        self.thread.join().unwrap();
        let left = super::leftovers(&self.dir);
        assert!(left.is_empty(), "{what}: {left:?} is left");
    }
}

/// A repository in a fault.
pub struct Case {
    pub what: String,
    pub followed: Followed,
    /// The fault that is expected.
    pub is: fn(&Fault) -> bool,
    /// Ends the fault, and returns what has to live on.
    pub heal: Box<dyn FnOnce() -> Box<dyn Send> + Send>,
}

/// Waits for every fault, ends it, and waits until every repository is seen at its tip.
pub async fn suffer_and_heal(cases: Vec<Case>, tip: &str) {
    let suffered = cases.into_iter().map(|mut case| async move {
        let fault = case.followed.fault(&case.what, case.is).await;
        println!("{}: {fault}", case.what);
        let _kept = (case.heal)();
        case.followed.ask();
        case.followed.tip(&case.what, tip).await;
        tokio::task::spawn_blocking(move || case.followed.end(&case.what)).await.unwrap();
    });
    futures::future::join_all(suffered).await;
}
