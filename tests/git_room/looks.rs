//! What one look tells.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate::git::{FileKind, GitError, Local, Look, Mirror, Moved, Tip, Transport};

use super::support::repository::Repository;
use super::{NONE, accepted, mirror, moved, paths, source, state};

struct Counting(Local, Arc<[AtomicUsize; 2]>);

impl Transport for Counting {
    fn tip(&mut self, mirror: &git2::Repository, stands: Option<git2::Oid>) -> Result<Tip, GitError> {
        self.1[0].fetch_add(1, Ordering::SeqCst);
        self.0.tip(mirror, stands)
    }

    fn fetch(&mut self, mirror: &git2::Repository, tip: git2::Oid) -> Result<git2::Oid, GitError> {
        self.1[1].fetch_add(1, Ordering::SeqCst);
        self.0.fetch(mirror, tip)
    }
}

#[test]
fn an_unchanged_tip_costs_one_listing_and_no_fetch() {
    let repository = Repository::with(&[("a.yaml", "a")]);
    let source = source(&repository.location(), "");
    let calls: Arc<[AtomicUsize; 2]> = Arc::default();
    let transport = Box::new(Counting(Local::new(&source, repository.path()), calls.clone()));
    let mut mirror = Mirror::open_with(source, &state(&repository), transport).unwrap();
    let counts = || [calls[0].load(Ordering::SeqCst), calls[1].load(Ordering::SeqCst)];
    accepted(&mut mirror);
    assert_eq!(counts(), [1, 1]);
    assert_eq!(mirror.look().unwrap(), Look::Unchanged(repository.tip()));
    assert_eq!(counts(), [2, 1]);
    repository.commit("Change", &[("a.yaml", "b")]);
    accepted(&mut mirror);
    assert_eq!(counts(), [3, 2]);
}

#[test]
fn only_plan_files_under_the_path_are_told_and_only_what_changed() {
    let repository = Repository::with(&[
        ("plans/web.yaml", "1"),
        ("plans/deep/er/api.YML", "1"),
        ("plans/.hidden.yaml", "1"),
        ("plans/.github/workflow.yaml", "1"),
        ("plans/README.md", "1"),
        ("other/x.yaml", "1"),
        ("plans.yaml", "1"),
    ]);
    let mut mirror = mirror(&repository, "plans");
    let first = accepted(&mut mirror);
    assert_eq!(
        paths(&first),
        [("plans/.hidden.yaml", true), ("plans/deep/er/api.YML", true), ("plans/web.yaml", true)]
    );
    assert_eq!((first.from, first.rewritten), (None, false));

    let tip = repository.commit("Change one", &[("plans/deep/er/api.YML", "22"), ("other/x.yaml", "2")]);
    let second = accepted(&mut mirror);
    assert_eq!(paths(&second), [("plans/deep/er/api.YML", true)]);
    assert_eq!((second.tip, second.from), (tip, Some(first.tip)));
    let file = second.files["plans/deep/er/api.YML"].clone().unwrap();
    assert_eq!((file.kind, file.size), (FileKind::Regular, 2));
    assert_eq!(mirror.read(&file.blob, 2).unwrap(), b"22");
    assert!(matches!(mirror.read(&file.blob, 1), Err(GitError::TooLarge { size: 2, limit: 1, .. })));

    repository.commit("Elsewhere", &[("other/x.yaml", "3")]);
    assert_eq!(paths(&accepted(&mut mirror)), []);
    repository.remove("Remove", &["plans/web.yaml"]);
    assert_eq!(paths(&accepted(&mut mirror)), [("plans/web.yaml", false)]);
}

#[test]
fn what_is_not_accepted_is_told_again_and_what_is_reset_is_told_whole() {
    let repository = Repository::with(&[("a.yaml", "1"), ("b.yaml", "1")]);
    let mut mirror = mirror(&repository, "");
    accepted(&mut mirror);
    repository.commit("One", &[("a.yaml", "2")]);
    assert_eq!(paths(&moved(&mut mirror)), [("a.yaml", true)]);
    repository.commit("Two", &[("b.yaml", "2")]);
    assert_eq!(paths(&accepted(&mut mirror)), [("a.yaml", true), ("b.yaml", true)]);
    mirror.reset();
    assert_eq!(paths(&moved(&mut mirror)), [("a.yaml", true), ("b.yaml", true)]);
}

#[test]
fn a_file_becomes_a_folder_a_link_a_submodule_and_executable() {
    let repository = Repository::with(&[("a.yaml", "1"), ("b.yaml", "1"), ("c.yaml", "1"), ("d.yaml", "1")]);
    let mut mirror = mirror(&repository, "");
    accepted(&mut mirror);
    let tip = repository.tip();
    std::fs::remove_file(repository.path().join("a.yaml")).unwrap();
    repository.write("a.yaml/x.yaml", "x");
    std::fs::remove_file(repository.path().join("b.yaml")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", repository.path().join("b.yaml")).unwrap();
    repository.git(&["add", "--all"]);
    repository.git(&["update-index", "--cacheinfo", &format!("160000,{tip},c.yaml"), "--chmod=+x", "d.yaml"]);
    repository.git(&["commit", "--quiet", "-m", "Turn"]);
    let moved = accepted(&mut mirror);
    let kind = |path: &str| moved.files[path].as_ref().map(|file| file.kind);
    assert_eq!(kind("a.yaml"), None);
    assert_eq!(kind("a.yaml/x.yaml"), Some(FileKind::Regular));
    assert_eq!(kind("b.yaml"), Some(FileKind::Symlink));
    assert_eq!(kind("c.yaml"), Some(FileKind::Submodule));
    assert_eq!(kind("d.yaml"), Some(FileKind::Executable));
}

#[test]
fn rewritten_history_is_said_and_gives_the_whole_difference() {
    let repository = Repository::with(&[("a.yaml", "1")]);
    let bare = repository.bare();
    let base = repository.tip();
    repository.commit("To be lost", &[("a.yaml", "2"), ("b.yaml", "1")]);
    repository.push(false);
    let mut mirror = Mirror::open(source(bare.to_str().unwrap(), ""), &state(&repository)).unwrap();
    let before = accepted(&mut mirror);

    repository.force(&base);
    let tip = repository.commit("Instead", &[("c.yaml", "1")]);
    repository.push(true);
    repository.git(&["--git-dir", bare.to_str().unwrap(), "gc", "--quiet", "--prune=now"]);
    let after = accepted(&mut mirror);
    assert!(after.rewritten);
    assert_eq!(paths(&after), [("a.yaml", true), ("b.yaml", false), ("c.yaml", true)]);
    assert_eq!((after.tip, after.from), (tip, Some(before.tip)));
}

#[test]
fn a_deleted_branch_is_a_state_and_is_picked_up_when_it_is_back() {
    let repository = Repository::with(&[("a.yaml", "1")]);
    let mut mirror = mirror(&repository, "");
    let first = accepted(&mut mirror);
    repository.branch("side");
    repository.git(&["branch", "-D", "main"]);
    assert_eq!(mirror.look().unwrap(), Look::BranchGone);
    repository.git(&["branch", "main"]);
    assert_eq!(mirror.look().unwrap(), Look::Unchanged(first.tip.clone()));
    repository.git(&["checkout", "--quiet", "--orphan", "new"]);
    repository.git(&["branch", "-D", "main"]);
    assert_eq!(mirror.look().unwrap(), Look::BranchGone);
    repository.commit("Afresh", &[("b.yaml", "1")]);
    repository.git(&["branch", "-M", "main"]);
    let back = accepted(&mut mirror);
    assert_eq!(paths(&back), [("b.yaml", true)]);
    assert_eq!((back.from, back.rewritten), (Some(first.tip), true));
}

#[test]
fn an_empty_repository_and_a_branch_never_seen_are_told_apart() {
    let repository = Repository::empty();
    let mut mirror = mirror(&repository, "");
    assert_eq!(mirror.look().unwrap(), Look::Empty);
    repository.commit("First", &[("a.yaml", "1")]);
    repository.git(&["branch", "-M", "mian"]);
    let error = mirror.look().unwrap_err();
    assert!(matches!(error, GitError::BranchUnknown { .. }), "{error}");
    assert_eq!(error.hint(), "did you mean `mian`?");
    repository.git(&["branch", "-M", "main"]);
    assert_eq!(paths(&moved(&mut mirror)), [("a.yaml", true)]);
}

#[test]
fn packed_references_and_a_linked_working_tree_lead_to_the_same_branch() {
    let repository = Repository::with(&[("a.yaml", "1")]);
    repository.git(&["pack-refs", "--all"]);
    repository.git(&["gc", "--quiet"]);
    repository.git(&["worktree", "add", "--quiet", "-b", "side", "../linked"]);
    let linked = repository.home().join("linked");
    let location = format!("file://{}", linked.display());
    let mut mirror = Mirror::open(source(&location, ""), &state(&repository)).unwrap();
    assert_eq!(accepted(&mut mirror).tip, repository.tip());
    let tip = repository.commit("Loose again", &[("a.yaml", "2")]);
    assert_eq!(accepted(&mut mirror).tip, tip);
}

#[test]
fn a_missing_plans_folder_is_empty_and_a_file_in_its_place_is_an_error() {
    let repository = Repository::with(&[("plans/a.yaml", "1")]);
    let mut mirror = mirror(&repository, "plans");
    accepted(&mut mirror);
    repository.remove("Remove all\n\nTidegate-Allow-Removal: 1", &["plans/a.yaml"]);
    let gone = accepted(&mut mirror);
    assert_eq!((paths(&gone), gone.allow_removal), (vec![("plans/a.yaml", false)], Some(1)));
    let _ = std::fs::remove_dir(repository.path().join("plans"));
    repository.commit("A file", &[("plans", "1")]);
    let error = mirror.look().unwrap_err();
    assert!(matches!(error, GitError::NotAFolder { .. }), "{error}");
}

#[test]
fn removals_are_allowed_by_the_commits_since_the_accepted_one_alone() {
    let repository = Repository::with(&[("a.yaml", "1")]);
    let mut mirror = mirror(&repository, "");
    repository.commit("Long ago\n\nTidegate-Allow-Removal: 9", NONE);
    repository.commit("Now", NONE);
    assert_eq!(accepted(&mut mirror).allow_removal, None);
    repository.branch("side");
    repository.commit("Retire\n\nTidegate-Allow-Removal: 12", NONE);
    repository.branch("main");
    repository.commit("Retire more\n\nTidegate-Allow-Removal: 3", NONE);
    repository.merge("side");
    assert_eq!(accepted(&mut mirror).allow_removal, Some(15));
    repository.commit("Later", NONE);
    assert_eq!(accepted(&mut mirror).allow_removal, None);
}

/// The plan files that Git itself lists, with their blobs.
fn listed(repository: &Repository) -> BTreeMap<String, String> {
    let listing = repository.git(&["ls-tree", "-r", "main"]);
    let entries = listing.lines().filter_map(|line| line.split_once('\t'));
    entries.map(|(state, path)| (path.to_owned(), state[12..52].to_owned())).collect()
}

/// Applies what one look told to what was known.
fn apply(known: &mut BTreeMap<String, String>, moved: Moved) {
    for (path, file) in moved.files {
        match file {
            Some(file) => known.insert(path, file.blob),
            None => known.remove(&path),
        };
    }
}

#[test]
fn whatever_happens_to_a_branch_the_differences_add_up_to_what_git_lists() {
    let repository = Repository::with(&[("0/start.yaml", "1")]);
    let mut mirror = mirror(&repository, "");
    let mut known = BTreeMap::new();
    let mut seed = 20_261_121_u64;
    let mut draw = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut tips = vec![repository.tip()];
    for turn in 0..60 {
        match draw(8) {
            0 => repository.force(&tips[draw(tips.len() as u64) as usize]),
            1 => {
                repository.git(&["gc", "--quiet"]);
            }
            2 => {
                repository.git(&["rm", "-r", "--quiet", "--ignore-unmatch", &draw(3).to_string()]);
                repository.commit_all("Remove a folder");
            }
            3 => {
                repository.branch("side");
                repository.force("main");
                repository.commit("Side", &[(format!("{}/side-{turn}.yaml", draw(3)), "1")]);
                repository.branch("main");
                repository.commit("Main", &[(format!("{}/main-{turn}.yaml", draw(3)), "1")]);
                repository.merge("side");
            }
            _ => {
                let path = format!("{}/{}.yaml", draw(3), draw(5));
                repository.commit("Change", &[(path, draw(100).to_string())]);
            }
        }
        tips.push(repository.tip());
        if draw(3) > 0
            && let Look::Moved(moved) = mirror.look().unwrap()
        {
            mirror.accept(&moved);
            apply(&mut known, moved);
            assert_eq!(known, listed(&repository), "turn {turn}");
        }
    }
}

#[test]
fn looks_in_the_midst_of_commits_never_err_and_end_where_git_does() {
    let repository = Repository::with(&[("a.yaml", "0")]);
    let mut mirror = mirror(&repository, "");
    let mut known = BTreeMap::new();
    let mut looks = 0;
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for count in 0..40 {
                repository.commit("Change", &[(format!("{}.yaml", count % 7), count.to_string())]);
                if count % 8 == 0 {
                    repository.git(&["gc", "--quiet", "--prune=now"]);
                }
            }
        });
        while !writer.is_finished() {
            looks += 1;
            if let Look::Moved(moved) = mirror.look().unwrap() {
                mirror.accept(&moved);
                apply(&mut known, moved);
            }
        }
    });
    if let Look::Moved(moved) = mirror.look().unwrap() {
        apply(&mut known, moved);
    }
    assert!(looks > 40, "{looks}");
    assert_eq!(known, listed(&repository));
}
