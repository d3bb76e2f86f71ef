//! Commits that are signed, wrongly signed, or not at all.

use std::fs;

use tidegate::git::{Look, Mirror, Objection, Refused, Trust, Verify, VerifyMode, Why};

use super::support::repository::Repository;
use super::support::signing::{Gpg, SshKey, commit_with_signature};
use super::{NONE, accepted, source, state};

/// Writes the key file.
fn trust(repository: &Repository, keys: &str) {
    fs::write(repository.home().join("keys"), keys).unwrap();
}

fn mirror(repository: &Repository, mode: VerifyMode) -> Mirror {
    let verify = Verify { mode, keys: vec![repository.home().join("keys")] };
    let source = source(&repository.location(), "").trusting(Trust { verify: Some(verify), ..Trust::default() });
    Mirror::open(source, &state(repository)).unwrap()
}

fn refused(mirror: &mut Mirror) -> Refused {
    match mirror.look().unwrap() {
        Look::Refused(refused) => refused,
        other => panic!("it was accepted: {other:?}"),
    }
}

/// Why the tip itself is refused.
fn why(mirror: &mut Mirror) -> Why {
    let refused = refused(mirror);
    match refused.objection.clone() {
        Objection::Commit { id, why } if id == refused.tip => why,
        other => panic!("not the tip's signature: {other:?}"),
    }
}

fn ada(repository: &Repository) -> SshKey {
    SshKey::new(repository, "ada", &["ed25519"])
}

#[test]
fn a_tip_counts_when_a_known_ssh_key_of_any_kind_signed_it() {
    let repository = Repository::with(&[("a.yaml", "0")]);
    let kinds: [&[&str]; 5] = [&["ed25519"], &["ecdsa"], &["ecdsa", "-b384"], &["ecdsa", "-b521"], &["rsa", "-b2048"]];
    let keys: Vec<SshKey> =
        kinds.iter().enumerate().map(|(at, kind)| SshKey::new(&repository, &format!("key{at}"), kind)).collect();
    // One as allowed_signers has it, the others as authorized_keys has them.
    let lines: Vec<String> = keys.iter().map(SshKey::public).collect();
    trust(&repository, &format!("# who may\n\nada@example.com,bob namespaces=\"git\" {}\n", lines.join("\n")));
    let mut mirror = mirror(&repository, VerifyMode::Tip);
    let told = refused(&mut mirror);
    assert_eq!(told.objection, Objection::Commit { id: repository.tip(), why: Why::Unsigned });
    assert_eq!(told.to_string(), format!("the tip {} is not accepted: it is not signed", &repository.tip()[..10]));
    for (at, key) in keys.iter().enumerate() {
        let tip = key.commit(&repository, "Change", &[("a.yaml", &at.to_string())]);
        assert_eq!(accepted(&mut mirror).tip, tip, "{:?}", kinds[at]);
    }
    let mallory = SshKey::new(&repository, "mallory", &["ed25519"]);
    mallory.commit(&repository, "Mine", &[("a.yaml", "mine")]);
    assert_eq!(why(&mut mirror), Why::UnknownKey { key: format!("SSH key {}", mallory.fingerprint()) });
}

#[test]
fn what_was_changed_or_signed_for_something_else_does_not_count() {
    let repository = Repository::with(&[("a.yaml", "0")]);
    let key = ada(&repository);
    trust(&repository, &key.line(""));
    let mut mirror = mirror(&repository, VerifyMode::Tip);
    let by_hand = commit_with_signature(&repository, |text| key.sign("git", text), "By hand");
    assert_eq!(accepted(&mut mirror).tip, by_hand);
    type Sign<'a> = &'a dyn Fn(&str) -> String;
    let cases: [(&str, Sign); 5] = [
        ("another message", &|text| key.sign("git", &text.replace("Case", "Other"))),
        ("another namespace", &|text| key.sign("file", text)),
        ("no signature", &|_| "nonsense".to_owned()),
        ("cut off", &|text| key.sign("git", text)[..120].to_owned()),
        ("X.509", &|_| "-----BEGIN SIGNED MESSAGE-----\nMIIB\n-----END SIGNED MESSAGE-----".to_owned()),
    ];
    let mut found = Vec::new();
    for (case, signature) in cases {
        commit_with_signature(&repository, signature, "Case");
        found.push((case, why(&mut mirror)));
    }
    assert!(matches!(found[0].1, Why::Mismatch { .. }), "{found:?}");
    assert!(matches!(found[1].1, Why::Mismatch { .. }), "{found:?}");
    assert_eq!((&found[2].1, &found[3].1), (&Why::Garbled, &Why::Garbled), "{found:?}");
    assert!(matches!(found[4].1, Why::Unsupported { .. }), "{found:?}");
    commit_with_signature(&repository, |text| key.sign("git", text), &"long ".repeat(300_000));
    assert!(matches!(why(&mut mirror), Why::TooLarge { .. }));
    for (_, why) in found {
        assert!(!why.hint().is_empty());
    }
}

#[test]
fn weak_keys_are_refused_in_the_file_and_in_a_signature() {
    let repository = Repository::with(&[("a.yaml", "0")]);
    let weak = SshKey::new(&repository, "weak", &["rsa", "-b1024"]);
    trust(&repository, &format!("{}{}", ada(&repository).line(""), weak.line("")));
    let mut mirror = mirror(&repository, VerifyMode::Tip);
    let told = refused(&mut mirror).to_string();
    assert!(told.ends_with("keys: line 2: RSA of 1024 bits is too weak"), "{told}");
    trust(&repository, &SshKey::new(&repository, "large", &["rsa", "-b4104"]).line(""));
    let told = refused(&mut mirror).to_string();
    assert!(told.ends_with("keys: line 1: RSA of 4104 bits is not supported, 4096 at most"), "{told}");
    trust(&repository, &SshKey::new(&repository, "bob", &["ed25519"]).line(""));
    weak.commit(&repository, "Weak", NONE);
    assert_eq!(why(&mut mirror), Why::Weak { what: "RSA of 1024 bits".to_owned() });
}

#[test]
fn a_key_taken_away_or_out_of_date_counts_at_once_and_comes_back_as_soon() {
    let repository = Repository::with(&[("a.yaml", "0")]);
    let key = ada(&repository);
    trust(&repository, &key.line(""));
    let tip = key.commit(&repository, "Signed", &[("a.yaml", "1")]);
    let mut mirror = mirror(&repository, VerifyMode::Tip);
    accepted(&mut mirror);
    assert_eq!(mirror.look().unwrap(), Look::Unchanged(tip.clone()));
    let other = SshKey::new(&repository, "bob", &["ed25519"]);
    trust(&repository, &other.line(""));
    assert!(matches!(why(&mut mirror), Why::UnknownKey { .. }));
    trust(&repository, &key.line("valid-before=\"20200101Z\""));
    assert!(matches!(why(&mut mirror), Why::KeyNotGood { .. }));
    trust(&repository, &key.line("cert-authority"));
    assert!(matches!(refused(&mut mirror).objection, Objection::Keys(_)));
    fs::remove_file(repository.home().join("keys")).unwrap();
    let told = refused(&mut mirror);
    assert!(told.to_string().contains("cannot read the keys in") && told.hint().contains("read anew"), "{told}");
    trust(&repository, &key.line(""));
    assert_eq!(mirror.look().unwrap(), Look::Unchanged(tip));
}

#[test]
fn every_commit_of_all_parents_since_the_accepted_one_must_be_signed() {
    let repository = Repository::with(&[("a.yaml", "0")]);
    let key = ada(&repository);
    trust(&repository, &key.line(""));
    key.commit(&repository, "Begin", NONE);
    let mut mirror = mirror(&repository, VerifyMode::Every);
    // At first sight there is nothing to begin from: what lies below the tip is taken as it is.
    let first = accepted(&mut mirror).tip;
    repository.branch("side");
    let unsigned = repository.commit("Slipped in", &[("b.yaml", "1")]);
    repository.branch("main");
    key.commit(&repository, "Meanwhile", &[("a.yaml", "1")]);
    key.merge(&repository, "side");
    let told = refused(&mut mirror);
    assert_eq!(told.objection, Objection::Commit { id: unsigned.clone(), why: Why::Unsigned });
    assert!(told.to_string().contains(&format!("commit {} is not signed", &unsigned[..10])), "{told}");
    drop(mirror);
    let mut again = self::mirror(&repository, VerifyMode::Every);
    let Look::Moved(moved) = again.look().unwrap() else { panic!("what was accepted is in force again") };
    assert_eq!((&moved.tip, moved.refused.as_ref()), (&first, Some(&told)));
    again.accept(&moved);
    assert_eq!(again.look().unwrap(), Look::Refused(told));
    drop(again);
    // Of the tip alone the merge is all that is asked.
    let mut tip = self::mirror(&repository, VerifyMode::Tip);
    assert_eq!(accepted(&mut tip).tip, repository.tip());
}

#[test]
fn after_a_restart_what_was_accepted_by_a_key_that_is_gone_is_not_handed_over() {
    let repository = Repository::with(&[("a.yaml", "0")]);
    let key = ada(&repository);
    trust(&repository, &key.line(""));
    key.commit(&repository, "Signed", NONE);
    let mut first = mirror(&repository, VerifyMode::Tip);
    accepted(&mut first);
    drop(first);
    trust(&repository, &SshKey::new(&repository, "bob", &["ed25519"]).line(""));
    repository.commit("Unsigned", NONE);
    assert_eq!(why(&mut mirror(&repository, VerifyMode::Tip)), Why::Unsigned);
}

#[test]
fn an_openpgp_key_or_its_subkey_signs_until_it_is_revoked() {
    let repository = Repository::with(&[("a.yaml", "0")]);
    let gpg = Gpg::new(&repository);
    let ada = gpg.key("ada@example.com", "ed25519", "never", &[]);
    let bob = gpg.key("bob@example.com", "rsa2048", "never", &[]);
    trust(&repository, &format!("{}\n\n{}\n", gpg.export(&ada), gpg.export(&bob)));
    let mut mirror = mirror(&repository, VerifyMode::Tip);
    for key in [&ada, &bob] {
        let tip = gpg.commit(key, "", "Signed", NONE);
        assert_eq!(accepted(&mut mirror).tip, tip);
    }
    gpg.run(&["--quick-add-key", &ada, "ed25519", "sign", "never"], "");
    gpg.commit(&ada, "", "By a subkey that the file does not have", NONE);
    assert!(matches!(why(&mut mirror), Why::UnknownKey { .. }));
    trust(&repository, &gpg.export(&ada));
    accepted(&mut mirror);

    gpg.run(&["--command-fd=0", "--edit-key", &ada], "key 1\nrevkey\ny\n0\n\ny\nsave\n");
    trust(&repository, &gpg.export(&ada));
    let Why::KeyNotGood { cause, .. } = why(&mut mirror) else { panic!("another fault") };
    assert_eq!(cause, "which was revoked");
    let tip = gpg.commit(&format!("{ada}!"), "", "By the primary key", NONE);
    assert_eq!(accepted(&mut mirror).tip, tip);
    let revocation = fs::read_to_string(repository.home().join(format!(".gnupg/openpgp-revocs.d/{ada}.rev"))).unwrap();
    gpg.run(&["--import"], &revocation.replace(":-----BEGIN", "-----BEGIN"));
    trust(&repository, &gpg.export(&ada));
    assert!(matches!(why(&mut mirror), Why::KeyNotGood { .. }));
}

#[test]
fn openpgp_keys_that_expired_and_weak_hashes_and_keys_do_not_count() {
    let repository = Repository::with(&[("a.yaml", "0")]);
    let gpg = Gpg::new(&repository);
    let then = "--faked-system-time=20200101T000000";
    let old = gpg.key("old@example.com", "ed25519", "1y", &[then]);
    let now = gpg.key("now@example.com", "rsa2048", "never", &[]);
    trust(&repository, &format!("{}\n{}", gpg.export(&old), gpg.export(&now)));
    let mut mirror = mirror(&repository, VerifyMode::Tip);
    gpg.commit(&old, "--faked-system-time=20200301T000000", "In time, by its own date", NONE);
    let Why::KeyNotGood { key, cause } = why(&mut mirror) else { panic!("another fault") };
    assert!(key.contains(&old) && cause.starts_with("which expired 20"), "{key} {cause}");
    gpg.commit(&now, "--digest-algo=SHA1", "Weak", NONE);
    assert_eq!(why(&mut mirror), Why::Weak { what: "SHA1".to_owned() });
    gpg.commit(&now, "--faked-system-time=20350101T000000", "Of another time", NONE);
    assert!(matches!(why(&mut mirror), Why::KeyNotGood { .. }));
    gpg.commit(&now, "", "Good", NONE);
    accepted(&mut mirror);
    for kind in ["dsa2048", "rsa1024"] {
        let weak = gpg.key(&format!("{kind}@example.com"), kind, "never", &[]);
        trust(&repository, &gpg.export(&weak));
        let told = refused(&mut mirror).to_string();
        assert!(told.contains(&weak) && told.contains("too weak"), "{told}");
    }
    let secret = gpg.run(&["--armor", "--export-secret-keys", &now], "");
    trust(&repository, &secret);
    assert!(refused(&mut mirror).to_string().contains("it is a private key"));
}
