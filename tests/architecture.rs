//! What the house keeps: pure rooms, no unsafe code, small files, few and known dependencies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const FILE_LINES_MAX: usize = 500;
/// Packages in Cargo.lock; raise it knowingly.
const PACKAGES_MAX: usize = 470;

/// What a pure room may not name.
const IMPURE: [&str; 16] = [
    "tokio",
    "kube",
    "git2",
    "notify",
    "reqwest",
    "axum",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::env",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "crate::cluster",
    "crate::git",
];

/// Unsound, unmaintained, lossy, or a second way to do what is done already.
const BANNED: [(&str, &str); 10] = [
    ("serde_yml", "RUSTSEC-2025-0068: unsound"),
    ("libyml", "RUSTSEC-2025-0067: unsound"),
    ("yaml-rust", "RUSTSEC-2024-0320: unmaintained"),
    ("backoff", "RUSTSEC-2025-0012: unmaintained"),
    ("instant", "RUSTSEC-2024-0384: unmaintained"),
    ("istio-api-rs", "its structs lose unknown fields"),
    ("aws-lc-rs", "a second TLS provider panics at the first handshake"),
    ("cel", "no limit on the cost of an evaluation"),
    ("chrono-tz", "jiff is the time crate"),
    ("openssl", "rustls is the TLS library"),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The code without comments, so that prose may name what code may not.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let line = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn names(code: &str, word: &str) -> bool {
    let boundary = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    code.match_indices(word)
        .any(|(at, _)| boundary(code[..at].chars().next_back()) && boundary(code[at + word.len()..].chars().next()))
}

#[test]
fn the_pure_rooms_do_no_io_and_read_no_clock() {
    let mut found = Vec::new();
    for room in ["plan", "rollout", "istio"] {
        for file in rust_files(&root().join("src").join(room)) {
            let code = code(&file);
            found.extend(
                IMPURE.iter().filter(|word| names(&code, word)).map(|word| format!("{word} in {}", file.display())),
            );
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_main_has_unsafe_code() {
    let unsafe_code = |file: &PathBuf| names(&code(file), "unsafe") && !file.ends_with("src/main.rs");
    let found: Vec<PathBuf> = rust_files(&root().join("src")).into_iter().filter(unsafe_code).collect();
    assert!(found.is_empty(), "{found:?}");
    assert!(fs::read_to_string(root().join("src/lib.rs")).unwrap().contains("#![forbid(unsafe_code)]"));
}

#[test]
fn only_one_file_of_the_plan_room_reads_yaml() {
    let reads = |file: &PathBuf| names(&code(file), "serde_saphyr") || names(&code(file), "serde_yaml");
    let found: Vec<PathBuf> = rust_files(&root().join("src")).into_iter().filter(reads).collect();
    assert_eq!(found, [root().join("src/plan/yaml.rs")]);
}

#[test]
fn no_file_is_long() {
    let mut found = Vec::new();
    for folder in ["src", "tests", "benches"] {
        let folder = root().join(folder);
        for file in if folder.exists() { rust_files(&folder) } else { Vec::new() } {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            if lines > FILE_LINES_MAX {
                found.push(format!("{}: {lines} lines", file.display()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn dependencies_are_few_known_and_single() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let mut packages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for block in lock.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let line = block.lines().find(|line| line.starts_with(name)).unwrap();
            line.split('"').nth(1).unwrap()
        };
        packages.entry(field("name = ")).or_default().push(field("version = "));
    }
    let count: usize = packages.values().map(Vec::len).sum();
    assert!(count <= PACKAGES_MAX, "{count} packages, the ceiling is {PACKAGES_MAX}");
    for (name, why) in BANNED {
        assert!(!packages.contains_key(name), "{name} is banned: {why}");
    }
    for name in ["kube", "k8s-openapi", "json-patch", "rustls", "serde-saphyr", "jiff", "serde_yaml", "git2"] {
        assert_eq!(packages[name].len(), 1, "{name}: {:?}", packages[name]);
    }
    let libgit2: Vec<u64> =
        packages["libgit2-sys"][0].split(['.', '+']).take(3).map(|part| part.parse().unwrap()).collect();
    assert!(libgit2 >= vec![0, 18, 8], "libgit2-sys {libgit2:?} lacks fixes of seven advisories");
}
