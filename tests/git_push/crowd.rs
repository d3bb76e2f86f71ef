//! Several writers at once: every change lands once, none is lost, and history stays a line.

use std::convert::Infallible;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use tidegate::git::{Access, Changes, Draft, Files};

use super::bed::{Bed, WEB, landed};

const COUNT: usize = 50;

/// Adds a line to a file, whatever is in it by then.
fn adds(path: &str, line: String) -> impl FnMut(&Files<'_>) -> Result<Draft, Infallible> {
    let path = path.to_owned();
    move |files| {
        let mut text = files.read(files.tip(), &path).unwrap().unwrap_or_default();
        text.extend_from_slice(line.as_bytes());
        Ok(Draft::Commit { changes: Changes::from([(path.clone(), Some(text))]), message: format!("Add {line}") })
    }
}

/// The `git` command in a clone of its own, pulling and pushing the same way until it has put in every line.
fn writer(bed: &Bed) -> std::process::Child {
    let clone = bed.repository.home().join("writer");
    let mut command = git_shell(bed, bed.repository.home());
    command.arg(format!("git clone --quiet {} {}", bed.url(), clone.display()));
    assert!(command.status().unwrap().success());
    let mut command = git_shell(bed, &clone);
    command.arg(format!(
        "for n in $(seq {COUNT}); do echo git-$n >> plans/git.yaml; git add --all; git commit --quiet -m $n; \
         until git push --quiet origin main 2>/dev/null; do git pull --quiet --rebase origin main; done; done"
    ));
    command.spawn().unwrap()
}

/// A shell whose `git` is let in.
fn git_shell(bed: &Bed, folder: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").current_dir(folder).env_clear().env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1");
    command.env("PATH", std::env::var_os("PATH").unwrap());
    if let Access { ssh_key: Some(key), known_hosts: Some(known), .. } = bed.access() {
        let ssh = format!("ssh -F none -i {} -o UserKnownHostsFile={}", key.display(), known.display());
        command.env("GIT_SSH_COMMAND", ssh);
    }
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Ada").env(format!("GIT_{role}_EMAIL"), "ada@example.com");
    }
    command
}

fn lines(text: &str, start: &str) -> Vec<String> {
    text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
}

/// As many writers of tidegate as there are names, all at one file, beside one of git.
fn crowd(bed: &Bed, names: &[&str]) {
    let mut git = writer(bed);
    let begun = Instant::now();
    let write = |name: &str| {
        let mut publisher = bed.publisher();
        let add = |n: usize| landed(publisher.publish(&mut adds(WEB, format!("{name}-{n}\n"))));
        (0..COUNT).map(add).collect::<Vec<_>>()
    };
    let commits: Vec<String> = std::thread::scope(|scope| {
        let writers: Vec<_> = names.iter().map(|name| scope.spawn(|| write(name))).collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    println!("{}: {} × {COUNT} beside {COUNT} of git in {:?}", bed.name(), names.len(), begun.elapsed());
    assert!(git.wait().unwrap().success());
    let expected = |start: &str, from: usize| (from..from + COUNT).map(|n| format!("{start}-{n}")).collect::<Vec<_>>();
    let web = bed.text(WEB);
    for name in names {
        assert_eq!(lines(&web, &format!("{name}-")), expected(name, 0), "{}", bed.name());
    }
    assert_eq!(lines(&bed.text("plans/git.yaml"), "git-"), expected("git", 1), "{}", bed.name());
    let history = bed.git(&["rev-list", "main"]);
    assert_eq!(history.lines().count(), 1 + (names.len() + 1) * COUNT);
    assert!(commits.iter().all(|commit| history.contains(commit)), "what was said to have landed is there");
    bed.is_linear_and_whole();
    assert!(bed.leftovers().is_empty());
}

#[test]
fn over_file_every_change_lands_once() {
    crowd(&Bed::file(), &["a", "b"]);
}

#[test]
fn over_http_every_change_lands_once() {
    crowd(&Bed::http(), &["a"]);
}

#[test]
fn over_ssh_every_change_lands_once() {
    crowd(&Bed::ssh(), &["a"]);
}
