//! The child: what it is given, and what happens when it hangs, is killed, or ends with its parent.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tidegate::git::{Access, Fault, Limits, Look, Secret};

use super::support::git_http::GitHttp;
use super::{access, fault, files, mirror, moved, plans, push, root};

/// A program that notes its process id and then is tidegate.
fn noting(home: &Path) -> (PathBuf, impl Fn() -> Vec<String>) {
    let (program, notes) = (home.join("tidegate"), home.join("children"));
    let text = format!("#!/bin/sh\necho $$ >> {}\nexec {} \"$@\"\n", notes.display(), env!("CARGO_BIN_EXE_tidegate"));
    std::fs::write(&program, text).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    let read = move || std::fs::read_to_string(&notes).unwrap().lines().map(str::to_owned).collect();
    (program, read)
}

fn kill(pid: &str) {
    assert!(std::process::Command::new("kill").args(["-9", pid]).status().unwrap().success());
}

/// Waits until a process is gone; panics where that takes 10 s.
fn gone(pid: &str) {
    let end = Instant::now() + Duration::from_secs(10);
    while Path::new("/proc").join(pid).join("exe").read_link().is_ok() {
        assert!(Instant::now() < end, "process {pid} is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn one_child_lives_long_and_holds_no_secret_where_others_look() {
    let (repository, bare) = plans();
    let server = GitHttp::start(root(&bare));
    server.rule(|rules| rules.basic = Some(("x-access-token".into(), "sesame".into())));
    let (program, children) = noting(repository.home());
    let access = Access { program: Some(program), token: Some(Secret::new("sesame")), ..access() };
    let mut mirror = mirror(&repository, &server.url("origin.git"), access);
    moved(&mut mirror);
    for text in ["2", "3"] {
        push(&repository, text);
        moved(&mut mirror);
    }
    let children = children();
    assert_eq!(children.len(), 1);
    let process = Path::new("/proc").join(&children[0]);
    let read = |name| String::from_utf8_lossy(&std::fs::read(process.join(name)).unwrap()).replace('\0', "\n");
    assert!(read("cmdline").ends_with("\ngit-child\n"), "{}", read("cmdline"));
    let environment = read("environ");
    for line in environment.lines() {
        let name = line.split('=').next().unwrap();
        // The last four are of the shell that started it here.
        let known = ["HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "PWD", "OLDPWD", "_", "SHLVL"].contains(&name);
        assert!(known, "{line}");
    }
    assert!(!environment.contains("sesame"));
    drop(mirror);
    gone(&children[0]);
}

#[test]
fn a_child_that_was_killed_is_replaced_without_a_word() {
    let (repository, bare) = plans();
    let server = GitHttp::start(root(&bare));
    let (program, children) = noting(repository.home());
    let mut mirror = mirror(&repository, &server.url("origin.git"), Access { program: Some(program), ..access() });
    moved(&mut mirror);
    kill(&children()[0]);
    gone(&children()[0]);
    let tip = push(&repository, "2");
    assert_eq!(moved(&mut mirror), tip);
    assert_eq!(children().len(), 2);
}

#[test]
fn a_server_that_is_silent_costs_a_deadline_and_a_child() {
    let (repository, bare) = plans();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/origin.git", silent.local_addr().unwrap());
    let limits = Limits { look: Duration::from_secs(1), ..Limits::default() };
    let (program, children) = noting(repository.home());
    let mut mirror = mirror(&repository, &url, Access { limits, program: Some(program), ..access() });
    let begun = Instant::now();
    assert_eq!(fault(&mut mirror), Fault::Timeout { limit_s: 1 });
    assert!(begun.elapsed() < Duration::from_secs(5));
    gone(&children()[0]);
    drop(mirror);
    let server = GitHttp::start(root(&bare));
    let mut mirror = super::mirror(&repository, &server.url("origin.git"), access());
    moved(&mut mirror);
    assert!(matches!(mirror.look().unwrap(), Look::Unchanged(_)));
}

#[test]
fn half_of_a_pack_leaves_nothing_behind() {
    let (repository, bare) = plans();
    let noise: String = (0..4000_u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    push(&repository, &noise);
    let server = GitHttp::start(root(&bare));
    server.rule(|rules| rules.stall = Some(20_000));
    let limits = Limits { fetch: Duration::from_secs(1), ..Limits::default() };
    let mut mirror = mirror(&repository, &server.url("origin.git"), Access { limits, ..access() });
    assert_eq!(fault(&mut mirror), Fault::Timeout { limit_s: 1 });
    let left = files(repository.home(), "_git2_");
    assert!(left.is_empty(), "{left:?}");
    server.rule(|rules| rules.stall = None);
    assert_eq!(moved(&mut mirror), repository.tip());
}

#[test]
fn a_listing_without_end_ends() {
    let (repository, bare) = plans();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/origin.git", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = socket.read(&mut [0; 4096]).unwrap();
        let kind = "application/x-git-upload-pack-advertisement";
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n001e# service=git-upload-pack\n0000");
        socket.write_all(head.as_bytes()).unwrap();
        let line = format!("{:04x}{} refs/heads/{}\n", 4 + 40 + 1 + 11 + 200 + 1, "4".repeat(40), "a".repeat(200));
        let mut sent = 0;
        while socket.write_all(line.as_bytes()).is_ok() {
            sent += line.len();
        }
        sent
    });
    let mut mirror = mirror(&repository, &url, access());
    assert!(matches!(fault(&mut mirror), Fault::Quota { .. }));
    drop(mirror);
    assert!(server.join().unwrap() > 32 << 20);
    let server = GitHttp::start(root(&bare));
    moved(&mut super::mirror(&repository, &server.url("origin.git"), access()));
}

#[test]
fn a_program_that_is_no_child_is_told_apart() {
    let (repository, bare) = plans();
    let server = GitHttp::start(root(&bare));
    for program in ["/bin/true", "/nonexistent/tidegate", "/bin/echo"] {
        let access = Access { program: Some(program.into()), ..access() };
        let mut mirror = mirror(&repository, &server.url("origin.git"), access);
        assert!(matches!(fault(&mut mirror), Fault::Died { .. }), "{program}");
    }
}

#[test]
fn nobody_listens() {
    let (repository, _) = plans();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut refused = mirror(&repository, &format!("http://{free}/origin.git"), access());
    assert!(matches!(fault(&mut refused), Fault::Unreachable { .. }));
    let mut nameless = mirror(&repository, "https://plans.invalid/origin.git", access());
    assert!(matches!(fault(&mut nameless), Fault::Unreachable { .. }));
}
