//! Takes what Git shows into the catalog: parses what changed, and finds the commit that introduced each plan.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    git::{self, Content},
    plan::{self, Allow, Catalog, Commit, Document, FileAt, ParsedFile, PlanKey, Revision, Touched},
};

use super::inspect;

/// A thread costs more than it saves for fewer files.
const FILES_PER_THREAD_MIN: usize = 32;

/// Takes a snapshot into the catalog, as far as it is allowed, and returns what it touched.
pub fn take(catalog: &mut Catalog, branch: &str, snapshot: &git::Snapshot, allow: &Allow) -> Touched {
    let revision = |commit: &str| Revision { branch: branch.to_owned(), commit: commit.to_owned() };
    let files = snapshot.changes.iter().filter_map(|(path, change)| Some((path.as_str(), change.now.as_ref()?)));
    let files: Vec<(&str, &Content)> = files.collect();
    let mut parsed: BTreeMap<&str, ParsedFile> =
        files.iter().map(|(path, _)| *path).zip(parse_all(&files, allow)).collect();
    let changed = snapshot.changes.iter().map(|(path, change)| {
        let file = parsed.remove(path.as_str()).map(|parsed| {
            let introduced = introduced(path, &parsed, &change.versions);
            let introduced = introduced.into_iter().map(|(key, commit)| (key, revision(&commit))).collect();
            FileAt { parsed: Arc::new(parsed), introduced }
        });
        (path.clone(), file)
    });
    let changed = changed.collect();
    catalog.commit(Commit { revision: revision(&snapshot.tip), changed, allow_removal: snapshot.allow_removal })
}

/// [`parse`] for many files, in their order, on all processors.
pub fn parse_all(files: &[(&str, &Content)], allow: &Allow) -> Vec<ParsedFile> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parse_some = |files: &[(&str, &Content)]| -> Vec<ParsedFile> {
        files.iter().map(|(path, content)| parse(path, content, allow)).collect()
    };
    let share = files.len().div_ceil(threads).max(FILES_PER_THREAD_MIN);
    if files.len() <= share {
        return parse_some(files);
    }
    std::thread::scope(|scope| {
        let parts: Vec<_> = files.chunks(share).map(|files| scope.spawn(move || parse_some(files))).collect();
        let whole = parts.into_iter().flat_map(|part| match part.join() {
            Ok(parsed) => parsed,
            // As it would have been without threads: whoever called is unwound.
            Err(panic) => std::panic::resume_unwind(panic),
        });
        whole.collect()
    })
}

/// The plans of a file as Git holds it, without those that are not allowed or that Istio would refuse.
pub fn parse(path: &str, content: &Content, allow: &Allow) -> ParsedFile {
    let mut parsed = read(path, content);
    if let Some(text) = content.text() {
        allow.judge(text, &mut parsed);
        inspect::judge(text, &mut parsed);
    }
    parsed
}

/// The plans of a file; one that is not read is one finding.
fn read(path: &str, content: &Content) -> ParsedFile {
    let refused = |why: &str, hint: &str| ParsedFile {
        findings: vec![plan::refused_file(path, why, hint)],
        ..ParsedFile::default()
    };
    match content {
        Content::Bytes(bytes) => plan::parse_file(path, bytes),
        Content::TooLarge { size } => refused(
            &format!("has {} KiB, the limit is {} KiB", size.div_ceil(1024), git::FILE_BYTES_MAX >> 10),
            "split it into several files",
        ),
        Content::Symlink => refused("is a symbolic link", "links are not followed: put the file itself there"),
        Content::Submodule => refused("is a submodule", "other repositories are not read: put the file itself there"),
        Content::LfsPointer => {
            refused("is a Git LFS pointer", "plans are read from Git itself: take the file out of LFS")
        }
    }
}

/// For each plan of the file, the newest commit that changed its digest, as far as the versions tell.
fn introduced(path: &str, now: &ParsedFile, versions: &[git::Version]) -> BTreeMap<PlanKey, String> {
    let mut introduced = BTreeMap::new();
    let mut open: Vec<_> = plans(now).collect();
    let mut newest = versions.first().map(|version| version.commit.clone());
    for pair in versions.windows(2) {
        let [version, older] = pair else { break };
        if open.is_empty() {
            break;
        }
        let before = older.content.as_ref().map(|content| read(path, content)).unwrap_or_default();
        open.retain(|(key, digest)| {
            let same = plans(&before).any(|(there, older)| there == *key && older == *digest);
            if !same {
                introduced.insert((*key).clone(), version.commit.clone());
            }
            same
        });
        newest = Some(older.commit.clone());
    }
    for (key, _) in open {
        if let Some(commit) = &newest {
            introduced.insert(key.clone(), commit.clone());
        }
    }
    introduced
}

fn plans(file: &ParsedFile) -> impl Iterator<Item = (&PlanKey, &plan::Digest)> {
    file.documents.iter().filter_map(|(document, _)| match document {
        Document::Plan(plan) => Some((&plan.key, &plan.digest)),
        Document::Object(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_files_are_parsed_as_one_by_one_and_in_their_order() {
        let files: Vec<(String, Content)> = (0..300)
            .map(|at| {
                let text = format!("apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: p{at}}}\n");
                (
                    format!("p{at}.yaml"),
                    if at % 7 == 0 { Content::Symlink } else { Content::Bytes(text.as_bytes().into()) },
                )
            })
            .collect();
        let listed: Vec<(&str, &Content)> = files.iter().map(|(path, content)| (path.as_str(), content)).collect();
        let places = |parsed: &ParsedFile| format!("{:?}", parsed.findings);
        let all = Allow::default();
        let one_by_one: Vec<String> =
            listed.iter().map(|(path, content)| places(&parse(path, content, &all))).collect();
        assert_eq!(parse_all(&listed, &all).iter().map(places).collect::<Vec<_>>(), one_by_one);
        assert!(one_by_one.iter().all(|findings| findings.contains(".yaml")));
        assert!(parse_all(&[], &all).is_empty());
    }

    #[test]
    fn lists_cost_a_fraction_of_reading() {
        const PLANS: usize = 200;
        let text = |at: usize| {
            format!(
                "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: w{at}, namespace: shop}}\nspec:\n  \
                 service: w{at}\n  hosts: [w{at}, www.example.com]\n  gateways: [mesh, shop/own]\n  versions: {{v1: {{labels: \
                 {{v: a}}}}}}\n  traffic: {{v1: 100}}\n"
            )
        };
        let texts: Vec<String> = (0..PLANS).map(text).collect();
        let allow = Allow {
            namespaces: Some(vec!["shop".parse().unwrap()]),
            hosts: Some(vec!["*.example.com".parse().unwrap(), "*.shop.svc.cluster.local".parse().unwrap()]),
            gateways: Some(vec!["mesh".parse().unwrap(), "shop/*".parse().unwrap()]),
            kinds: Some(vec!["CanaryPlan".parse().unwrap()]),
        };
        let began = std::time::Instant::now();
        let contents: Vec<Content> = texts.iter().map(|text| Content::Bytes(text.as_bytes().into())).collect();
        let mut files: Vec<ParsedFile> =
            contents.iter().map(|content| parse("w.yaml", content, &Allow::default())).collect();
        let read = began.elapsed();
        let began = std::time::Instant::now();
        texts.iter().zip(&mut files).for_each(|(text, file)| allow.judge(text, file));
        let judged = began.elapsed();
        println!("{PLANS} plans: read in {read:?}, held against four lists in {judged:?} more");
        assert!(files.iter().all(|file| file.documents.len() == 1));
        assert!(judged < read / 4, "{judged:?} of {read:?}");
    }
}
