//! Turns a look into everything that has to be known about it: bytes, versions and commits, read within limits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::blobs::Blobs;
use super::history::VERSIONS_MAX;
use super::{Commit, FileEntry, FileKind, FileVersion, GitError, Look, Mirror, Moved, Refused, Source};

/// The largest plan file that is loaded, in bytes.
pub const FILE_BYTES_MAX: u64 = 256 << 10;

/// How many commits are walked back where there is no accepted tip to stop at.
const COMMITS_MAX: usize = 500;

/// How many bytes of earlier versions one snapshot carries; older ones are left out.
const HISTORY_BYTES_MAX: usize = 32 << 20;

/// How a file that is no plan file but a pointer to one begins.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// What a look found, with all that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The branch is where it was when last accepted.
    Unchanged {
        /// That commit, 40 hex digits.
        tip: String,
    },
    /// The branch is elsewhere.
    Moved(Box<Snapshot>),
    /// The branch is at a commit that does not count; what was accepted before stays in force.
    Refused(Refused),
    /// The branch was there and is not any more.
    BranchGone,
    /// The repository has no branch at all.
    Empty,
}

/// The difference between what was last accepted and where the branch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Where the branch stands, 40 hex digits; after a restart with a tip that is refused, what was accepted before.
    pub tip: String,
    /// What was last accepted; none at first.
    pub from: Option<String>,
    /// Whether history was rewritten: `tip` does not descend from what was accepted, by an earlier process perhaps.
    pub rewritten: bool,
    /// Why `tip` is not where the branch stands: that commit does not count.
    pub refused: Option<Refused>,
    /// How many plans may be removed, by the trailer `Tidegate-Allow-Removal: <n>`.
    pub allow_removal: Option<usize>,
    /// The plan files that differ, by their path from the root.
    pub changes: BTreeMap<String, Change>,
    /// What `tip` and each commit named in `changes` say about themselves, by id.
    pub commits: BTreeMap<String, Commit>,
}

/// What happened to one plan file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is now; none: gone.
    pub now: Option<Content>,
    /// Newest first, the first-parent commits that changed it since `from`; after a rewrite or at first, among the
    /// last 500. At most 50; it ends sooner where earlier versions are too large to carry.
    pub versions: Vec<Version>,
}

/// A file as one commit left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The commit's id.
    pub commit: String,
    /// What it made of the file; none: it removed it.
    pub content: Option<Content>,
}

/// What a plan file holds, or why it was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Its bytes, at most [`FILE_BYTES_MAX`].
    Bytes(Arc<[u8]>),
    /// Larger than the limit.
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// A symbolic link, never followed.
    Symlink,
    /// A commit of another repository.
    Submodule,
    /// A pointer to a file that Git LFS keeps elsewhere.
    LfsPointer,
}

impl Content {
    /// The text, where it is some.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            Self::TooLarge { .. } | Self::Symlink | Self::Submodule | Self::LfsPointer => None,
        }
    }
}

/// A mirror that reads what it finds; bytes of a blob are read once.
pub struct Reader {
    mirror: Mirror,
    blobs: Blobs,
    pending: Option<Moved>,
}

impl Reader {
    /// A reader of `source` with its mirror in `dir`; errs as [`Mirror::open`] does.
    pub fn open(source: Source, dir: &Path) -> Result<Self, GitError> {
        Ok(Self::of(Mirror::open(source, dir)?))
    }

    /// A reader of that mirror.
    pub fn of(mirror: Mirror) -> Self {
        Self { mirror, blobs: Blobs::default(), pending: None }
    }

    /// The mirror it reads.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Looks, and reads what changed since the last sight that was [accepted](Self::accept).
    pub fn see(&mut self) -> Result<Sight, GitError> {
        self.pending = None;
        Ok(match self.mirror.look()? {
            Look::Unchanged(tip) => Sight::Unchanged { tip },
            Look::Refused(refused) => Sight::Refused(refused),
            Look::BranchGone => Sight::BranchGone,
            Look::Empty => Sight::Empty,
            Look::Moved(moved) => {
                let snapshot = self.snapshot(&moved)?;
                self.pending = Some(moved);
                Sight::Moved(Box::new(snapshot))
            }
        })
    }

    /// Remembers that the last sight was handed over: the next compares with it.
    pub fn accept(&mut self) {
        if let Some(moved) = self.pending.take() {
            self.mirror.accept(&moved);
        }
    }

    /// Upkeep of the mirror, for moments when nobody waits.
    pub fn tidy(&mut self) -> Result<(), GitError> {
        self.mirror.tidy()
    }

    fn snapshot(&mut self, moved: &Moved) -> Result<Snapshot, GitError> {
        let mut history = self.mirror.history_of(moved, COMMITS_MAX)?;
        let mut changes = BTreeMap::new();
        for (path, file) in &moved.files {
            let now = file.as_ref().map(|file| self.content(file)).transpose()?;
            changes.insert(path.clone(), Change { now, versions: Vec::new() });
        }
        self.add_versions(&mut changes, &mut history)?;
        let named = changes.values().flat_map(|change| &change.versions).map(|version| &version.commit);
        let named: BTreeSet<&String> = named.chain([&moved.tip]).collect();
        let commits = named.into_iter().map(|id| Ok((id.clone(), self.mirror.commit(id)?)));
        Ok(Snapshot {
            commits: commits.collect::<Result<_, GitError>>()?,
            tip: moved.tip.clone(),
            from: moved.from.clone(),
            rewritten: moved.rewritten,
            refused: moved.refused.clone(),
            allow_removal: moved.allow_removal,
            changes,
        })
    }

    /// Reads the newest version of every file before the second of any: the limit cuts the oldest.
    fn add_versions(
        &mut self,
        changes: &mut BTreeMap<String, Change>,
        history: &mut BTreeMap<String, Vec<FileVersion>>,
    ) -> Result<(), GitError> {
        let mut left = HISTORY_BYTES_MAX;
        for age in 0..VERSIONS_MAX {
            for (path, change) in changes.iter_mut() {
                let Some(FileVersion { commit, file }) = history.get(path).and_then(|versions| versions.get(age))
                else {
                    continue;
                };
                let content = file.as_ref().map(|file| self.content(file)).transpose()?;
                if let Some(Content::Bytes(bytes)) = &content {
                    left = left.saturating_sub(bytes.len());
                }
                if left == 0 {
                    return Ok(());
                }
                change.versions.push(Version { commit: commit.clone(), content });
            }
        }
        Ok(())
    }

    fn content(&mut self, file: &FileEntry) -> Result<Content, GitError> {
        match file.kind {
            FileKind::Symlink => return Ok(Content::Symlink),
            FileKind::Submodule => return Ok(Content::Submodule),
            _ if file.size > FILE_BYTES_MAX => return Ok(Content::TooLarge { size: file.size }),
            FileKind::Regular | FileKind::Executable => {}
        }
        let bytes = self.blobs.get(&file.blob, || self.mirror.read(&file.blob, FILE_BYTES_MAX))?;
        Ok(if bytes.starts_with(LFS_POINTER) { Content::LfsPointer } else { Content::Bytes(bytes) })
    }
}
