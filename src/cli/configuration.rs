//! The configuration file of `run`: read at the start, and followed.

use std::{path::PathBuf, time::Duration};

use tokio::sync::{mpsc, watch};

use crate::{
    cluster::Member,
    config::{self, Repository},
    reconcile::Reload,
};

use super::{Failure, access::BRANCH, following::Following, terminal};

/// When what the file says is tried again, where a file that it names could not be read.
const AGAIN: Duration = Duration::from_secs(10);

/// A file that was valid when it was read.
pub(super) struct File {
    path: PathBuf,
    /// The plan repositories that it lists.
    pub(super) repositories: Vec<Repository>,
    /// The clusters.
    pub(super) members: Vec<Member>,
}

impl File {
    /// Reads it; what is wrong with it is printed.
    pub(super) fn open(path: PathBuf) -> Result<Self, Failure> {
        let config::Configuration { repositories, clusters } = config::look(&path).map_err(|broken| {
            if let config::Broken::Wrong { .. } = &broken {
                eprintln!("{}\n", broken.render(terminal::colored_errors()));
            }
            let error = anyhow::anyhow!("the configuration {} is not accepted: {broken}", path.display());
            Failure::usage(error, "`tidegate schema --config` prints what it may say")
        })?;
        Ok(Self { path, repositories, members: clusters })
    }

    /// Its path, for people.
    pub(super) fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// What it says from now on; `Err`: why that is not taken. `branches` are those that its repositories are followed on.
    pub(super) fn follow(
        self,
        following: Following,
        branches: watch::Sender<Vec<String>>,
    ) -> mpsc::Receiver<Result<Reload, String>> {
        let (told, receiver) = mpsc::channel(1);
        let mut seen = config::follow(self.path);
        let mut repositories = self.repositories;
        tokio::spawn(async move {
            // What the file says that is not taken, as a file that it names cannot be read: it may come later.
            let mut put_off: Option<config::Configuration> = None;
            let mut refused = None;
            loop {
                let seen = tokio::select! {
                    seen = seen.recv() => match seen {
                        Some(seen) => seen.map_err(|broken| broken.to_string()),
                        None => return,
                    },
                    Some(new) = later(put_off.take()) => Ok(new),
                };
                let reload = seen.and_then(|new| {
                    let change = following.change(&repositories, &new.repositories);
                    let (gone, added) = change.map_err(|failure| {
                        put_off = Some(new.clone());
                        failure.sentence()
                    })?;
                    repositories = new.repositories;
                    if !repositories.is_empty() {
                        branches.send_replace(repositories.iter().map(branch).collect());
                    }
                    Ok(Reload { members: new.clusters, gone, new: added })
                });
                let error = reload.as_ref().err().cloned();
                if error.is_some() && error == refused {
                    continue;
                }
                refused = error;
                if told.send(reload).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }
}

/// What was put off, when it is time to try it again; none where nothing was.
async fn later(put_off: Option<config::Configuration>) -> Option<config::Configuration> {
    let put_off = put_off?;
    tokio::time::sleep(AGAIN).await;
    Some(put_off)
}

/// The branch that a listed repository is followed on.
fn branch(repository: &Repository) -> String {
    repository.branch.clone().unwrap_or_else(|| BRANCH.to_owned())
}
