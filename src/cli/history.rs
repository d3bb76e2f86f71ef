//! `tidegate history`: what each commit asked of a plan, and what came of it.

use std::time::Duration;

use anyhow::anyhow;
use clap::Args;

use crate::{
    git::{FILE_BYTES_MAX, FileKind, Look, Mirror, Source},
    plan::{
        PlanKey,
        edit::{self, Texts},
    },
    reconcile::history::{self, Asking, Chapter, Said},
};

use super::{
    DONE, FINDINGS, Failure,
    access::{ClusterArgs, RepositoryArgs},
    journal::journal,
    terminal,
};

/// The most commits that are looked at.
const COMMITS_MAX: usize = 50_000;

/// Show what each commit asked of a plan, and what came of it
#[derive(Debug, Args)]
pub(super) struct History {
    /// The plan: `namespace/name`, or a name that only one plan has
    plan: String,
    #[command(flatten)]
    repository: RepositoryArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Read the repository alone: what came of the commits is then known only as far as later ones tell
    #[arg(long, conflicts_with_all = ["kubeconfig", "context"])]
    no_cluster: bool,
    /// How many commits to show, the newest first
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Format
    #[arg(short, long, value_name = "FORMAT", value_parser = ["table", "json"], default_value = "table")]
    output: String,
}

impl History {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let source = self.repository.source(Duration::from_secs(60))?;
        let cluster = if self.no_cluster { None } else { Some(self.cluster.connect().await?) };
        let (wanted, asked_of) = (self.plan.clone(), source.clone());
        let reading = tokio::task::spawn_blocking(move || read(asked_of, &wanted)).await;
        let (key, Asking { asked, whole }) = reading.map_err(|error| Failure::unreached(anyhow!(error)))??;
        if asked.is_empty() {
            return Err(Failure::usage(
                anyhow!("no commit of {} has the plan {key}", source.branch),
                "see that --path is the folder of the plans, and write the plan as namespace/name",
            ));
        }
        let journal = match &cluster {
            Some(cluster) => journal(cluster, &source.name, &key).await?,
            None => None,
        };
        let mut chapters = history::chapters(asked, journal.as_ref());
        chapters.reverse();
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let whole = whole && chapters.len() <= limit;
        chapters.truncate(limit);
        terminal::write(&match self.output.as_str() {
            "json" => format!("{:#}\n", history::history_json(&source.name, &source.branch, &key, &chapters, whole)),
            _ => table(&chapters, whole),
        });
        Ok(DONE)
    }
}

/// The plan that is meant, and what was asked of it.
fn read(source: Source, wanted: &str) -> Result<(PlanKey, Asking), Failure> {
    let folder = tempfile::Builder::new().prefix("tidegate-").tempdir()?;
    let mut mirror = Mirror::open(source, folder.path()).map_err(Failure::unread)?;
    let moved = match mirror.look().map_err(Failure::unread)? {
        Look::Moved(moved) => moved,
        Look::Refused(refused) => {
            let hint = Some(refused.hint());
            return Err(Failure { code: FINDINGS, error: anyhow!("{refused}"), hint });
        }
        Look::Unchanged(_) | Look::BranchGone | Look::Empty => {
            return Err(Failure::usage(anyhow!("the repository has no commit yet"), "push a plan first"));
        }
    };
    let mut texts = Texts { commit: moved.tip.clone(), ..Texts::default() };
    if !wanted.contains('/') {
        let is_file = |kind| matches!(kind, FileKind::Regular | FileKind::Executable);
        for (path, file) in &moved.files {
            let Some(file) = file.as_ref().filter(|file| is_file(file.kind) && file.size <= FILE_BYTES_MAX) else {
                continue;
            };
            let bytes = mirror.read(&file.blob, FILE_BYTES_MAX).map_err(Failure::unread)?;
            if edit::may_hold(&bytes, wanted) {
                texts.files.insert(path.clone(), bytes);
            }
        }
    }
    let key = meant(&texts, wanted)?;
    let asking = history::asked(&mirror, &moved.tip, &key, COMMITS_MAX).map_err(Failure::unread)?;
    Ok((key, asking))
}

/// The plan of that name: `namespace/name`, or a name that only one plan of these files has.
pub(super) fn meant(texts: &Texts, wanted: &str) -> Result<PlanKey, Failure> {
    if let Some((namespace, name)) = wanted.split_once('/') {
        return Ok(PlanKey { namespace: namespace.to_owned(), name: name.to_owned() });
    }
    let mut named = edit::named(texts, wanted).into_iter();
    match (named.next(), named.len()) {
        (Some(key), 0) => Ok(key),
        (None, _) => Err(Failure::usage(
            anyhow!("no plan of the branch has the name `{wanted}`"),
            "write one that was removed as namespace/name",
        )),
        (Some(first), more) => Err(Failure::usage(
            anyhow!("`{wanted}` is the name of {} plans", more + 1),
            format!(
                "write one as namespace/name: {first}, {}",
                named.map(|key| key.to_string()).collect::<Vec<_>>().join(", ")
            ),
        )),
    }
}

fn table(chapters: &[Chapter], whole: bool) -> String {
    let head = ["COMMIT", "WHEN", "BY", "ASKED", "CAME OF IT"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for chapter in chapters {
        let commit = &chapter.asked.commit;
        let row = [
            commit.id.get(..10).unwrap_or(&commit.id).to_owned(),
            commit.time.strftime("%Y-%m-%d %H:%MZ").to_string(),
            commit.author.clone(),
            asked(&chapter.asked.said),
            came(chapter),
        ];
        rows.push(row.iter().map(|cell| terminal::plain(cell)).collect());
    }
    let more = if whole { "" } else { "there are earlier commits: --limit shows more\n" };
    terminal::table(&rows) + more
}

fn asked(said: &Said) -> String {
    match said {
        Said::Gone => "removed".to_owned(),
        Said::Broken(_) => "not valid".to_owned(),
        Said::Plan(plan) => {
            let mut text = plan.traffic.to_string();
            if !plan.steps.is_empty() {
                let weights: Vec<String> = plan.steps.iter().map(|step| step.weight.to_string()).collect();
                text += &format!(" by {}", weights.join(" "));
            }
            for (word, _) in [("paused", plan.pause), ("suspended", plan.suspend)].iter().filter(|(_, is)| *is) {
                text += &format!(", {word}");
            }
            text
        }
    }
}

fn came(chapter: &Chapter) -> String {
    let mut text = chapter.outcome.to_string();
    if let (Some(reached), Said::Plan(plan)) = (&chapter.reached, &chapter.asked.said)
        && *reached != plan.traffic.to_string()
    {
        text += &format!(", reached {reached}");
    }
    if let Some(undone) = &chapter.undone {
        let by = undone.by.get(..10).unwrap_or(&undone.by);
        text += &format!("; undone by {by} of {}", undone.author);
        if let Some(reason) = &undone.reason {
            text += &format!(": {reason}");
        }
    }
    text
}
