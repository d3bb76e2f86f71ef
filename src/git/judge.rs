//! Judges a tip before anything in it counts: signatures first, then history.

use git2::{Oid, Repository};
use jiff::Timestamp;

use super::trust::{HistoryPolicy, Objection, Refused, Trust, VerifyMode};
use super::verify::{self, Keys};
use super::{GitError, commit};

/// The most commits that are verified, or searched for a trailer, at one look.
const COMMITS_MAX: usize = 10_000;

/// What a source asks for, with the keys as they were last read.
pub(super) struct Judge {
    history: HistoryPolicy,
    verify: Option<(VerifyMode, Keys)>,
}

impl Judge {
    pub(super) fn new(trust: &Trust) -> Self {
        let verify = trust.verify.as_ref().map(|verify| (verify.mode, Keys::new(verify.keys.clone())));
        Self { history: trust.history, verify }
    }

    /// Why `tip` does not count, if so; `accepted` is what counted last, though the mirror may not have it any more.
    pub(super) fn refuses(
        &mut self,
        repository: &Repository,
        tip: Oid,
        accepted: Option<Oid>,
    ) -> Result<Option<Refused>, GitError> {
        let objection = match self.unverified(repository, tip, accepted)? {
            None => self.unforeseen(repository, tip, accepted)?,
            objection => objection,
        };
        Ok(objection.map(|objection| Refused { tip: tip.to_string(), objection }))
    }

    fn unverified(
        &mut self,
        repository: &Repository,
        tip: Oid,
        accepted: Option<Oid>,
    ) -> Result<Option<Objection>, GitError> {
        let Some((mode, keys)) = &mut self.verify else { return Ok(None) };
        let ring = match keys.ring() {
            Ok(ring) => ring,
            Err(error) => return Ok(Some(Objection::Keys(error))),
        };
        let now = Timestamp::now();
        let mut ids = vec![tip];
        if let (VerifyMode::Every, Some(accepted)) = (mode, accepted) {
            ids.extend(news(repository, tip, accepted)?.into_iter().filter(|id| *id != tip));
        }
        for id in ids.iter().take(COMMITS_MAX) {
            if let Err(why) = verify::commit(repository, *id, ring, now)? {
                return Ok(Some(Objection::Commit { id: id.to_string(), why }));
            }
        }
        Ok((ids.len() > COMMITS_MAX).then_some(Objection::TooMany { limit: COMMITS_MAX }))
    }

    fn unforeseen(
        &self,
        repository: &Repository,
        tip: Oid,
        accepted: Option<Oid>,
    ) -> Result<Option<Objection>, GitError> {
        let Some(from) = accepted.filter(|_| self.history != HistoryPolicy::Accept) else { return Ok(None) };
        if !rewritten(repository, tip, from)? {
            return Ok(None);
        }
        if self.history == HistoryPolicy::Hold {
            for id in news(repository, tip, from)? {
                if commit::accepts_rewrite(repository.find_commit(id)?.message_raw_bytes(), from) {
                    return Ok(None);
                }
            }
        }
        Ok(Some(Objection::Rewritten { from: from.to_string(), policy: self.history }))
    }
}

/// Whether a tip neither is `from` nor descends from it; nothing descends from what the mirror does not have.
pub(super) fn rewritten(repository: &Repository, tip: Oid, from: Oid) -> Result<bool, GitError> {
    if tip == from {
        return Ok(false);
    }
    Ok(repository.find_commit(from).is_err() || !repository.graph_descendant_of(tip, from)?)
}

/// The commits that `tip` has and `from` has not, of all parents, and one more than the limit at most.
fn news(repository: &Repository, tip: Oid, from: Oid) -> Result<Vec<Oid>, GitError> {
    let mut walk = repository.revwalk()?;
    walk.push(tip)?;
    if repository.find_commit(from).is_ok() {
        walk.hide(from)?;
    }
    Ok(walk.take(COMMITS_MAX + 1).collect::<Result<_, _>>()?)
}
