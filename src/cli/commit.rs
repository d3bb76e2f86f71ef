//! What all commands share that change a plan by a commit: they show it, or push it and say what to watch.

use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use tempfile::TempDir;

use crate::{
    git::{Author, Draft, Files, GitError, Preview, PublishError, Published, Publisher, PushError, Source},
    plan::{PlanKey, edit::Texts},
    reconcile::drafts::{self, DraftError},
};

use super::{
    DONE, FINDINGS, Failure, UNREACHED, USAGE, access::RepositoryArgs, history::meant, push_args::PushArgs, terminal,
    terminal::say,
};

/// How often a push begins anew where others were faster each time: somebody waits for it.
const ROUNDS_MAX: usize = 3;

/// Which repository is committed to, and how.
#[derive(Clone, Debug, Args)]
pub(super) struct CommitArgs {
    #[command(flatten)]
    repository: RepositoryArgs,
    /// Why, for those who read the history
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// Print the commit, and push nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    push: PushArgs,
}

/// A repository that is ready to be committed to.
pub(super) struct Branch {
    pub(super) source: Source,
    publisher: Publisher,
    /// Held until the end: dropped, the mirror is gone.
    _folder: TempDir,
    dry_run: bool,
}

impl CommitArgs {
    /// Checks what was said; the repository is not asked anything yet.
    pub(super) fn open(&self) -> Result<Branch, Failure> {
        let source = self.repository.source(Duration::from_secs(60))?;
        let options = self.push.options(&source, person())?;
        let folder = tempfile::Builder::new().prefix("tidegate-").tempdir()?;
        let publisher = Publisher::open(&source, options, folder.path()).map_err(Failure::unread)?;
        Ok(Branch { source, publisher, _folder: folder, dry_run: self.dry_run })
    }

    /// Why, as it was said.
    pub(super) fn reason(&self) -> String {
        self.reason.clone().unwrap_or_default()
    }
}

/// Who commits by hand, as git's own variables say.
fn person() -> Option<Author> {
    let said = |name: &str| std::env::var(name).ok();
    format!("{} <{}>", said("GIT_AUTHOR_NAME")?, said("GIT_AUTHOR_EMAIL")?).parse().ok()
}

impl Branch {
    /// The plan of that name: `namespace/name`, or a name that only one plan of the branch has.
    pub(super) async fn plan(self, wanted: &str) -> Result<(Self, PlanKey), Failure> {
        if wanted.contains('/') {
            let key = meant(&Texts::default(), wanted)?;
            return Ok((self, key));
        }
        let name = wanted.to_owned();
        let (branch, found) = self
            .blocking(move |publisher| {
                let mut found = Texts::default();
                let looked = publisher.preview(&mut |files: &Files<'_>| {
                    found = drafts::texts(files, files.tip(), &name)?;
                    Ok::<_, DraftError>(Draft::Nothing { why: String::new() })
                });
                looked.map(|_| found)
            })
            .await?;
        let key = meant(&found.map_err(unpublished)?, wanted)?;
        Ok((branch, key))
    }

    /// Shows or pushes the commit that `draft` writes, and returns the exit code.
    pub(super) async fn commit(
        self,
        plan: Option<&PlanKey>,
        mut draft: impl FnMut(&Files<'_>) -> Result<Draft, DraftError> + Send + 'static,
    ) -> Result<u8, Failure> {
        let dry_run = self.dry_run;
        let name = self.source.branch.clone();
        let (_, done) = self
            .blocking(move |publisher| {
                let preview = publisher.preview(&mut draft)?;
                let is_clean = matches!(preview, Preview::Commit { conflict: None, .. });
                if !is_clean || dry_run {
                    return Ok((preview, None));
                }
                let mut published = publisher.publish(&mut draft);
                for _ in 1..ROUNDS_MAX {
                    if !matches!(published, Err(PublishError::Push(PushError::Moved { .. }))) {
                        break;
                    }
                    published = publisher.publish(&mut draft);
                }
                Ok::<_, PublishError<DraftError>>((preview, Some(published?)))
            })
            .await?;
        let (preview, published) = done.map_err(unpublished)?;
        match (preview, published) {
            (Preview::Nothing { why }, _) | (_, Some(Published::Nothing { why })) => {
                say!("nothing to do: {}", terminal::plain(&why));
                Ok(DONE)
            }
            (Preview::Commit { conflict: Some(why), .. }, _) => Err(Failure {
                code: FINDINGS,
                error: anyhow!("{}; nothing was pushed", terminal::plain(&why)),
                hint: Some(
                    "revert it in a clone with `git revert`, or one plan alone: `tidegate rollback PLAN`".to_owned(),
                ),
            }),
            (Preview::Commit { onto, message, diff, .. }, None) => {
                say!("would commit onto {name}@sha1:{onto}:\n");
                terminal::write(&shown(&indented(&message)));
                terminal::write(&format!("\n{}", shown(&diff)));
                Ok(DONE)
            }
            (_, Some(Published::Landed { commit, .. })) => {
                say!("committed {name}@sha1:{commit}");
                match plan {
                    Some(plan) => say!("to see what comes of it: tidegate status; tidegate why {plan}"),
                    None => say!("to see what comes of it: tidegate status"),
                }
                Ok(DONE)
            }
            (_, Some(Published::Branch { name, why })) => {
                eprintln!("{}; it is on the branch {name} for a person to merge", terminal::plain(&why));
                Ok(FINDINGS)
            }
        }
    }

    /// Publishers block: they do so on a thread of their own.
    async fn blocking<T: Send + 'static>(
        mut self,
        work: impl FnOnce(&mut Publisher) -> T + Send + 'static,
    ) -> Result<(Self, T), Failure> {
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&mut self.publisher);
            (self, done)
        });
        done.await.map_err(|error| Failure::unreached(anyhow!(error)))
    }
}

/// Why nothing was committed, with the exit code that says whose matter it is.
fn unpublished(error: PublishError<DraftError>) -> Failure {
    let (code, hint) = match &error {
        PublishError::Draft(DraftError::Git(GitError::Unknown { .. })) => (USAGE, None),
        PublishError::Draft(DraftError::Git(_)) | PublishError::Push(PushError::Unreachable(_)) => (UNREACHED, None),
        PublishError::Push(PushError::Moved { .. }) => (UNREACHED, Some("try again in a moment".to_owned())),
        PublishError::Draft(DraftError::Conflict(_)) => (FINDINGS, None),
        PublishError::Push(PushError::Refused { .. } | PushError::Tip(_) | PushError::Own { .. }) => (FINDINGS, None),
        PublishError::Push(_) => (USAGE, None),
    };
    let hint = hint.unwrap_or_else(|| match &error {
        PublishError::Draft(error) => error.hint(),
        PublishError::Push(error) => error.hint(),
    });
    Failure { code, error: anyhow!("{}", terminal::plain(&error.to_string())), hint: Some(hint) }
}

/// Text of many lines from elsewhere, without what could drive a terminal.
fn shown(text: &str) -> String {
    text.split_inclusive('\n').map(|line| terminal::plain(line.trim_end_matches(['\n', '\r'])) + "\n").collect()
}

fn indented(message: &str) -> String {
    message.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }).collect()
}
