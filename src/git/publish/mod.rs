//! Puts commits onto the branch that is followed: made on its present tip, pushed only onto that, made anew where it moved.
//!
//! ```text
//!   draft (the caller's) ◄─ Files ◄─ Mirror (its own, full) ◄─ arrive ─┐
//!        │                                                             │ the tip moved: again
//!        └─► make (tree, message, signature) ─► judge ─► Reach ─┬─ Local: lock, compare, copy, move
//!                                                               └─ Remote: the child, which compares, too
//! ```
//!
//! Nothing is ever forced: a reference moves only from where its commit was built upon. What is not known to have landed
//! is looked for before anything else is tried, so that nothing lands twice.

mod author;
mod error;
mod files;
mod make;
mod notebook;
mod notes;
mod positions;
mod preview;
mod reach;
mod sign;
mod target;
mod tries;

use std::collections::BTreeMap;
use std::path::Path;

use git2::Oid;

use super::commit;
use super::judge::Judge;
use super::mirror::Mirror;
use super::net::Rejection;
use super::transport::Reference;
use super::{Access, GitError, HistoryPolicy, Operation, Source, SourceError, Tip, Trust};

pub use author::Author;
pub use error::{PublishError, PushError};
pub use files::Files;
pub use notes::{Note, Notes, Position};
pub use preview::Preview;
pub use sign::{KeyError, SigningKey};

use make::{Maker, Reverted};
use reach::Reach;
use tries::Tries;

/// The trailer that names the commit that is undone.
const UNDOES: &str = "Tidegate-Undoes";

/// What is put into files: by their path from the root, their bytes; none: the file goes.
pub type Changes = BTreeMap<String, Option<Vec<u8>>>;

/// What a commit is to say, written for one tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Draft {
    /// The branch says it already, or it is not to be said any more.
    Nothing {
        /// Why, as a sentence.
        why: String,
    },
    /// These files change.
    Commit {
        /// Which.
        changes: Changes,
        /// The commit's message.
        message: String,
    },
    /// A whole commit is reverted as `git revert` does; what conflicts goes to a branch of its own.
    Revert {
        /// The commit, 40 hex digits.
        commit: String,
        /// Which parent of a merge it is brought back to, from 1.
        mainline: u32,
        /// Trailers under the message.
        trailers: Vec<(String, String)>,
    },
    /// A person has to decide: the files go to a branch `tidegate/revert-…` of their own.
    Conflict {
        /// Why, as a sentence.
        why: String,
        /// Which files.
        changes: Changes,
        /// The commit's message; its trailer `Tidegate-Undoes` names the branch.
        message: String,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// The branch has it.
    Landed {
        /// The commit, 40 hex digits.
        commit: String,
        /// What it was built upon.
        onto: String,
    },
    /// Nothing was to be said.
    Nothing {
        /// Why, as a sentence.
        why: String,
    },
    /// It is on a branch of its own, for a person to merge.
    Branch {
        /// The branch.
        name: String,
        /// Why, as a sentence.
        why: String,
    },
}

/// How commits are made and pushed.
#[derive(Clone, Debug, Default)]
pub struct PublishOptions {
    /// Who they are by.
    pub author: Author,
    /// What they are signed with.
    pub signing_key: Option<SigningKey>,
    /// What the repository is reached with, if not as it is followed; it has to allow reading, too.
    pub access: Option<Access>,
}

impl PublishOptions {
    /// Errs where the credentials do not fit the repository.
    pub fn check(&self, source: &Source) -> Result<(), SourceError> {
        self.access.as_ref().map_or(Ok(()), |access| access.check(&source.location))
    }
}

/// A reference that is to move.
#[derive(Clone, Debug)]
pub(in crate::git) struct Order {
    /// Its full name.
    pub(in crate::git) reference: String,
    /// Where it stands; none: it is not there.
    pub(in crate::git) onto: Option<Oid>,
    /// Where it shall stand, a commit of the mirror.
    pub(in crate::git) commit: Oid,
}

/// What a repository did with an order.
pub(in crate::git) enum Pushed {
    /// The reference moved.
    Landed,
    /// It stands elsewhere.
    Elsewhere,
    /// It was not moved.
    Rejected(Rejection),
}

/// What is to be pushed onto a tip.
enum Made {
    Nothing(String),
    Commit(Oid),
    Aside { commit: Oid, name: String, why: String },
}

/// One repository that commits are pushed to. It blocks: it belongs on a thread of its own.
pub struct Publisher {
    mirror: Mirror,
    reach: Reach,
    judge: Judge,
    maker: Maker,
}

impl Publisher {
    /// A publisher with a mirror of its own in `dir`, which is full and not that of the follower; nothing is asked yet.
    ///
    /// Errs if the folder cannot be written or another process uses it.
    pub fn open(source: &Source, options: PublishOptions, dir: &Path) -> Result<Self, GitError> {
        let access = options.access.unwrap_or_else(|| source.access.clone());
        let source = Source { access, ..source.clone() };
        // What rewrites count is the follower's to say: what is pushed onto one is as little accepted as it is.
        let judge = Judge::new(&Trust { history: HistoryPolicy::Accept, ..source.trust.clone() });
        let reach = Reach::of(&source);
        let mirror = Mirror::open_with(source, dir, reach.transport())?;
        Ok(Self { mirror, reach, judge, maker: Maker::new(options.author, options.signing_key) })
    }

    /// Fetches what the mirror lacks, so that a later commit need not wait for it.
    pub fn prepare(&mut self) -> Result<(), PushError> {
        let arrived = self.arrive();
        self.reach.rest();
        arrived.map(drop)
    }

    /// Makes the commit that `draft` asks for and pushes it. `draft` is asked anew whenever the branch has moved.
    ///
    /// Errs as the draft does, or if it did not land; then nothing is known to have changed, and trying again is safe.
    pub fn publish<E>(
        &mut self,
        draft: &mut dyn FnMut(&Files<'_>) -> Result<Draft, E>,
    ) -> Result<Published, PublishError<E>> {
        let published = self.try_publish(draft);
        self.reach.rest();
        if matches!(published, Ok(Published::Landed { .. })) {
            self.tidy();
        }
        published
    }

    fn tidy(&mut self) {
        if let Err(error) = self.mirror.tidy_with(notes::stand(self.mirror.repository())) {
            tracing::debug!(%error, "packs of the publisher's mirror stay as they are");
        }
    }

    fn try_publish<E>(
        &mut self,
        draft: &mut dyn FnMut(&Files<'_>) -> Result<Draft, E>,
    ) -> Result<Published, PublishError<E>> {
        let mut tries = Tries::default();
        loop {
            let arrived = self.arrive();
            let tip = tries.arrived(arrived)?;
            if let Some((commit, onto)) = tries.landed(self.mirror.repository(), tip)? {
                return Ok(Published::Landed { commit: commit.to_string(), onto: onto.to_string() });
            }
            tries.next(&self.location(), Some(tip))?;
            self.accepted(tip)?;
            let files = Files::new(self.mirror.repository(), tip, &self.mirror.source().path);
            let draft = draft(&files).map_err(PublishError::Draft)?;
            match self.make(tip, draft)? {
                Made::Nothing(why) => return Ok(Published::Nothing { why }),
                Made::Aside { commit, name, why } => return Ok(self.aside(commit, name, why)?),
                Made::Commit(commit) => {
                    let reference = Reference::branch(&self.mirror.source().branch).theirs;
                    let order = Order { reference, onto: Some(tip), commit };
                    crate::failpoint::pass("git.push.before");
                    let pushed = self.push(&order);
                    crate::failpoint::pass("git.push.after");
                    if tries.pushed(&order, pushed)? {
                        // Where that is not noted, the next look fetches it.
                        let _ = self.mirror.stand(commit);
                        return Ok(Published::Landed { commit: commit.to_string(), onto: tip.to_string() });
                    }
                }
            }
        }
    }

    fn push(&self, order: &Order) -> Result<Pushed, PushError> {
        let pushed = self.reach.push(self.mirror.repository(), order);
        let outcome = match &pushed {
            Ok(Pushed::Landed) => "ok",
            Ok(Pushed::Elsewhere) => "moved",
            Ok(Pushed::Rejected(_)) => "refused",
            Err(error) => error.category(),
        };
        self.mirror.source().meter.count_as(Operation::Push, outcome);
        pushed
    }

    fn location(&self) -> String {
        self.mirror.source().location.to_string()
    }

    fn arrive(&mut self) -> Result<Oid, PushError> {
        match self.mirror.arrive()? {
            Tip::At(tip) => Ok(tip),
            Tip::Empty | Tip::Gone { .. } => {
                let (location, branch) = (self.location(), self.mirror.source().branch.clone());
                Err(GitError::BranchUnknown { location, branch, near: None }.into())
            }
        }
    }

    /// Errs on a tip that does not count: a signed commit on top would make it count.
    fn accepted(&mut self, tip: Oid) -> Result<(), PushError> {
        let refused = self.judge.refuses(self.mirror.repository(), tip, None)?;
        refused.map_or(Ok(()), |refused| Err(PushError::Tip(refused)))
    }

    fn make(&mut self, tip: Oid, draft: Draft) -> Result<Made, PushError> {
        let repository = self.mirror.repository();
        let (tree, message, conflict) = match draft {
            Draft::Nothing { why } => return Ok(Made::Nothing(why)),
            Draft::Commit { changes, message } => (self.maker.tree(repository, tip, &changes)?, message, None),
            Draft::Conflict { why, changes, message } => {
                (self.maker.tree(repository, tip, &changes)?, message, Some(why))
            }
            Draft::Revert { commit, mainline, trailers } => {
                let Reverted { tree, message, conflict } =
                    make::revert(repository, tip, (&commit, mainline), &trailers)?;
                (tree, message, conflict)
            }
        };
        if conflict.is_none() && tree == repository.find_commit(tip).map_err(GitError::Mirror)?.tree_id() {
            return Ok(Made::Nothing("the branch says so already".to_owned()));
        }
        let id = self.maker.commit(repository, Some(tip), tree, &message)?;
        if let Some(refused) = self.judge.refuses(repository, id, None)? {
            return Err(PushError::own(refused));
        }
        Ok(match conflict {
            None => Made::Commit(id),
            Some(why) => {
                let undone =
                    commit::trailers(message.as_bytes(), UNDOES).into_iter().find(|id| Oid::from_str(id).is_ok());
                let undone = undone.unwrap_or_else(|| tip.to_string());
                let name = format!("tidegate/revert-{}", undone.get(..12).unwrap_or(&undone));
                Made::Aside { commit: id, name, why }
            }
        })
    }

    /// Pushes a branch that must not be there; one that is there stays as it is.
    fn aside(&mut self, commit: Oid, name: String, why: String) -> Result<Published, PushError> {
        let order = Order { reference: format!("refs/heads/{name}"), onto: None, commit };
        match self.push(&order)? {
            Pushed::Landed => Ok(Published::Branch { name, why }),
            Pushed::Elsewhere => Ok(Published::Branch { name, why: format!("{why}; the branch was there already") }),
            Pushed::Rejected(rejection) => Err(PushError::refused(&self.location(), &rejection)),
        }
    }
}
