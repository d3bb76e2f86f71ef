//! Follows a configuration file: tells what it says whenever its bytes are others, and when they say nothing any more.
//!
//! The folder is watched, as a mounted ConfigMap changes by a link in it; the file is also looked at now and then, as
//! not every file system tells.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::plan::{Finding, render};

use super::{Configuration, configuration, masked::masked};

/// How long after a hint the file is read: an editor writes in several steps.
const GATHER: Duration = Duration::from_millis(100);
/// How often the file is looked at without a hint.
const LOOK: Duration = Duration::from_secs(10);
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A file that is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It cannot be read at all.
    Unreadable(String),
    /// It says what is wrong.
    Wrong {
        /// Everything that is.
        findings: Vec<Finding>,
        /// The text that they are about, without the secrets of URLs.
        text: String,
    },
}

impl Broken {
    /// The findings as they are printed, each after the other.
    pub fn render(&self, color: bool) -> String {
        match self {
            Self::Unreadable(why) => why.clone(),
            Self::Wrong { findings, text } => {
                let each: Vec<String> = findings.iter().map(|finding| render(finding, Some(text), color)).collect();
                each.join("\n\n")
            }
        }
    }
}

/// In one sentence: the first of what is wrong, with its line.
impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "{why}"),
            Self::Wrong { findings, text } => {
                let Some(first) = findings.first() else { return write!(f, "it is wrong") };
                let start = first.place.as_ref().map_or(0, |place| place.start);
                let before = text.get(..start).unwrap_or_default();
                let line_start = before.rfind('\n').map_or(0, |at| at + 1);
                let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
                let line = before.matches('\n').count() + 1;
                write!(f, "{} at line {line}, column {column}: {}", first.code, first.message)?;
                match findings.len() {
                    0 | 1 => Ok(()),
                    all => write!(f, ", and {} more", all - 1),
                }
            }
        }
    }
}

/// What a look at the file showed.
pub type Seen = Result<Configuration, Broken>;

/// Reads the file once.
///
/// # Errors
/// Where it cannot be read, or is wrong.
pub fn look(file: &Path) -> Seen {
    understood(file, &read(file))
}

/// Tells what the file says, and again whenever that changes, from within a tokio runtime. It ends when the receiver is
/// dropped.
pub fn follow(file: PathBuf) -> mpsc::Receiver<Seen> {
    let (told, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let (hint, mut hints) = mpsc::channel::<()>(1);
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|event| event.kind.is_access()) {
                // A hint that waits is as good as two.
                let _ = hint.try_send(());
            }
        });
        let watching = watcher.and_then(|mut watcher| {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        if let Err(error) = &watching {
            tracing::warn!(folder = %folder.display(), "cannot watch, so it is looked at every {LOOK:?}: {error}");
        }
        let mut last = None;
        loop {
            let now = read(&file);
            if last.as_ref() != Some(&now) {
                if told.send(understood(&file, &now)).await.is_err() {
                    return;
                }
                last = Some(now);
            }
            tokio::select! {
                Some(()) = hints.recv() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(LOOK) => {}
                () = told.closed() => return,
            }
        }
    });
    receiver
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let cannot = |why: String| format!("cannot read {}: {why}", file.display());
    let size = std::fs::metadata(file).map_err(|error| cannot(error.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(cannot(format!("file is {size} bytes, the limit is {FILE_BYTES_MAX}")));
    }
    std::fs::read(file).map_err(|error| cannot(error.to_string()))
}

fn understood(file: &Path, read: &Result<Vec<u8>, String>) -> Seen {
    let bytes = read.as_ref().map_err(|why| Broken::Unreadable(why.clone()))?;
    configuration(file, bytes).map_err(|findings| {
        let text = masked(&String::from_utf8_lossy(bytes)).into_owned();
        Broken::Wrong { findings, text }
    })
}
