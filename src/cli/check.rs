//! `tidegate check`: validates plan files, and what they mean for Istio, alone or beside what is live.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use crate::{
    config::Repository,
    git::Content,
    plan::{self, Allow, Catalog, Commit, FileAt, Finding, ParsedFile, Revision, Severity},
    reconcile::{inspect::inspect_each, plans},
};

use super::{
    DONE, FINDINGS, Failure, access::ClusterArgs, configuration, listed, surroundings::Live, terminal, terminal::say,
};

/// Validate plan files and what they mean for Istio, alone or beside a cluster
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Files and folders with plans
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print findings as JSON
    #[arg(short, long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
    output: String,
    /// File with the clusters, as `run` takes it: each plan is looked at beside those that it goes to
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kubeconfig", "context"])]
    config: Option<PathBuf>,
    /// The repository of that file that the plans are of: its allow-lists are held against them. Without it, the only one
    #[arg(long, value_name = "NAME", requires = "config")]
    repo_name: Option<String>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl Check {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let mut files = BTreeMap::new();
        for path in &self.paths {
            gather(path, true, &mut files)?;
        }
        if files.is_empty() {
            let error = anyhow::anyhow!("no .yaml or .yml file in {}", shown(&self.paths));
            return Err(Failure::usage(error, "name the folder that holds the plans"));
        }
        let file = self.config.clone().map(configuration::File::open).transpose()?;
        let allow = file.as_ref().map(|file| self.allow(&file.repositories)).transpose()?.unwrap_or_default();
        let Live { clusters, known, gaps } = match &file {
            Some(file) => Live::of(&file.members).await?,
            None => Live::one(&self.cluster).await?,
        };
        let listed: Vec<_> = files.iter().map(|(path, content)| (path.as_str(), content)).collect();
        let parsed: Vec<Arc<ParsedFile>> = plans::parse_all(&listed, &allow).into_iter().map(Arc::new).collect();
        let changed = listed.iter().zip(&parsed).map(|((path, _), parsed)| {
            ((*path).to_owned(), Some(FileAt { parsed: parsed.clone(), introduced: BTreeMap::new() }))
        });
        let revision = Revision { branch: "work".to_owned(), commit: "0".repeat(40) };
        let mut catalog = Catalog::new();
        if let Some(known) = known {
            catalog.know(known);
        }
        catalog.commit(Commit { revision, changed: changed.collect(), allow_removal: None });
        let texts = listed.iter().map(|(path, content)| (*path, content.text().unwrap_or_default()));
        let texts = texts.zip(parsed).map(|((path, text), parsed)| (path, (text, parsed))).collect();
        let inspected = inspect_each(&texts, &catalog, &clusters);
        let mut findings: Vec<&Finding> = catalog.findings().chain(&inspected).collect();
        findings.sort_by(|one, two| one.place.cmp(&two.place));
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        if self.output == "json" {
            say!("{:#}", json(&findings, &files, &gaps));
        } else {
            let color = terminal::colored();
            for finding in &findings {
                let text = finding.place.as_ref().and_then(|place| text(&files, &place.file));
                say!("{}\n", plan::render(finding, text, color));
            }
            let (plans, warnings) = (catalog.entries().count(), findings.len() - errors);
            say!(
                "{} accepted in {}: {}, {}",
                counted(plans, "plan"),
                counted(files.len(), "file"),
                counted(errors, "error"),
                counted(warnings, "warning")
            );
        }
        for gap in gaps {
            eprintln!("warning: {}; rules that need it found nothing missing", terminal::plain(&gap));
        }
        Ok(if errors > 0 { FINDINGS } else { DONE })
    }

    /// What the repository of the plans may be about.
    fn allow(&self, repositories: &[Repository]) -> Result<Allow, Failure> {
        if let Some(name) = &self.repo_name {
            return Ok(listed::named(name, repositories)?.allow.clone());
        }
        Ok(match repositories {
            [] => Allow::default(),
            [only] => only.allow.clone(),
            several => {
                if several.iter().any(|repository| !repository.allow.is_everything()) {
                    eprintln!(
                        "warning: no allow-list was applied: the configuration lists {} repositories; say which by \
                         --repo-name",
                        several.len()
                    );
                }
                Allow::default()
            }
        })
    }
}

/// A number with its noun.
fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn text<'a>(files: &'a BTreeMap<String, Content>, path: &str) -> Option<&'a str> {
    files.get(path).and_then(Content::text)
}

fn json(findings: &[&Finding], files: &BTreeMap<String, Content>, gaps: &[String]) -> serde_json::Value {
    let of = |finding: &&Finding| {
        let place = finding.place.as_ref().map(|place| {
            let (line, column) = text(files, &place.file).map_or((1, 1), |text| position(text, place.start));
            serde_json::json!({"file": place.file, "line": line, "column": column})
        });
        let severity = if finding.severity == Severity::Error { "error" } else { "warning" };
        serde_json::json!({
            "code": finding.code, "severity": severity, "message": finding.message,
            "place": place, "hints": finding.hints,
        })
    };
    let mut all = serde_json::json!({"findings": findings.iter().map(of).collect::<Vec<_>>()});
    if let Some(fields) = all.as_object_mut().filter(|_| !gaps.is_empty()) {
        fields.insert("gaps".to_owned(), gaps.into());
    }
    all
}

/// Line and column of a byte, counted from 1; columns in characters.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before.get(line..).unwrap_or_default().chars().count() + 1)
}

/// Gathers plan files as the Git room would see them: links are not followed, sizes are limited.
fn gather(path: &Path, named: bool, files: &mut BTreeMap<String, Content>) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| {
        let error = anyhow::Error::new(error).context(format!("cannot read {}", path.display()));
        Failure::usage(error, "name files and folders that exist and can be read")
    };
    let metadata = std::fs::symlink_metadata(path).map_err(cannot)?;
    if metadata.is_dir() {
        if !named && path.join(".git").exists() {
            files.insert(path.display().to_string(), Content::Submodule);
            return Ok(());
        }
        let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .map_err(cannot)?;
        entries.sort();
        for entry in entries {
            let hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if !(hidden && entry.is_dir()) {
                gather(&entry, false, files)?;
            }
        }
        return Ok(());
    }
    let extension = path.extension().map(|extension| extension.to_ascii_lowercase());
    if !named && !extension.is_some_and(|extension| extension == "yaml" || extension == "yml") {
        return Ok(());
    }
    let content = if metadata.is_symlink() {
        Content::Symlink
    } else if metadata.len() > crate::git::FILE_BYTES_MAX {
        Content::TooLarge { size: metadata.len() }
    } else {
        Content::Bytes(std::fs::read(path).map_err(cannot)?.into())
    };
    files.insert(path.display().to_string(), content);
    Ok(())
}
