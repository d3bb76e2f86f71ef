//! Hints that the references of a repository on this machine moved; reasons to look, never evidence.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use notify::event::{CreateKind, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;

use super::{GitError, Location, Source, transport};

/// How long hints after the first are gathered into one.
const GATHER: Duration = Duration::from_millis(20);

/// Keeps a repository watched as long as it lives.
pub struct Hints {
    _watcher: RecommendedWatcher,
    path: PathBuf,
    folder: PathBuf,
    identities: [(u64, u64); 2],
    lost: Arc<AtomicBool>,
}

impl Hints {
    /// Whether what is watched is still what the source's path leads to; otherwise no hint will come any more.
    pub fn stand(&self) -> bool {
        // A path that was led elsewhere gives no event at all: ask.
        !self.lost.load(Ordering::Acquire) && identities(&self.path, &self.folder) == Some(self.identities)
    }
}

/// Watches the references of a source's repository: the counter rises when they may have moved.
///
/// The first change counts at once; further ones within 20 ms count as one, at the end of these. Errs if there is no
/// repository on this machine, or the operating system has no watches left.
pub fn hints(source: &Source) -> Result<(watch::Receiver<u64>, Hints), GitError> {
    let location = source.location.to_string();
    let Location::Local(path) = &source.location else {
        return Err(GitError::Watch { location, cause: "it is on another machine".to_owned() });
    };
    let folder = folder_of(path, &location)?;
    let failed = |cause: String| GitError::Watch { location: location.clone(), cause };
    let Some(identities) = identities(path, &folder) else { return Err(GitError::NotARepository { location }) };
    let (events, received) = mpsc::channel();
    let (count, hints) = watch::channel(0);
    let lost = Arc::new(AtomicBool::new(false));
    let filter = Filter { folder: folder.clone(), lost: lost.clone() };
    let mut watcher = notify::recommended_watcher(move |event| {
        if let Some(matter) = filter.matter(event) {
            // Fails only while the watcher is being dropped.
            let _ = events.send(matter);
        }
    })
    .map_err(|error| failed(error.to_string()))?;
    for (watched, mode) in
        [(folder.clone(), RecursiveMode::NonRecursive), (folder.join("refs"), RecursiveMode::Recursive)]
    {
        watcher.watch(&watched, mode).map_err(|error| failed(error.to_string()))?;
    }
    std::thread::Builder::new()
        .name("git-hints".into())
        .spawn(move || gather(&received, &count))
        .map_err(|error| failed(error.to_string()))?;
    Ok((hints, Hints { _watcher: watcher, path: path.clone(), folder, identities, lost }))
}

/// The folder that holds the branches, also of a linked working tree.
fn folder_of(path: &Path, location: &str) -> Result<PathBuf, GitError> {
    let repository = transport::open(path, location)?;
    repository.commondir().canonicalize().map_err(|_| GitError::NotARepository { location: location.to_owned() })
}

/// Which folders two paths lead to at present.
fn identities(path: &Path, folder: &Path) -> Option<[(u64, u64); 2]> {
    let identity = |path: &Path| path.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
    Some([identity(path)?, identity(folder)?])
}

/// Whether a second look is due soon after a hint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Matter {
    Once,
    /// What is written into a new folder before it is watched gives no event.
    Twice,
}

struct Filter {
    folder: PathBuf,
    lost: Arc<AtomicBool>,
}

impl Filter {
    fn matter(&self, event: notify::Result<Event>) -> Option<Matter> {
        let Ok(event) = event else { return Some(Matter::Twice) };
        if event.need_rescan() {
            return Some(Matter::Twice);
        }
        let left = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
        if left && event.paths.iter().any(|path| *path == self.folder || *path == self.folder.join("refs")) {
            self.lost.store(true, Ordering::Release);
            return Some(Matter::Twice);
        }
        if event.kind.is_access() || !event.paths.iter().any(|path| self.is_reference(path)) {
            return None;
        }
        let folder = matches!(event.kind, EventKind::Create(CreateKind::Folder));
        Some(if folder { Matter::Twice } else { Matter::Once })
    }

    fn is_reference(&self, path: &Path) -> bool {
        let Ok(inside) = path.strip_prefix(&self.folder) else { return false };
        let lock = path.extension().is_some_and(|extension| extension == "lock");
        !lock && (inside.starts_with("refs") || inside == Path::new("packed-refs") || inside == Path::new("HEAD"))
    }
}

/// Passes the first event on at once and what follows within 20 ms as one, until the watcher is gone.
fn gather(events: &mpsc::Receiver<Matter>, count: &watch::Sender<u64>) {
    while let Ok(mut matter) = events.recv() {
        loop {
            count.send_modify(|count| *count += 1);
            let end = Instant::now() + GATHER;
            let mut again = matter == Matter::Twice;
            matter = Matter::Once;
            while let Ok(next) = events.recv_timeout(end.saturating_duration_since(Instant::now())) {
                again = true;
                matter = if next == Matter::Twice { next } else { matter };
            }
            if !again {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter() -> Filter {
        Filter { folder: "/r".into(), lost: Arc::default() }
    }

    fn event(kind: EventKind, path: &str) -> notify::Result<Event> {
        Ok(Event::new(kind).add_path(path.into()))
    }

    #[test]
    fn only_references_matter() {
        let created = EventKind::Create(CreateKind::File);
        for path in ["/r/refs/heads/main", "/r/refs/heads/team/web", "/r/packed-refs", "/r/HEAD"] {
            assert_eq!(filter().matter(event(created, path)), Some(Matter::Once), "{path}");
        }
        for path in ["/r/refs/heads/main.lock", "/r/packed-refs.lock", "/r/index", "/r/objects/ab", "/r/logs/HEAD"] {
            assert_eq!(filter().matter(event(created, path)), None, "{path}");
        }
        let read = EventKind::Access(notify::event::AccessKind::Any);
        assert_eq!(filter().matter(event(read, "/r/refs/heads/main")), None);
    }

    #[test]
    fn a_new_folder_is_looked_at_twice_and_a_lost_one_is_noticed() {
        let folder = EventKind::Create(CreateKind::Folder);
        assert_eq!(filter().matter(event(folder, "/r/refs/heads/team")), Some(Matter::Twice));
        let filter = filter();
        let removed = EventKind::Remove(notify::event::RemoveKind::Folder);
        assert_eq!(filter.matter(event(removed, "/r/refs")), Some(Matter::Twice));
        assert!(filter.lost.load(Ordering::Acquire));
    }

    #[test]
    fn a_burst_is_one_hint_at_once_and_one_after_it() {
        let (events, received) = mpsc::channel();
        let (count, hints) = watch::channel(0);
        let thread = std::thread::spawn(move || gather(&received, &count));
        for _ in 0..10 {
            events.send(Matter::Once).unwrap();
        }
        drop(events);
        thread.join().unwrap();
        assert_eq!(*hints.borrow(), 2);
    }
}
