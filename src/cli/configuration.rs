//! The configuration file of `run`: read at the start, and followed.

use std::path::PathBuf;

use tokio::sync::mpsc;

use crate::{
    cluster::Member,
    config::{self, Repository},
};

use super::{Failure, terminal};

/// A file that was valid when it was read.
pub(super) struct File {
    path: PathBuf,
    /// The plan repositories; none where the file lists none.
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

    /// What it says from now on; `Err`: why that is not taken.
    pub(super) fn follow(self) -> mpsc::Receiver<Result<Vec<Member>, String>> {
        let (told, receiver) = mpsc::channel(1);
        let mut seen = config::follow(self.path);
        tokio::spawn(async move {
            while let Some(seen) = seen.recv().await {
                let members = match seen {
                    Ok(new) if new.repositories == self.repositories => Ok(new.clusters),
                    Ok(_) => Err("`repositories` are others, and that takes a restart".to_owned()),
                    Err(broken) => Err(broken.to_string()),
                };
                if told.send(members).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }
}
