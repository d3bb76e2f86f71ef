//! Servers that are away or fall silent: what was sent lands once, and nothing is left behind.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use tidegate::git::{Access, Fault, GitError, Limits, Published, PushError};

use super::bed::{Bed, WEB, landed, noting, options, refused, says};

fn fault(error: PushError) -> Fault {
    match error {
        PushError::Unreachable(GitError::Network { fault, .. }) => *fault,
        other => panic!("no fault of the network: {other:?}"),
    }
}

/// Limits that a test can wait for.
fn soon() -> Limits {
    Limits { look: Duration::from_secs(5), fetch: Duration::from_secs(2), ..Limits::default() }
}

#[test]
fn nobody_listens_and_later_somebody_does() {
    let bed = Bed::http();
    let (program, children) = noting(bed.repository.home());
    let access = Access { program: Some(program), ..bed.access() };
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let source = bed.source_with(&format!("http://{free}/origin.git"), access);
    let mut publisher = bed.publisher_of(&source, options());
    let before = std::fs::read_dir("/proc/self/fd").unwrap().count();
    for _ in 0..20 {
        assert!(matches!(fault(refused(publisher.publish(&mut says(WEB, "2\n")))), Fault::Unreachable { .. }));
    }
    let after = std::fs::read_dir("/proc/self/fd").unwrap().count();
    // Tests beside this one open some, too.
    assert!(after < before + 20, "{before} descriptors became {after}");
    assert_eq!(children(), (20, false), "each try ends its child");
    assert!(bed.leftovers().is_empty());
    let relay = std::net::TcpListener::bind(free).unwrap();
    let target = bed.http_server().address();
    let passed = std::thread::spawn(move || {
        for _ in 0..2 {
            let (near, _) = relay.accept().unwrap();
            let far = std::net::TcpStream::connect(target).unwrap();
            let (mut up, mut down) = ((near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near));
            std::thread::spawn(move || std::io::copy(&mut up.0, &mut up.1));
            std::thread::spawn(move || std::io::copy(&mut down.0, &mut down.1));
        }
    });
    landed(publisher.publish(&mut says(WEB, "2\n")));
    drop(passed);
}

#[test]
fn a_push_whose_answer_is_lost_has_landed_once() {
    let bed = Bed::http();
    let (program, children) = noting(bed.repository.home());
    let access = Access { program: Some(program), limits: soon(), ..bed.access() };
    let mut publisher = bed.publisher_of(&bed.source_with(&bed.url(), access), options());
    let before = bed.tip();
    bed.http_server().rule(|rules| rules.swallow = true);
    let begun = Instant::now();
    let published = publisher.publish(&mut says(WEB, "2\n")).unwrap();
    assert_eq!(published, Published::Landed { commit: bed.tip(), onto: before.clone() });
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(bed.git(&["rev-list", "--count", &format!("{before}..main")]), "1");
    assert!(!children().1);
    assert!(bed.leftovers().is_empty());
}

#[test]
fn a_push_whose_answer_is_lost_with_the_server_is_not_repeated_when_it_is_back() {
    let bed = Bed::ssh();
    // The reference has moved, and nobody says so.
    bed.hook("reference-transaction", "[ \"$1\" = committed ] || exit 0\nsleep 30");
    let access = Access { limits: soon(), ..bed.access() };
    let mut publisher = bed.publisher_of(&bed.source_with(&bed.url(), access), options());
    publisher.prepare().unwrap();
    let before = bed.tip();
    landed(publisher.publish(&mut says(WEB, "2\n")));
    assert_eq!(bed.git(&["rev-list", "--count", &format!("{before}..main")]), "1");
    assert!(matches!(publisher.publish(&mut says(WEB, "2\n")).unwrap(), Published::Nothing { .. }));
}

#[test]
fn a_server_that_never_takes_the_push_costs_a_deadline_and_no_commit() {
    let bed = Bed::http();
    let access = Access { limits: soon(), ..bed.access() };
    let mut publisher = bed.publisher_of(&bed.source_with(&bed.url(), access), options());
    bed.hook("pre-receive", "sleep 5; exit 1");
    let before = bed.tip();
    assert_eq!(fault(refused(publisher.publish(&mut says(WEB, "2\n")))), Fault::Timeout { limit_s: 2 });
    assert_eq!(bed.tip(), before);
    std::fs::remove_file(bed.bare.join("hooks/pre-receive")).unwrap();
    landed(publisher.publish(&mut says(WEB, "2\n")));
    bed.is_linear_and_whole();
}

#[test]
fn answers_that_are_no_git_are_typed() {
    let bed = Bed::http();
    let mut publisher = bed.publisher();
    publisher.prepare().unwrap();
    let answer = |status: &str, body: &str| {
        let kind = "Content-Type: text/plain\r\n".to_owned();
        bed.http_server().rule(|rules| rules.push_instead = Some((status.into(), kind, body.into())));
    };
    answer("503 Service Unavailable", "later");
    assert!(matches!(fault(refused(publisher.publish(&mut says(WEB, "2\n")))), Fault::Busy { status: 503, .. }));
    answer("200 OK", "welcome");
    assert!(matches!(fault(refused(publisher.publish(&mut says(WEB, "2\n")))), Fault::Server { .. }));
    answer("403 Forbidden", "this token may \u{7}only read");
    let error = refused(publisher.publish(&mut says(WEB, "2\n")));
    let PushError::ReadOnlyCredentials { words, .. } = error else { panic!("{error:?}") };
    assert_eq!(words, "this token may \\u{7}only read");
}

#[test]
fn a_mirror_that_was_garbled_is_fetched_anew() {
    let bed = Bed::file();
    let state = bed.repository.home().join("state");
    let mut publisher = tidegate::git::Publisher::open(&bed.source(), options(), &state).unwrap();
    landed(publisher.publish(&mut says(WEB, "2\n")));
    for pack in std::fs::read_dir(state.join("mirror.git/objects/pack")).unwrap().flatten() {
        std::fs::remove_file(pack.path()).unwrap();
    }
    bed.push("Meanwhile", &[("plans/other.yaml", "1\n")]);
    drop(publisher);
    let mut publisher = tidegate::git::Publisher::open(&bed.source(), options(), &state).unwrap();
    // The first try may be what finds out.
    let first = publisher.publish(&mut says(WEB, "3\n"));
    landed(first.or_else(|_| publisher.publish(&mut says(WEB, "3\n"))));
    bed.is_linear_and_whole();
}
