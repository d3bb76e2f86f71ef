//! Mirrors and repositories that something happened to.

use std::fs;

use tidegate::git::{Content, FILE_BYTES_MAX, GitError, Local, Look, Mirror, Reader, Sight, Tip, Transport};

use super::support::repository::Repository;
use super::{accepted, bytes, mirror, moved, paths, source, state};

fn garble(folder: &std::path::Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "pack") {
            let mut permissions = fs::metadata(&path).unwrap().permissions();
            std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
            fs::set_permissions(&path, permissions).unwrap();
            fs::write(path, "garbled").unwrap();
        }
    }
}

#[test]
fn a_garbled_mirror_is_set_aside_and_cloned_anew() {
    let repository = Repository::with(&[("a.yaml", "1"), ("b.yaml", "1")]);
    let mut before = mirror(&repository, "");
    accepted(&mut before);
    drop(before);
    garble(&state(&repository).join("mirror.git/objects/pack"));
    let mut after = mirror(&repository, "");
    assert_eq!(paths(&accepted(&mut after)), [("a.yaml", true), ("b.yaml", true)]);
    assert!(state(&repository).join("broken.git").exists());

    let file = after.versions_of("a.yaml", &repository.tip(), None, 9).unwrap()[0].file.clone().unwrap();
    let _ = fs::remove_dir_all(state(&repository).join("mirror.git/objects"));
    let tip = repository.commit("Meanwhile", &[("a.yaml", "2")]);
    let next = moved(&mut after);
    assert_eq!((next.tip.as_str(), paths(&next)), (tip.as_str(), vec![("a.yaml", true)]));
    assert_eq!(after.read(&file.blob, 9).unwrap(), b"1");
}

#[test]
fn a_blob_that_was_lost_is_back_after_the_next_look() {
    let repository = Repository::with(&[("a.yaml", "1")]);
    let mut mirror = mirror(&repository, "");
    let blob = accepted(&mut mirror).files["a.yaml"].clone().unwrap().blob;
    drop(mirror);
    let mut mirror = super::mirror(&repository, "");
    accepted(&mut mirror);
    fs::remove_dir_all(state(&repository).join("mirror.git/objects/pack")).unwrap();
    fs::create_dir(state(&repository).join("mirror.git/objects/pack")).unwrap();
    // Open packs stay readable; a process that starts later finds nothing.
    drop(mirror);
    let mut mirror = super::mirror(&repository, "");
    assert!(mirror.read(&blob, 9).is_err());
    accepted(&mut mirror);
    assert_eq!(mirror.read(&blob, 9).unwrap(), b"1");
}

#[test]
fn stale_locks_and_half_written_packs_are_swept() {
    let repository = Repository::with(&[("a.yaml", "1")]);
    let mut before = mirror(&repository, "");
    accepted(&mut before);
    drop(before);
    let folder = state(&repository).join("mirror.git");
    let stale =
        ["refs/tidegate/heads/main.lock", "packed-refs.lock", "objects/pack/tmp_pack_x", "objects/pack/pack_git2_1"];
    for path in stale {
        fs::write(folder.join(path), "").unwrap();
    }
    let mut mirror = mirror(&repository, "");
    assert!(stale.iter().all(|path| !folder.join(path).exists()));
    repository.commit("Change", &[("a.yaml", "2")]);
    assert_eq!(paths(&accepted(&mut mirror)), [("a.yaml", true)]);
}

/// Every other answer is that of a repository in the midst of a write.
struct Flickering(Local, u32);

impl Transport for Flickering {
    fn tip(&mut self, mirror: &git2::Repository, stands: Option<git2::Oid>) -> Result<Tip, GitError> {
        self.1 += 1;
        if self.1 % 2 == 1 {
            let cause = git2::Error::from_str("corrupted loose reference file");
            return Err(GitError::Source { location: "plans".into(), cause });
        }
        self.0.tip(mirror, stands)
    }

    fn fetch(&mut self, mirror: &git2::Repository, tip: git2::Oid) -> Result<git2::Oid, GitError> {
        self.0.fetch(mirror, tip)
    }
}

#[test]
fn a_reference_in_the_midst_of_a_write_is_looked_at_again_at_once() {
    let repository = Repository::with(&[("a.yaml", "1")]);
    let source = source(&repository.location(), "");
    let transport = Box::new(Flickering(Local::new(&source, repository.path()), 0));
    let mut mirror = Mirror::open_with(source, &state(&repository), transport).unwrap();
    assert_eq!(paths(&accepted(&mut mirror)), [("a.yaml", true)]);
    assert_eq!(mirror.look().unwrap(), Look::Unchanged(repository.tip()));
}

#[test]
fn a_branch_that_names_a_lost_commit_is_an_error_and_the_mirror_stays() {
    let repository = Repository::with(&[("a.yaml", "1")]);
    let mut mirror = mirror(&repository, "");
    let tip = accepted(&mut mirror).tip;
    repository.write(".git/refs/heads/main", "0123456789012345678901234567890123456789\n");
    let error = mirror.look().unwrap_err();
    assert!(matches!(error, GitError::Source { .. }), "{error}");
    repository.write(".git/refs/heads/main", format!("{tip}\n"));
    assert_eq!(mirror.look().unwrap(), Look::Unchanged(tip));
    assert!(!state(&repository).join("broken.git").exists());
}

#[test]
fn a_mirror_has_one_writer() {
    let repository = Repository::with(&[("a.yaml", "1")]);
    let first = mirror(&repository, "");
    let second = Mirror::open(source(&repository.location(), ""), &state(&repository));
    assert!(matches!(second.err(), Some(GitError::InUse { .. })));
    drop(first);
    mirror(&repository, "");
}

#[test]
fn a_repository_deleted_and_made_anew_heals() {
    let repository = Repository::with(&[("a.yaml", "1"), ("b.yaml", "1")]);
    let mut mirror = mirror(&repository, "");
    accepted(&mut mirror);
    repository.delete();
    assert!(matches!(mirror.look(), Err(GitError::NotARepository { .. })));
    repository.init();
    assert_eq!(mirror.look().unwrap(), Look::Empty);
    repository.commit("Afresh", &[("a.yaml", "2")]);
    let moved = accepted(&mut mirror);
    assert!(moved.rewritten);
    assert_eq!(paths(&moved), [("a.yaml", true), ("b.yaml", false)]);
}

#[test]
fn a_lost_mirror_of_a_rewritten_branch_still_tells_what_is_gone() {
    let repository = Repository::with(&[("a.yaml", "1"), ("b.yaml", "1")]);
    let mut mirror = mirror(&repository, "");
    accepted(&mut mirror);
    repository.delete();
    repository.init();
    repository.commit("Afresh", &[("a.yaml", "2")]);
    fs::remove_dir_all(state(&repository).join("mirror.git")).unwrap();
    let _ = mirror.look();
    let moved = accepted(&mut mirror);
    assert!(moved.rewritten);
    assert_eq!(paths(&moved), [("a.yaml", true), ("b.yaml", false)]);
}

#[test]
fn a_shallow_clone_is_refused() {
    let repository = Repository::with(&[("a.yaml", "1")]);
    repository.commit("Second", &[("a.yaml", "2")]);
    let url = format!("file://{}", repository.location());
    repository.git(&["clone", "--quiet", "--depth=1", &url, "../shallow"]);
    let shallow = repository.home().join("shallow");
    let mut mirror = Mirror::open(source(shallow.to_str().unwrap(), ""), &state(&repository)).unwrap();
    assert!(matches!(mirror.look(), Err(GitError::Shallow { .. })));
}

#[test]
fn a_repository_of_another_user_is_named_as_such() {
    let repository = Repository::with(&[("a.yaml", "1")]);
    // Only root may give files away; for other users there is nothing to test.
    if std::os::unix::fs::chown(repository.path(), Some(12_345), None).is_err() {
        return;
    }
    std::os::unix::fs::chown(repository.path().join(".git"), Some(12_345), None).unwrap();
    let error = mirror(&repository, "").look().unwrap_err();
    assert!(matches!(error, GitError::Owner { .. }), "{error}");
    assert!(error.hint().contains("run as its owner"));
}

#[test]
fn what_is_not_a_plan_file_is_carried_as_such_and_not_read() {
    let repository = Repository::with(&[
        ("ok.yaml", "ok"),
        ("lfs.yaml", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
        ("huge.yaml", &"x".repeat(3 << 20)),
        ("edge.yaml", &"x".repeat(FILE_BYTES_MAX as usize)),
    ]);
    std::os::unix::fs::symlink("ok.yaml", repository.path().join("link.yaml")).unwrap();
    let tip = repository.commit_all("Link");
    let mut reader = Reader::open(source(&repository.location(), ""), &state(&repository)).unwrap();
    let Sight::Moved(snapshot) = reader.see().unwrap() else { panic!("nothing seen") };
    let now = |path: &str| snapshot.changes[path].now.clone();
    assert_eq!(bytes(now("ok.yaml").as_ref()), b"ok");
    assert_eq!(bytes(now("edge.yaml").as_ref()).len() as u64, FILE_BYTES_MAX);
    assert_eq!(now("huge.yaml"), Some(Content::TooLarge { size: 3 << 20 }));
    assert_eq!(now("lfs.yaml"), Some(Content::LfsPointer));
    assert_eq!(now("link.yaml"), Some(Content::Symlink));
    assert_eq!(snapshot.changes["link.yaml"].versions[0].commit, tip);
    assert_eq!(snapshot.commits[&tip].subject, "Link");
    reader.accept();
    assert_eq!(reader.see().unwrap(), Sight::Unchanged { tip });
}

#[test]
fn many_fetches_leave_few_packs_and_every_object() {
    let repository = Repository::with(&[("a.yaml", "0")]);
    let mut mirror = mirror(&repository, "");
    accepted(&mut mirror);
    mirror.tidy().unwrap();
    let mut last = String::new();
    for count in 0..90 {
        last = repository.commit("Change", &[("a.yaml", &count.to_string())]);
        accepted(&mut mirror);
        mirror.tidy().unwrap();
    }
    let packs = fs::read_dir(state(&repository).join("mirror.git/objects/pack")).unwrap();
    // A pack and its index each: the first, two of 41 fetches, and the fetches since.
    assert!(packs.count() <= 2 * (3 + 90 - 82));
    assert_eq!(mirror.versions_of("a.yaml", &last, None, 500).unwrap().len(), 50);
    let everything = git2::Repository::open_bare(state(&repository).join("mirror.git")).unwrap();
    let mut walk = everything.revwalk().unwrap();
    walk.push(git2::Oid::from_str(&last).unwrap()).unwrap();
    let whole = walk.map(|id| everything.find_commit(id.unwrap()).unwrap().tree().unwrap());
    let blobs = whole.map(|tree| everything.find_blob(tree.get_name("a.yaml").unwrap().id()).unwrap().size());
    assert_eq!(blobs.filter(|size| *size > 0).count(), 91);
}
