//! Kubeconfigs: a context is found or refused with words that quote no secret.

use std::cell::OnceCell;

use tempfile::TempDir;
use tidegate::cluster::{Access, ConnectError};

use crate::run::{Target, fuzz, no_reshape};

/// Stands wherever the corpus has something secret.
const SECRET: &str = "kept-secret-7d1f";

#[test]
fn kubeconfigs_are_read_or_refused() {
    fuzz(&Target {
        name: "kubeconfig",
        words: &[
            "apiVersion: v1",
            "kind: Config",
            "current-context: a",
            "contexts:",
            "clusters:",
            "users:",
            "- name: a",
            "context:",
            "cluster: a",
            "user: a",
            "token: kept-secret-7d1f",
            "password: kept-secret-7d1f",
            "client-key-data: kept-secret-7d1f",
            "exec:",
            "command: sh",
            "args: [kept-secret-7d1f]",
            "kept-secret-7d1f",
            "env:",
            "auth-provider:",
            "certificate-authority-data: \"\"",
            "&a ",
            "*a",
            "<<: *a",
            "null",
            "~",
            "!!binary ",
            "---\n",
            "insecure-skip-tls-verify: maybe",
            "extensions: []",
            "namespace: a",
        ],
        reshape: no_reshape,
        check,
    });
}

fn check(input: &[u8]) -> String {
    thread_local!(static HOME: OnceCell<TempDir> = const { OnceCell::new() });
    let path = HOME.with(|home| home.get_or_init(|| tempfile::tempdir().unwrap()).path().join("kubeconfig"));
    std::fs::write(&path, input).unwrap();
    let mut way = String::new();
    for context in [None, Some("a".to_owned())] {
        let access = Access { kubeconfig: Some(path.clone()), context: context.clone(), ..Access::default() };
        match access.context_name() {
            Ok(name) => {
                assert!(context.is_none_or(|asked| asked == name));
                way.push_str("found ");
            }
            Err(error) => {
                let words = format!("{error} {} {error:?}", error.hint());
                // A context is shown by its name, whatever somebody has put there.
                let names = matches!(error, ConnectError::NoContext { .. } | ConnectError::UnknownContext { .. });
                assert!(names || !words.contains(SECRET), "{words}");
                assert!(words.len() < 8 * 1024 + 4 * input.len(), "{} bytes of words", words.len());
                way.extend(error.to_string().replace(path.to_str().unwrap(), "").split(['`', '"', '\'', '[']).take(1));
            }
        }
    }
    way.retain(|c| !c.is_ascii_digit());
    way.chars().take(120).collect()
}
