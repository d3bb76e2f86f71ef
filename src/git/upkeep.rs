//! Keeps the mirror's folder whole: one writer, no leftovers of a killed process, few packs, broken mirrors set aside.
//!
//! ```text
//!   dir/in-use       locked while a process keeps the mirror
//!   dir/mirror.git   the mirror
//!   dir/broken.git   the last mirror that could not be read
//!   dir/accepted     the commit that counted last, and its branch; it outlives a broken mirror
//! ```

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use git2::{Oid, Repository, RepositoryInitOptions};

use super::GitError;

/// Every fetch adds a pack; beyond this many they become one, which stays; beyond this many of those, all become one.
const PACKS_MAX: usize = 40;

/// Every commit made here adds loose objects. As names are spread evenly, one folder of the 256 tells how many there are.
const LOOSE_SAMPLE: &str = "17";
const LOOSE_SAMPLE_MAX: usize = 8;

/// How long to wait for the folder's lock.
const LOCK_MAX: Duration = Duration::from_millis(200);

/// The folder of one mirror, held by this process alone.
pub(super) struct Keep {
    dir: PathBuf,
    _in_use: File,
    base: Option<Base>,
}

/// What need not be packed again: upkeep costs what was fetched since, however long the history is.
struct Base {
    /// All that is reachable from this commit is in the packs.
    tip: Oid,
    /// Their names, without what follows the dot.
    packs: BTreeSet<OsString>,
}

impl Keep {
    /// Takes the folder, which is made if it is not there.
    pub(super) fn take(dir: &Path) -> Result<Self, GitError> {
        let failed = |error: io::Error| state(dir, error);
        fs::create_dir_all(dir).map_err(failed)?;
        let in_use = File::create(dir.join("in-use")).map_err(failed)?;
        // A child that this process forked holds a lock that was just let go until its own program starts.
        let end = Instant::now() + LOCK_MAX;
        loop {
            match in_use.try_lock() {
                Ok(()) => return Ok(Self { dir: dir.to_owned(), _in_use: in_use, base: None }),
                Err(TryLockError::WouldBlock) if Instant::now() < end => std::thread::sleep(LOCK_MAX / 20),
                Err(TryLockError::WouldBlock) => return Err(GitError::InUse { dir: dir.to_owned() }),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    /// Where the mirror is.
    pub(super) fn mirror(&self) -> PathBuf {
        Self::mirror_in(&self.dir)
    }

    /// Where the mirror in a folder is.
    pub(super) fn mirror_in(dir: &Path) -> PathBuf {
        dir.join("mirror.git")
    }

    /// The commit of the branch that counted last, as an earlier process noted it.
    pub(super) fn accepted(&self, branch: &str) -> Option<Oid> {
        let noted = fs::read_to_string(self.dir.join("accepted")).ok()?;
        let (id, of) = noted.trim_end().split_once(' ')?;
        Oid::from_str(id).ok().filter(|_| of == branch)
    }

    /// Notes the commit of the branch that counts now.
    pub(super) fn remember(&self, branch: &str, id: &str) {
        let (new, noted) = (self.dir.join("accepted.new"), self.dir.join("accepted"));
        let written = fs::write(&new, format!("{id} {branch}\n"));
        crate::failpoint::pass("git.accept.noting");
        if let Err(error) = written.and_then(|()| fs::rename(new, noted)) {
            // The next process then starts from an older commit that counted: it asks for more, never for less.
            tracing::warn!(dir = %self.dir.display(), %error, "cannot note which commit was accepted");
        }
    }

    /// Opens the mirror after a sweep; a broken or missing one starts empty.
    pub(super) fn open(&mut self) -> Result<Repository, GitError> {
        let path = self.mirror();
        if !path.exists() {
            return self.init();
        }
        self.sweep()?;
        Repository::open_bare(&path).or_else(|_| self.replace())
    }

    /// Removes what a fetch that failed left behind.
    pub(super) fn sweep(&self) -> Result<(), GitError> {
        sweep(&self.mirror()).map_err(|error| state(&self.dir, error))
    }

    /// Sets the mirror aside, in place of the one set aside before, and starts an empty one.
    pub(super) fn replace(&mut self) -> Result<Repository, GitError> {
        self.base = None;
        let aside = self.dir.join("broken.git");
        let gone = |result: io::Result<()>| match result {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(state(&self.dir, error)),
            _ => Ok(()),
        };
        gone(fs::remove_dir_all(&aside))?;
        gone(fs::rename(self.mirror(), &aside))?;
        self.init()
    }

    fn init(&self) -> Result<Repository, GitError> {
        let mut options = RepositoryInitOptions::new();
        options.bare(true).external_template(false);
        Repository::init_opts(self.mirror(), &options)
            .map_err(|error| GitError::State { dir: self.dir.clone(), cause: error.message().to_owned() })
    }

    /// Packs what is reachable from `tip` or `also` and in no lasting pack, once there are too many other packs or loose
    /// objects; returns the mirror reopened, so that no deleted pack stays mapped. The first error leaves every pack where it
    /// was.
    pub(super) fn pack(
        &mut self,
        mirror: &Repository,
        tip: Oid,
        also: Option<Oid>,
    ) -> Result<Option<Repository>, GitError> {
        let folder = self.mirror().join("objects/pack");
        let old: Vec<PathBuf> = files(&folder).map_err(|error| state(&self.dir, error))?;
        let packs = old.iter().filter(|path| ends(path, "pack")).filter_map(|path| path.file_stem());
        let packs: BTreeSet<OsString> = packs.map(ToOwned::to_owned).collect();
        let objects = self.mirror().join("objects");
        let loose = loose(&objects).map_err(|error| state(&self.dir, error))?;
        if self.base.is_none() && packs.len() == 1 && loose.is_empty() {
            self.base = Some(Base { tip, packs: packs.clone() });
        }
        let base = self.base.as_ref().filter(|base| base.packs.len() <= PACKS_MAX);
        let lasting = base.map(|base| base.packs.clone()).unwrap_or_default();
        // Most mirrors never have the folder.
        let sample = files(&objects.join(LOOSE_SAMPLE)).map_or(0, |files| files.len());
        if packs.difference(&lasting).count() <= PACKS_MAX && sample <= LOOSE_SAMPLE_MAX {
            return Ok(None);
        }
        let mut walk = mirror.revwalk()?;
        for root in [Some(tip), also].into_iter().flatten() {
            walk.push(root)?;
        }
        if let Some(base) = base {
            walk.hide(base.tip)?;
        }
        let mut pack = mirror.packbuilder()?;
        pack.set_threads(1);
        pack.insert_walk(&mut walk)?;
        pack.write(&folder, 0o644)?;
        let Some(name) = pack.name()? else { return Ok(None) };
        let kept: BTreeSet<OsString> = lasting.into_iter().chain([format!("pack-{name}").into()]).collect();
        for path in old {
            if path.file_stem().is_none_or(|stem| !kept.contains(stem)) {
                fs::remove_file(path).map_err(|error| state(&self.dir, error))?;
            }
        }
        for folder in loose {
            fs::remove_dir_all(folder).map_err(|error| state(&self.dir, error))?;
        }
        self.base = Some(Base { tip, packs: kept });
        Ok(Some(Repository::open_bare(self.mirror())?))
    }
}

fn state(dir: &Path, error: io::Error) -> GitError {
    GitError::State { dir: dir.to_owned(), cause: error.to_string() }
}

fn ends(path: &Path, end: &str) -> bool {
    path.extension().is_some_and(|extension| extension == end)
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect()
}

/// The folders of loose objects: those of two digits.
fn loose(objects: &Path) -> io::Result<Vec<PathBuf>> {
    let is_digits = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    Ok(files(objects)?.into_iter().filter(is_digits).collect())
}

/// Removes locks and half-written packs; the folder's lock says that nobody is writing them.
fn sweep(mirror: &Path) -> io::Result<()> {
    let mut open = vec![mirror.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if entry.file_type()?.is_dir() {
                open.push(path);
            } else if ends(&path, "lock") || name.starts_with("tmp_") || name.contains("_git2_") {
                fs::remove_file(path)?;
            }
        }
    }
    Ok(())
}
