//! What needs neither cluster nor repository: help, version, usage errors, kubeconfigs, completions, the demo.

use std::time::{Duration, Instant};

use crate::bed::Bed;
use crate::process::{answer, command, run};

const COMMANDS: [&str; 14] = [
    "run",
    "check",
    "diff",
    "status",
    "why",
    "history",
    "rollback",
    "advance",
    "pause",
    "resume",
    "stop",
    "schema",
    "demo",
    "completions",
];

#[tokio::test]
async fn help_names_every_command_and_each_has_help_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    let help = run(home.path(), &["--help"]).await;
    assert_eq!(help.code, 0);
    for name in COMMANDS {
        assert!(help.stdout.contains(&format!("\n  {name} ")), "{name} is not in\n{}", help.stdout);
        let help = run(home.path(), &[name, "--help"]).await;
        assert!(help.code == 0 && help.stdout.contains("Usage: tidegate "), "{name}: {help:?}");
    }
}

#[tokio::test]
async fn the_list_of_commands_reads_as_a_table_of_contents() {
    let home = tempfile::tempdir().unwrap();
    let help = run(home.path(), &["--help"]).await.stdout;
    let commands = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    insta::assert_snapshot!(commands, @r"
    run          Follow a plan repository and keep a cluster as its plans say
    check        Validate plan files and what they mean for Istio, alone or beside a cluster
    diff         Show the edits that would be made now, as a unified diff
    status       Show where every plan stands
    why          Say in one sentence why a plan stands where it stands
    history      Show what each commit asked of a plan, and what came of it
    rollback     Restore a plan to what it was, by a commit: traffic goes back as soon as it is read
    advance      End the hold of the present step, by a commit: the walk goes on to the next one
    pause        Let nothing of a plan rise, by a commit; going back still works
    resume       Let a paused plan go on, by a commit
    stop         Stop a plan without Git: traffic goes to the way-back state, and nothing rises while
                 the annotation stands
    schema       Print the JSON Schema of plans, for editors
    demo         Tell the whole story on embedded parts: commit, walk, advance, revert
    completions  Print completions for a shell
    help         Print this message or the help of the given subcommand(s)
    ");
}

#[tokio::test]
async fn the_version_is_printed_at_once() {
    let home = tempfile::tempdir().unwrap();
    let mut took = Vec::new();
    for _ in 0..20 {
        let begun = Instant::now();
        let version = run(home.path(), &["--version"]).await;
        took.push(begun.elapsed());
        assert_eq!((version.code, version.stdout.as_str()), (0, concat!("tidegate ", env!("CARGO_PKG_VERSION"), "\n")));
    }
    took.sort();
    println!("tidegate --version of this build: p50 {:?}, the aim is 20 ms", took[10]);
    assert!(took[0] < Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_wrong_command_line_ends_with_code_2_and_says_what_is_meant() {
    let home = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 14] = [
        (&[], "Usage: tidegate"),
        (&["statsu"], "similar subcommand exists: 'status'"),
        (&["run"], "--repo <PATH|URL>"),
        (&["run", "--repo", "x", "--interval", "soon"], "'soon' for '--interval"),
        (&["status", "-o", "xml"], "[possible values: table, wide, matrix, json, yaml]"),
        (&["check"], "<PATH>..."),
        (&["stop", "web"], "--reason <REASON>"),
        (&["run", "--repo", "x", "--verify", "tip"], "--verify-keys <FILE>"),
        (&["run", "--repo", "x", "--verify", "tip", "--verify-keys", "/none"], "cannot read the keys in /none"),
        (&["run", "--repo", "x", "--history-policy", "keep"], "[possible values: accept, hold, reject]"),
        (&["run", "--repo", "x", "--istiod", "auto,http://a:1"], "--istiod has both addresses and `auto`"),
        (&["run", "--repo", "x", "--istiod", "istiod:15014"], "write it as http://HOST:PORT, or `auto`"),
        (&["run", "--repo", "x", "--gateway-admin", "auto"], "--istiod <URL|auto>"),
        (&["check", "nowhere"], "cannot read nowhere"),
    ];
    for (arguments, says) in cases {
        let answer = run(home.path(), arguments).await;
        assert_eq!(answer.code, 2, "{arguments:?}: {answer:?}");
        assert!(answer.stderr.contains(says), "{arguments:?}: {}", answer.stderr);
        assert_eq!(answer.stdout, "", "{arguments:?}");
    }
}

#[tokio::test]
async fn an_unknown_context_lists_the_known_ones() {
    let bed = Bed::open().await;
    let answer = bed.ask(&["status", "--context", "east"]).await;
    assert_eq!(answer.code, 2);
    assert_eq!(answer.stderr, "error: context east is in no kubeconfig\nhint: choose one with --context: sandbox\n");
}

#[tokio::test]
async fn a_kubeconfig_that_is_missing_or_none_is_named() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("broken");
    std::fs::write(&path, "clusters: {").unwrap();
    for path in [home.path().join("absent"), path] {
        let path = path.display().to_string();
        let answer = run(home.path(), &["status", "--kubeconfig", &path]).await;
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.stderr.starts_with(&format!("error: cannot read kubeconfig {path}: ")), "{}", answer.stderr);
        assert!(answer.stderr.ends_with("hint: give another file with --kubeconfig\n"), "{}", answer.stderr);
    }
    let answer = run(home.path(), &["why", "web"]).await;
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("kubeconfig"), "{}", answer.stderr);
}

#[tokio::test]
async fn completions_know_every_command() {
    let home = tempfile::tempdir().unwrap();
    let bash = run(home.path(), &["completions", "bash"]).await;
    assert_eq!(bash.code, 0);
    for name in COMMANDS {
        assert!(bash.stdout.contains(name), "{name}");
    }
    let mut shell = tokio::process::Command::new("bash");
    shell.args(["-n", "-c", &bash.stdout]);
    let shell = answer(shell).await;
    assert_eq!((shell.code, shell.stderr.as_str()), (0, ""));
}

#[tokio::test]
async fn the_demo_tells_its_story_without_a_terminal() {
    let home = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let demo = run(home.path(), &["demo"]).await;
    assert_eq!(demo.code, 0, "{demo:?}");
    println!("the demo took {:?}", begun.elapsed());
    let mut rest = demo.stdout.as_str();
    for line in [
        "\n1. ",
        "$ git commit",
        "\n2. ",
        "v2  50 %",
        "\n3. ",
        "\n4. ",
        "$ git revert",
        "back ",
        "\n5. ",
        "v2 100 %",
        "tidegate run",
    ] {
        let at = rest.find(line).unwrap_or_else(|| panic!("no {line:?} where it belongs in\n{}", demo.stdout));
        rest = &rest[at + line.len()..];
    }
    assert!(!demo.stdout.contains('\u{1b}'), "{}", demo.stdout);
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[tokio::test]
async fn colours_are_for_terminals_and_not_where_no_color_is_set() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("plans")).unwrap();
    std::fs::write(home.path().join("plans/web.yaml"), crate::bed::plan("web", "traffic: {v1: 99}")).unwrap();
    let on_terminal = |no_color: &str| {
        let binary = env!("CARGO_BIN_EXE_tidegate");
        let mut script = tokio::process::Command::new("script");
        script.args(["-qec", &format!("{binary} check plans"), "/dev/null"]).current_dir(home.path());
        script.env("TERM", "xterm").env("NO_COLOR", no_color).stdin(std::process::Stdio::null());
        script
    };
    let mut piped = command(home.path(), &["check", "plans"]);
    piped.current_dir(home.path());
    let plain = answer(piped).await.stdout;
    assert!(!plain.contains('\u{1b}'));
    let has_script = tokio::process::Command::new("script").arg("--version").output().await.is_ok();
    if !has_script {
        println!("no `script` command: terminals are not tried");
        return;
    }
    let coloured = answer(on_terminal("")).await.stdout.replace('\r', "");
    assert!(coloured.contains("\u{1b}["), "{coloured}");
    assert_eq!(answer(on_terminal("1")).await.stdout.replace('\r', ""), plain);
}

#[test]
fn a_reader_that_has_gone_ends_a_command_well() {
    let home = tempfile::tempdir().unwrap();
    let mut child = command(home.path(), &["schema"])
        .into_std()
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let answer = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&answer.stderr);
    assert_eq!((answer.status.code(), said.as_ref()), (Some(0), ""));
}
