//! Which plan repositories `run` follows: those of the configuration file, or the one that the flags name.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::{
    config::Repository,
    git::{HistoryPolicy, PublishOptions, Source},
    plan::Allow,
    reconcile::Followed,
};

use super::{Failure, access::RepositoryArgs, listed, push_args::PushArgs};

/// What the flags say of every repository.
#[derive(Clone)]
pub(super) struct Following {
    pub(super) repository: RepositoryArgs,
    /// None: nothing is pushed.
    pub(super) push: Option<PushArgs>,
    pub(super) history: HistoryPolicy,
    pub(super) interval: Duration,
    /// The folder that `--mirror` names.
    pub(super) mirror: Option<PathBuf>,
    /// The folder for mirrors that go with the process.
    pub(super) temporary: PathBuf,
}

impl Following {
    /// The repositories, checked; nothing is asked of them yet. `written` is what the file lists.
    pub(super) fn all(&self, written: &[Repository]) -> Result<Vec<Followed>, Failure> {
        if written.is_empty() {
            let source = self.repository.source(self.interval)?;
            let publish = self.push.as_ref().map(|push| push.options(&source, None)).transpose()?;
            let mirror = self.mirror.clone().unwrap_or_else(|| self.temporary.join("mirror"));
            return Ok(vec![self.followed(source, mirror, publish, Allow::default())]);
        }
        let folder = self.mirror.as_ref().unwrap_or(&self.temporary);
        let each = written.iter().map(|entry| {
            let source = listed::source(entry, &self.repository, self.interval)?;
            let publish = self.push.as_ref().map(|push| push.listed(&entry.push, &source)).transpose()?;
            // It has a folder of its own, as one may be called as the mirror beside another's is.
            let mirror = folder.join(&entry.name).join("mirror");
            Ok(self.followed(source, mirror, publish, entry.allow.clone()))
        });
        each.collect()
    }

    fn followed(&self, mut source: Source, mirror: PathBuf, publish: Option<PublishOptions>, allow: Allow) -> Followed {
        source.trust.history = self.history;
        Followed { source, mirror, publish, allow }
    }

    /// What changes where a file listed `before` and lists `now`: the names that are followed no more, or in another way,
    /// and what is followed instead.
    pub(super) fn change(
        &self,
        before: &[Repository],
        now: &[Repository],
    ) -> Result<(Vec<String>, Vec<Followed>), Failure> {
        if before.is_empty() != now.is_empty() {
            let error = anyhow::anyhow!("whether flags name the repository or the file does takes a restart");
            return Err(Failure::usage(error, "restart it, or take that back"));
        }
        let known: BTreeMap<&str, &Repository> = now.iter().map(|one| (one.name.as_str(), one)).collect();
        let stays = |one: &Repository| known.get(one.name.as_str()).is_some_and(|now| *now == one);
        let gone = before.iter().filter(|one| !stays(one)).map(|one| one.name.clone()).collect();
        // Nobody's files are looked at but those of what is new.
        let new: Vec<Repository> = now.iter().filter(|one| !before.contains(one)).cloned().collect();
        Ok((gone, if new.is_empty() { Vec::new() } else { self.all(&new)? }))
    }
}
