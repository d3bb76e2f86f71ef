//! Plain HTTP: looks, fetches, credentials, redirects, refusals, and a connection that is used again.

use std::path::Path;
use std::time::{Duration, Instant};

use tidegate::git::{Access, Fault, GitError, Limits, Look, Operation, Secret, Sight, Source, follow};

use super::support::git_http::GitHttp;
use super::support::repository::Repository;
use super::{access, fault, files, mirror, moved, plans, push, root, source};

#[test]
fn a_push_is_seen_and_only_what_is_new_is_fetched() {
    let (repository, bare) = plans();
    let server = GitHttp::start(root(&bare));
    let mut mirror = mirror(&repository, &server.url("origin.git"), access());
    assert_eq!(moved(&mut mirror), repository.tip());
    assert_eq!(mirror.look().unwrap(), Look::Unchanged(repository.tip()));
    for text in ["2", "3", "4"] {
        let tip = push(&repository, text);
        assert_eq!(moved(&mut mirror), tip);
        assert_eq!(mirror.look().unwrap(), Look::Unchanged(tip));
    }
    let requests = server.requests();
    let posts = requests.iter().filter(|request| request.method == "POST").count();
    assert_eq!((requests.len() - posts, posts), (8, 4), "one listing a look, one request a fetch");
    assert!(requests.iter().all(|request| request.connection == 0), "one connection for all");
    let counted = mirror.source().meter.requests();
    assert_eq!(counted, [(Operation::Look, "ok", 8), (Operation::Fetch, "ok", 4)]);
}

#[test]
fn a_server_may_end_connections_with_and_without_a_word() {
    let (repository, bare) = plans();
    let server = GitHttp::start(root(&bare));
    let mut mirror = mirror(&repository, &server.url("origin.git"), access());
    server.rule(|rules| rules.close = true);
    moved(&mut mirror);
    server.rule(|rules| (rules.close, rules.hang_up) = (false, true));
    for text in ["2", "3"] {
        let tip = push(&repository, text);
        assert_eq!(moved(&mut mirror), tip);
        assert_eq!(mirror.look().unwrap(), Look::Unchanged(tip));
    }
}

#[test]
fn branches_come_go_and_are_misspelt() {
    let repository = Repository::empty();
    let bare = repository.bare();
    let server = GitHttp::start(root(&bare));
    let mut mirror = mirror(&repository, &server.url("origin.git"), access());
    assert_eq!(mirror.look().unwrap(), Look::Empty);
    repository.commit("Add", &[("plans/web.yaml", "1")]);
    repository.git(&["push", "--quiet", "origin", "main:mian"]);
    match mirror.look() {
        Err(GitError::BranchUnknown { near, .. }) => assert_eq!(near.as_deref(), Some("mian")),
        other => panic!("{other:?}"),
    }
    repository.push(false);
    assert_eq!(moved(&mut mirror), repository.tip());
    std::fs::remove_file(bare.join("refs/heads/main")).unwrap();
    assert_eq!(mirror.look().unwrap(), Look::BranchGone);
    repository.commit("Rewrite", &[("plans/web.yaml", "2")]);
    repository.git(&["commit", "--quiet", "--amend", "-m", "Afresh"]);
    repository.push(true);
    assert_eq!(moved(&mut mirror), repository.tip());
}

#[test]
fn a_branch_beside_ours_may_have_any_name() {
    let (repository, bare) = plans();
    // A branch whose name is not UTF-8, as the file of a packed reference holds it.
    repository.git(&["--git-dir", bare.to_str().unwrap(), "pack-refs", "--all"]);
    let mut packed = std::fs::read(bare.join("packed-refs")).unwrap();
    let head = packed.iter().position(|byte| *byte == b'\n').unwrap();
    let rest = packed.split_off(head + 1);
    packed.extend_from_slice(format!("{} refs/heads/", repository.tip()).as_bytes());
    packed.extend_from_slice(b"gr\xfcn\n");
    packed.extend_from_slice(&rest);
    std::fs::write(bare.join("packed-refs"), packed).unwrap();
    let server = GitHttp::start(root(&bare));
    let mut mirror = mirror(&repository, &server.url("origin.git"), access());
    assert_eq!(moved(&mut mirror), repository.tip());
}

#[test]
fn a_mirror_that_lost_or_garbled_its_objects_is_cloned_anew() {
    let (repository, bare) = plans();
    let server = GitHttp::start(root(&bare));
    let mut mirror = mirror(&repository, &server.url("origin.git"), access());
    moved(&mut mirror);
    for (text, damage) in [("2", 0), ("3", 30)] {
        let packs: Vec<_> = files(repository.home(), ".pack").into_iter().filter(|path| in_use(path)).collect();
        assert!(!packs.is_empty());
        for pack in packs {
            let mut bytes = std::fs::read(&pack).unwrap();
            std::fs::remove_file(&pack).unwrap();
            if damage > 0 {
                bytes[damage..].fill(0xff);
                std::fs::write(&pack, bytes).unwrap();
            }
        }
        let tip = push(&repository, text);
        assert_eq!(moved(&mut mirror), tip, "{text}");
        assert_eq!(mirror.look().unwrap(), Look::Unchanged(tip));
    }
}

/// Whether a file is of the mirror, not of the one that was set aside.
fn in_use(path: &Path) -> bool {
    path.iter().any(|name| name == "mirror.git")
}

#[tokio::test]
async fn who_pushes_and_asks_is_seen_soon() {
    let (repository, bare) = plans();
    let server = GitHttp::start(root(&bare));
    let hourly = Source { interval: Duration::from_secs(3600), ..source(&server.url("origin.git"), access()).unwrap() };
    let (ask, asked) = tokio::sync::watch::channel(0);
    let (mut seen, thread) = follow(hourly, repository.home().join("state"), asked).unwrap();
    let mut took = Vec::new();
    for number in 0..20 {
        let begun = Instant::now();
        let snapshot = loop {
            let look = tokio::time::timeout(Duration::from_secs(20), seen.recv()).await.unwrap().unwrap();
            if let Sight::Moved(snapshot) = look.outcome.unwrap() {
                break snapshot;
            }
        };
        took.push(begun.elapsed());
        assert_eq!(snapshot.tip, repository.tip());
        push(&repository, &number.to_string());
        ask.send_modify(|count| *count += 1);
    }
    took.sort();
    println!("asked → snapshot received: median {:?}, worst {:?}", took[10], took[19]);
    drop(seen);
    thread.join().unwrap();
}

/// Replaces a file as an editor or a sync tool does.
fn replace(file: &Path, text: &str) {
    let next = file.with_extension("next");
    std::fs::write(&next, text).unwrap();
    std::fs::rename(next, file).unwrap();
}

#[test]
fn credentials_are_read_anew_and_asked_for_once() {
    let (repository, bare) = plans();
    let server = GitHttp::start(root(&bare));
    server.rule(|rules| rules.basic = Some(("x-access-token".into(), "sesame-1".into())));
    let file = repository.home().join("token");
    let mut anonymous = mirror(&repository, &server.url("origin.git"), access());
    assert_eq!(fault(&mut anonymous), Fault::Anonymous);
    let with_file = Access { token_file: Some(file.clone()), ..access() };
    let mut mirror = mirror(&repository, &server.url("origin.git"), with_file);
    assert!(matches!(fault(&mut mirror), Fault::Credentials { .. }));
    replace(&file, "sesame-0\n");
    let before = server.requests().len();
    assert_eq!(fault(&mut mirror), Fault::Refused);
    assert_eq!(server.requests().len(), before + 1, "wrong credentials are tried once");
    replace(&file, "sesame-1\n");
    assert_eq!(moved(&mut mirror), repository.tip());
    assert_eq!(server.requests().len(), before + 3, "right ones go with the first request");
    server.rule(|rules| rules.basic = Some(("x-access-token".into(), "sesame-2".into())));
    assert_eq!(fault(&mut mirror), Fault::Refused);
    replace(&file, "sesame-2\n");
    let tip = push(&repository, "2");
    assert_eq!(moved(&mut mirror), tip);
}

#[test]
fn a_secret_of_kubernetes_may_be_swapped_under_its_link() {
    let (repository, bare) = plans();
    let server = GitHttp::start(root(&bare));
    server.rule(|rules| rules.basic = Some(("ann".into(), "sesame-2".into())));
    let mount = repository.home().join("secret");
    for (version, text) in [("1", "sesame-1"), ("2", "sesame-2")] {
        std::fs::create_dir_all(mount.join(version)).unwrap();
        std::fs::write(mount.join(version).join("password"), text).unwrap();
    }
    let point = |version: &str| {
        std::os::unix::fs::symlink(version, mount.join("..next")).unwrap();
        std::fs::rename(mount.join("..next"), mount.join("..data")).unwrap();
    };
    point("1");
    std::os::unix::fs::symlink("..data/password", mount.join("password")).unwrap();
    let with = Access { username: Some("ann".into()), password_file: Some(mount.join("password")), ..access() };
    let mut mirror = mirror(&repository, &server.url("origin.git"), with);
    assert_eq!(fault(&mut mirror), Fault::Refused);
    point("2");
    assert_eq!(moved(&mut mirror), repository.tip());
}

#[test]
fn a_redirect_is_an_error_and_nobody_else_gets_the_token() {
    let (repository, bare) = plans();
    let (server, other) = (GitHttp::start(root(&bare)), GitHttp::start(root(&bare)));
    let to = other.url("origin.git");
    for status in ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"] {
        let location = format!("Location: {to}/info/refs?service=git-upload-pack\r\n");
        server.rule(|rules| rules.instead = Some((status.into(), location, String::new())));
        let with = Access { token: Some(Secret::new("sesame")), ..access() };
        let mut mirror = mirror(&repository, &server.url("origin.git"), with);
        assert_eq!(fault(&mut mirror), Fault::Redirected { to: to.clone() });
    }
    assert!(other.requests().is_empty());
}

#[test]
fn every_refusal_has_its_name_and_the_server_its_words() {
    let (repository, bare) = plans();
    let server = GitHttp::start(root(&bare));
    let plain = "Content-Type: text/plain\r\n";
    let said = "\r\n  the \u{1b}[2Jplans are closed  \r\nsecond line";
    let words = "the \\u{1b}[2Jplans are closed".to_owned();
    let busy = |status, retry_after_s| Fault::Busy { status, retry_after_s };
    let mut mirror = mirror(&repository, &server.url("origin.git"), access());
    for (status, headers, expected) in [
        ("403 Forbidden", plain, Fault::Forbidden { words: words.clone() }),
        ("403 Forbidden", "X-RateLimit-Remaining: 0\r\n", busy(403, None)),
        ("404 Not Found", plain, Fault::NotFound { words: words.clone() }),
        ("429 Too Many", "Retry-After: 7\r\n", busy(429, Some(7))),
        ("503 Unavailable", plain, busy(503, None)),
        ("500 Oops", plain, Fault::Server { what: "HTTP 500".into(), words }),
        ("500 Oops", "Content-Type: text/html\r\n", Fault::Server { what: "HTTP 500".into(), words: String::new() }),
        (
            "200 OK",
            "Content-Type: text/html\r\n",
            Fault::Server { what: "`text/html` instead of Git's protocol".into(), words: String::new() },
        ),
    ] {
        server.rule(|rules| rules.instead = Some((status.into(), headers.into(), said.into())));
        assert_eq!(fault(&mut mirror), expected, "{status}");
    }
    server.rule(|rules| rules.instead = None);
    assert_eq!(moved(&mut mirror), repository.tip());
    let counted = mirror.source().meter.requests();
    let count = |outcome| counted.iter().find(|(_, known, _)| *known == outcome).map(|(.., count)| *count);
    assert_eq!((count("busy"), count("refused"), count("server")), (Some(3), Some(1), Some(3)));
}

#[test]
fn a_repository_that_is_too_large_leaves_nothing_behind() {
    let (repository, bare) = plans();
    let noise: String = (0..400_000_u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    push(&repository, &noise);
    let server = GitHttp::start(root(&bare));
    let limits = |bytes, objects| Limits { bytes, objects, ..Limits::default() };
    for limits in [limits(64 << 10, 100), limits(64 << 20, 3)] {
        let mut mirror = mirror(&repository, &server.url("origin.git"), Access { limits, ..access() });
        assert!(matches!(fault(&mut mirror), Fault::Quota { .. }));
        let left = files(repository.home(), "_git2_");
        assert!(left.is_empty(), "{left:?}");
    }
    let mut mirror = mirror(&repository, &server.url("origin.git"), access());
    assert_eq!(moved(&mut mirror), repository.tip());
}

#[test]
fn a_look_and_a_small_fetch_are_cheap() {
    let (repository, bare) = plans();
    let server = GitHttp::start(root(&bare));
    let mut mirror = mirror(&repository, &server.url("origin.git"), access());
    moved(&mut mirror);
    let (mut looks, mut fetches) = (Vec::new(), Vec::new());
    for number in 0..20 {
        let begun = Instant::now();
        assert!(matches!(mirror.look().unwrap(), Look::Unchanged(_)));
        looks.push(begun.elapsed());
        push(&repository, &format!("n{number}"));
        let begun = Instant::now();
        moved(&mut mirror);
        fetches.push(begun.elapsed());
    }
    looks.sort();
    fetches.sort();
    println!("look: median {:?}; look and fetch of a commit: median {:?}", looks[10], fetches[10]);
    assert!(fetches[10] < Duration::from_secs(1));
}
