//! SSH: which hosts are trusted, which keys are let in, and what a server says.

use std::path::Path;
use std::process::Command;

use tidegate::git::{Access, Fault, Look, SourceError};

use super::support::repository::Repository;
use super::support::sshd::{KINDS, Sshd, key};
use super::{access, fault, mirror, moved, plans, push, source};

fn with(server: &Sshd, lines: &[String]) -> Access {
    Access { ssh_key: Some(server.client_key()), known_hosts: Some(server.known_hosts(lines)), ..access() }
}

fn known(server: &Sshd, kind: &str) -> String {
    format!("{} {}", server.name(), server.host_key(kind))
}

#[test]
fn a_push_is_seen_whatever_kind_of_host_key_is_known() {
    let (repository, bare) = plans();
    let server = Sshd::with(repository.home(), &KINDS);
    for kind in KINDS {
        let mut mirror = mirror(&repository, &server.url(&bare), with(&server, &[known(&server, kind)]));
        assert_eq!(moved(&mut mirror), repository.tip(), "{kind}");
        assert_eq!(mirror.look().unwrap(), Look::Unchanged(repository.tip()));
        let tip = push(&repository, kind);
        assert_eq!(moved(&mut mirror), tip, "{kind}");
    }
}

#[test]
fn known_hosts_may_be_hashed_or_patterns() {
    let (repository, bare) = plans();
    let server = Sshd::start(repository.home());
    let file = server.known_hosts(&[known(&server, "ed25519")]);
    assert!(Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file).output().unwrap().status.success());
    let hashed = std::fs::read_to_string(&file).unwrap();
    assert!(hashed.starts_with("|1|"), "{hashed}");
    let pattern = format!("[127.0.0.?]:* {}", server.host_key("ed25519"));
    for line in [hashed, pattern] {
        let mut mirror = mirror(&repository, &server.url(&bare), with(&server, &[line]));
        assert_eq!(moved(&mut mirror), repository.tip());
    }
}

#[test]
fn a_host_that_is_not_known_by_its_key_is_not_spoken_to() {
    let (repository, bare) = plans();
    let server = Sshd::start(repository.home());
    let other = repository.home().join("other");
    key(&other, "ed25519", "");
    let other = std::fs::read_to_string(other.with_extension("pub")).unwrap();
    let look = |lines: &[String]| fault(&mut mirror(&repository, &server.url(&bare), with(&server, lines)));
    let elsewhere = format!("[127.0.0.1]:1 {}", server.host_key("ed25519"));
    assert!(matches!(look(&[elsewhere]), Fault::HostKeyUnknown { .. }));
    assert!(matches!(look(&[]), Fault::HostKeyUnknown { .. }));
    let changed = format!("{} {}", server.name(), other.trim_end());
    assert!(matches!(look(std::slice::from_ref(&changed)), Fault::HostKeyChanged { .. }));
    let revoked = format!("@revoked * {}", server.host_key("ed25519"));
    assert!(matches!(look(&[known(&server, "ed25519"), revoked]), Fault::HostKeyRevoked { .. }));
    let authority = format!("@cert-authority * {}", server.host_key("ed25519"));
    let refused = look(&[authority]).to_string();
    assert!(refused.contains("@cert-authority"), "{refused}");
    assert!(!server.log().contains("Accepted publickey"), "{}", server.log());
}

#[test]
fn keys_are_read_anew_and_a_wrong_one_is_refused() {
    let (repository, bare) = plans();
    let server = Sshd::start(repository.home());
    let file = repository.home().join("key");
    let stranger = repository.home().join("stranger");
    key(&stranger, "ed25519", "");
    std::fs::copy(&stranger, &file).unwrap();
    let access = Access { ssh_key: Some(file.clone()), ..with(&server, &[known(&server, "ed25519")]) };
    let mut mirror = mirror(&repository, &server.url(&bare), access);
    assert_eq!(fault(&mut mirror), Fault::Refused);
    std::fs::copy(server.client_key(), &file).unwrap();
    assert_eq!(moved(&mut mirror), repository.tip());
    std::fs::write(&file, "no key").unwrap();
    assert!(matches!(fault(&mut mirror), Fault::Unusable { .. }));
}

#[test]
fn keys_of_all_kinds_and_with_a_passphrase_are_let_in() {
    let (repository, bare) = plans();
    let server = Sshd::start(repository.home());
    let let_in = |path: &Path| {
        let public = std::fs::read_to_string(path.with_extension("pub")).unwrap();
        std::fs::write(server.authorized_keys(), public).unwrap();
    };
    let passphrase = repository.home().join("passphrase");
    std::fs::write(&passphrase, "open sesame\n").unwrap();
    for (kind, word) in [("ecdsa", ""), ("rsa", ""), ("ed25519", "open sesame"), ("rsa", "open sesame")] {
        let path = repository.home().join(format!("{kind}{}", word.len()));
        key(&path, kind, word);
        let_in(&path);
        let access = Access {
            ssh_key: Some(path),
            ssh_passphrase_file: (!word.is_empty()).then(|| passphrase.clone()),
            ..with(&server, &[known(&server, "ed25519")])
        };
        let mut mirror = mirror(&repository, &server.url(&bare), access.clone());
        assert_eq!(moved(&mut mirror), repository.tip(), "{kind} {word}");
        if !word.is_empty() {
            let without = Access { ssh_passphrase_file: None, ..access };
            let refused = fault(&mut super::mirror(&repository, &server.url(&bare), without));
            assert!(matches!(refused, Fault::Unusable { .. }), "{refused:?}");
        }
    }
}

#[test]
fn a_repository_that_is_not_there_is_told_from_one_without_a_branch() {
    let repository = Repository::empty();
    let server = Sshd::start(repository.home());
    let access = with(&server, &[known(&server, "ed25519")]);
    let mut absent = mirror(&repository, &server.url(&repository.home().join("absent.git")), access.clone());
    assert!(matches!(fault(&mut absent), Fault::NotFound { .. }));
    let bare = repository.bare();
    let mut mirror = mirror(&repository, &server.url(&bare), access);
    assert_eq!(mirror.look().unwrap(), Look::Empty);
}

#[test]
fn without_known_hosts_nothing_is_followed() {
    let refused = source("ssh://git@127.0.0.1/plans", access()).unwrap_err();
    assert!(matches!(refused, SourceError::Missing { .. }), "{refused}");
}
