//! `tidegate run` and `tidegate diff` on a repository over the network.

use std::path::Path;

use serde_json::json;

use crate::bed::{Bed, eventually, plan};
use crate::process::{self, Process};
use crate::repository::Repository;
use crate::support::certificates::Certificates;
use crate::support::git_http::GitHttp;

const TOKEN: &str = "sesame-of-the-environment";

/// Commits the plan of `web` and pushes it.
fn commit(repository: &Repository, traffic: &str) {
    repository.commit(traffic, &[("plans/web.yaml", plan("web", &format!("traffic: {traffic}")))]);
    repository.push(false);
}

/// The processes that are children of another, with their command lines.
fn children(parent: &str) -> Vec<(String, String)> {
    let read = |pid: &str, name: &str| std::fs::read_to_string(Path::new("/proc").join(pid).join(name));
    let of_parent = |pid: &String| {
        let status = read(pid, "status").unwrap_or_default();
        status.lines().any(|line| line.split_whitespace().eq(["PPid:", parent]))
    };
    let names = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let arguments = |pid: String| read(&pid, "cmdline").ok().map(|args| (pid, args.replace('\0', " ")));
    names.filter(of_parent).filter_map(arguments).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_over_https_moves_traffic_and_the_child_goes_with_its_parent() {
    let bed = Bed::open().await;
    let bare = bed.repository.bare();
    commit(&bed.repository, "{v1: 100}");
    let certificates = Certificates::make(bed.repository.home(), "certificates");
    let server = GitHttp::start_tls(bare.parent().unwrap(), &certificates, false);
    server.rule(|rules| rules.basic = Some(("x-access-token".into(), TOKEN.into())));
    let (url, ca) = (server.url("origin.git"), certificates.file("ca.pem").display().to_string());
    let arguments = |command| bed.on_cluster(&[command, "--repo", &url, "--git-ca-file", &ca]);
    let mut diff = process::command(bed.repository.home(), &arguments("diff"));
    diff.env("TIDEGATE_GIT_TOKEN", TOKEN);
    let diff = process::answer(diff).await;
    assert_eq!(diff.code, 1, "{diff:?}");
    let mut run = arguments("run");
    run.extend(["--interval", "200ms", "--convergence-wait", "100ms"].map(str::to_owned));
    let without = process::run(bed.repository.home(), &arguments("diff")).await;
    assert_eq!(without.code, 3, "{without:?}");
    assert!(without.stderr.contains("asks for credentials\nhint: give --git-token-file"), "{}", without.stderr);
    let file = bed.repository.home().join("token");
    std::fs::write(&file, TOKEN).unwrap();
    run.extend(["--git-token-file".to_owned(), file.display().to_string()]);
    let mut process = Process::start(bed.repository.home(), &run);
    bed.until_weights("web", "v1=100").await;
    commit(&bed.repository, "{v1: 50, v2: 50}");
    bed.until_weights("web", "v1=50 v2=50").await;
    std::fs::write(&file, "wrong").unwrap();
    eventually("the refusal is said", || process.log().contains("refuses the credentials")).await;
    assert!(!process.log().contains("sesame"), "{}", process.log());
    let pid = process.id();
    let child = children(&pid)
        .into_iter()
        .find(|(_, args)| args.trim_end() == "tidegate git-child")
        .expect("there is a child")
        .0;
    process.kill().await;
    eventually("the child is gone", || Path::new("/proc").join(&child).join("exe").read_link().is_err()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_program_that_is_started_inherits_the_token() {
    let bed = Bed::open().await;
    let (program, noted) = (bed.repository.home().join("login"), bed.repository.home().join("environment"));
    std::fs::write(&program, format!("#!/bin/sh\nenv > {}\nexit 1\n", noted.display())).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    let exec = json!({"apiVersion": "client.authentication.k8s.io/v1", "command": program, "interactiveMode": "Never"});
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "u", "user": {"exec": exec}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    let kubeconfig = bed.repository.home().join("login.kubeconfig");
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let arguments = ["diff", "--repo", &bed.repository.location(), "--kubeconfig", kubeconfig.to_str().unwrap()];
    let mut diff = process::command(bed.repository.home(), &arguments);
    diff.env("TIDEGATE_GIT_TOKEN", TOKEN).env("CONTROL", "inherited");
    let answer = process::answer(diff).await;
    assert_ne!(answer.code, 0, "{answer:?}");
    let environment = std::fs::read_to_string(&noted).expect("the login program ran");
    assert!(environment.contains("CONTROL=inherited") && !environment.contains("sesame"), "{environment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_that_cannot_work_are_told_at_start() {
    let bed = Bed::open().await;
    for (arguments, says) in [
        (vec!["--repo", "https://ann:sesame@host/plans"], "the URL of the repository on host carries a user"),
        (vec!["--repo", "http://host/plans"], "http://host/plans is plain http on another machine"),
        (vec!["--repo", "git@host:plans"], "git@host:plans needs --git-known-hosts"),
        (vec!["--repo", "git://host/plans"], "only https, ssh, http and file are followed"),
        (vec!["--repo", "https://host/plans", "--git-client-cert", "c.pem"], "a client certificate needs its key"),
        (vec!["--repo", "https://host/plans", "--git-max-bytes", "5"], "`5` is not a size"),
    ] {
        let answer =
            process::run(bed.repository.home(), &bed.on_cluster(&[&["run"], arguments.as_slice()].concat())).await;
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.stderr.contains(says), "{says}: {}", answer.stderr);
        assert!(!answer.stderr.contains("sesame"), "{}", answer.stderr);
    }
}
