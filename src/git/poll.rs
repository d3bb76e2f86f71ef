//! Follows a repository: one thread owns the mirror, looks at every hint and interval, and sends what it saw.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::error::Patience;
use super::{GitError, Hints, Location, Reader, Sight, Source, hints};

/// The pause after the first error; it doubles up to the interval.
const BACK_OFF_MIN: Duration = Duration::from_millis(50);

/// How long nothing must have happened before upkeep of the mirror, during which nothing is seen.
const QUIET: Duration = Duration::from_secs(2);

/// How many sights may come without such a pause before upkeep is done all the same.
const UNTIDY_MAX: u32 = 64;

/// How many sights wait for their receiver before the thread waits too.
const WAITING_MAX: usize = 16;

/// One look at a repository.
#[derive(Debug)]
pub struct Seen {
    /// When it began: what is told was true at this instant or later.
    pub at: Instant,
    /// What was seen. Unchanged sights are sent too, for they prove that Git was reached.
    pub outcome: Result<Sight, GitError>,
}

/// Follows `source` on a thread of its own, with its mirror in `dir`.
///
/// Looks at once, at each hint, whenever the counter `asked` rises and at the source's interval (± 10 %); after an error
/// sooner, backing off. A sight that was sent counts as accepted: the next tells what changed since. The thread ends
/// when the receiver is dropped; `asked` may lose its sender before.
pub fn follow(
    source: Source,
    dir: PathBuf,
    asked: watch::Receiver<u64>,
) -> io::Result<(mpsc::Receiver<Seen>, JoinHandle<()>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let follower = Follower { source, dir, asked, reader: None, watched: None };
    let thread =
        std::thread::Builder::new().name("git-mirror".into()).spawn(move || runtime.block_on(follower.run(sender)))?;
    Ok((receiver, thread))
}

struct Follower {
    source: Source,
    dir: PathBuf,
    asked: watch::Receiver<u64>,
    reader: Option<Reader>,
    watched: Option<(watch::Receiver<u64>, Hints)>,
}

impl Follower {
    async fn run(mut self, seen: mpsc::Sender<Seen>) {
        let (mut failures, mut untidy) = (0, 0_u32);
        loop {
            self.watch();
            self.asked.mark_unchanged();
            let at = Instant::now();
            let outcome = self.see();
            let patience = outcome.as_ref().err().map(|error| error.patience(self.source.interval));
            failures = if outcome.is_err() { failures + 1 } else { 0 };
            let moved = matches!(outcome, Ok(Sight::Moved(_)));
            if seen.send(Seen { at, outcome }).await.is_err() {
                return;
            }
            if let Some(reader) = self.reader.as_mut().filter(|_| moved) {
                reader.accept();
                untidy = untidy.saturating_add(1);
            }
            if let Some(Patience::AtLeast(least)) = patience {
                tokio::select! {
                    () = seen.closed() => return,
                    () = tokio::time::sleep(least) => continue,
                }
            }
            let hasty = if patience == Some(Patience::Interval) { 0 } else { failures };
            let (asked, pause) = (tokio::time::Instant::now(), pause(self.source.interval, hasty, chance()));
            if untidy > 0 {
                let quiet = tokio::select! {
                    () = seen.closed() => return,
                    () = self.hint() => false,
                    () = tokio::time::sleep(QUIET.min(pause)) => true,
                };
                if quiet || untidy > UNTIDY_MAX {
                    self.tidy();
                    untidy = 0;
                }
                if !quiet || pause <= QUIET {
                    continue;
                }
            }
            tokio::select! {
                () = seen.closed() => return,
                () = self.hint() => {}
                () = tokio::time::sleep_until(asked + pause) => {}
            }
        }
    }

    /// Watches before the look, so that nothing falls between, and again once the repository was replaced.
    fn watch(&mut self) {
        if matches!(self.source.location, Location::Network(_)) {
            return;
        }
        if let Some((hints, watcher)) = &mut self.watched
            && watcher.stand()
        {
            hints.mark_unchanged();
            return;
        }
        self.watched = match hints(&self.source) {
            Ok(watched) => Some(watched),
            Err(error) => {
                tracing::debug!(repository = %self.source.name, %error, "no hints: commits wait for the interval");
                None
            }
        };
    }

    fn see(&mut self) -> Result<Sight, GitError> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(Reader::open(self.source.clone(), &self.dir)?),
        };
        reader.see()
    }

    fn tidy(&mut self) {
        if let Some(Err(error)) = self.reader.as_mut().map(Reader::tidy) {
            tracing::debug!(repository = %self.source.name, %error, "packs of the mirror stay as they are");
        }
    }

    /// Ends when the repository's files or somebody outside give a reason to look.
    async fn hint(&mut self) {
        let watched = self.watched.as_mut().map(|(hints, _)| hints);
        tokio::select! {
            () = risen(watched) => {}
            () = risen(Some(&mut self.asked)) => {}
        }
    }
}

/// Ends when the counter rises; never, if there is none or nobody is left who could raise it.
async fn risen(counter: Option<&mut watch::Receiver<u64>>) {
    if let Some(counter) = counter
        && counter.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// How long to wait without a hint; `chance` is in 0..1.
fn pause(interval: Duration, failures: u32, chance: f64) -> Duration {
    let base = match failures {
        0 => interval,
        n => BACK_OFF_MIN.saturating_mul(2u32.saturating_pow(n - 1)).min(interval),
    };
    base.mul_f64(0.9 + 0.2 * chance)
}

/// A number in 0..1 that differs between processes and looks.
fn chance() -> f64 {
    f64::from((RandomState::new().build_hasher().finish() >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_back_off_to_the_interval_and_everything_is_jittered() {
        let minute = Duration::from_secs(60);
        assert_eq!(pause(minute, 0, 0.5), minute);
        assert_eq!(pause(minute, 1, 0.5), BACK_OFF_MIN);
        assert_eq!(pause(minute, 3, 0.5), BACK_OFF_MIN * 4);
        assert_eq!(pause(minute, 40, 0.5), minute);
        assert_eq!(pause(minute, 0, 0.0), Duration::from_secs(54));
        assert_eq!(pause(minute, 0, 1.0), Duration::from_secs(66));
        assert!((0..100).all(|_| (0.0..=1.0).contains(&chance())));
    }
}
