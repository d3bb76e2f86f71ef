//! Commits that are signed, and tips that do not count.

use std::path::PathBuf;

use tidegate::git::{
    Look, Mirror, PublishOptions, Publisher, PushError, SigningKey, Source, Trust, Verify, VerifyMode,
};

use super::bed::{Bed, WEB, landed, options, refused, says};
use super::support::signing::SshKey;

fn key_file(bed: &Bed, name: &str) -> PathBuf {
    bed.repository.home().join(name)
}

fn verified(bed: &Bed, keys: &str) -> Source {
    let file = key_file(bed, "allowed");
    std::fs::write(&file, keys).unwrap();
    let verify = Verify { mode: VerifyMode::Every, keys: vec![file] };
    bed.source().trusting(Trust { verify: Some(verify), ..Trust::default() })
}

fn signing(bed: &Bed, source: &Source, name: &str) -> Publisher {
    let signing_key = Some(SigningKey::in_file(&key_file(bed, name)));
    bed.publisher_of(source, PublishOptions { signing_key, ..options() })
}

/// A key that can be read: half of all P-521 keys, and few others, begin with a zero byte that ssh-keygen leaves out, and
/// the library asks for all bytes.
fn usable(bed: &Bed, at: usize, kind: &[&str]) -> (String, SshKey) {
    let made = (0..40).map(|n| format!("key{at}-{n}")).map(|name| (SshKey::new(&bed.repository, &name, kind), name));
    let mut read = made.filter(|(_, name)| SigningKey::in_file(&key_file(bed, name)).check().is_ok());
    let (key, name) = read.next().expect("a key that can be read");
    (name, key)
}

#[test]
fn a_signed_commit_counts_for_git_and_for_the_follower() {
    let kinds: [&[&str]; 4] = [&["ed25519"], &["ecdsa"], &["ecdsa", "-b384"], &["ecdsa", "-b521"]];
    let bed = Bed::file();
    let keys: Vec<(String, SshKey)> = kinds.iter().enumerate().map(|(at, kind)| usable(&bed, at, kind)).collect();
    let source = verified(&bed, &keys.iter().map(|(_, key)| key.line("")).collect::<String>());
    let begin = keys[0].1.commit(&bed.repository, "Begin", &[("plans/begin.yaml", "")]);
    bed.repository.push(false);
    let mut follower = Mirror::open(source.clone(), &key_file(&bed, "follower")).unwrap();
    let Look::Moved(moved) = follower.look().unwrap() else { panic!("{begin} does not count") };
    follower.accept(&moved);
    for (at, kind) in kinds.iter().enumerate() {
        let name = &keys[at].0;
        let commit = landed(signing(&bed, &source, name).publish(&mut says(WEB, &format!("{at}\n"))));
        let allowed = format!("gpg.ssh.allowedSignersFile={}", key_file(&bed, "allowed").display());
        bed.git(&["-c", &allowed, "verify-commit", &commit]);
        let Look::Moved(moved) = follower.look().unwrap() else { panic!("{kind:?} does not count") };
        assert_eq!((&moved.tip, &moved.refused), (&commit, &None), "{kind:?}");
        follower.accept(&moved);
    }
    bed.is_linear_and_whole();
}

#[test]
fn nothing_is_pushed_that_the_follower_would_not_accept() {
    let bed = Bed::file();
    let ada = SshKey::new(&bed.repository, "ada", &["ed25519"]);
    SshKey::new(&bed.repository, "bob", &["ed25519"]);
    let source = verified(&bed, &ada.line(""));
    let error = refused(signing(&bed, &source, "ada").publish(&mut says(WEB, "2\n")));
    assert!(matches!(error, PushError::Tip(_)), "a signed commit would hide an unsigned one: {error:?}");
    let tip = ada.commit(&bed.repository, "Signed", &[(WEB, "3\n")]);
    bed.repository.push(false);
    let error = refused(bed.publisher_of(&source, options()).publish(&mut says(WEB, "2\n")));
    assert_eq!(error.to_string(), "the commit would not count: it is not signed");
    let error = refused(signing(&bed, &source, "bob").publish(&mut says(WEB, "2\n")));
    assert!(error.to_string().starts_with("the commit would not count: it is signed by an unknown key"), "{error}");
    assert_eq!(bed.tip(), tip);
    landed(signing(&bed, &source, "ada").publish(&mut says(WEB, "2\n")));
}

#[test]
fn a_key_that_cannot_sign_is_told_before_anything_is_pushed() {
    let bed = Bed::file();
    super::support::sshd::key(&key_file(&bed, "closed"), "ed25519", "sesame");
    super::support::sshd::key(&key_file(&bed, "rsa"), "rsa", "");
    std::fs::write(key_file(&bed, "nonsense"), "no key").unwrap();
    std::fs::write(key_file(&bed, "bytes"), [0xff; 10]).unwrap();
    for (name, says_why) in [
        ("closed", "it has a passphrase"),
        ("rsa", "RSA keys are not supported"),
        ("nonsense", "it is no private OpenSSH key"),
        ("bytes", "it is no text"),
        ("absent", "No such file"),
    ] {
        let error = SigningKey::in_file(&key_file(&bed, name)).check().unwrap_err();
        assert!(error.to_string().contains(says_why) && !error.to_string().contains("sesame"), "{error}");
        let error = refused(signing(&bed, &bed.source(), name).publish(&mut says(WEB, "2\n")));
        assert!(matches!(error, PushError::Key(_)), "{error:?}");
    }
    // A key that was changed is used at once.
    let ada = SshKey::new(&bed.repository, "ada", &["ed25519"]);
    let mut publisher = signing(&bed, &bed.source(), "rotated");
    refused(publisher.publish(&mut says(WEB, "2\n")));
    std::fs::copy(key_file(&bed, "ada"), key_file(&bed, "rotated")).unwrap();
    let commit = landed(publisher.publish(&mut says(WEB, "2\n")));
    verified(&bed, &ada.line(""));
    let allowed = format!("gpg.ssh.allowedSignersFile={}", key_file(&bed, "allowed").display());
    bed.git(&["-c", &allowed, "verify-commit", &commit]);
}
