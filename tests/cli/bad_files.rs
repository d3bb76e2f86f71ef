//! Every kind of bad file: `check` prints one good diagnostic for each document that is refused, and ends with code 1; the
//! good plan beside it is accepted, and applied all the same.

use std::path::Path;

use crate::bed::Bed;
use crate::process::{answer, command};

const GOOD: &str = include_str!("../badinput/good.yaml");

/// What `tidegate check plans` prints where `plans/` holds a good plan and what `make` puts at the path it is given.
async fn check(make: impl FnOnce(&Path)) -> String {
    let home = tempfile::tempdir().unwrap();
    let plans = home.path().join("plans");
    std::fs::create_dir(&plans).unwrap();
    std::fs::write(plans.join("good.yaml"), GOOD).unwrap();
    make(&plans.join("bad.yaml"));
    let mut check = command(home.path(), &["check", "plans"]);
    check.current_dir(home.path());
    let answer = answer(check).await;
    assert_eq!((answer.code, answer.stderr.as_str()), (1, ""), "{}", answer.stdout);
    assert!(answer.stdout.contains("\n1 plan accepted in 2 files: "), "{}", answer.stdout);
    answer.stdout
}

/// The same of a file of `tests/badinput/`.
async fn fixture(name: &str) -> String {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/badinput").join(name);
    check(|path| std::fs::write(path, std::fs::read(fixture).unwrap()).unwrap()).await
}

#[tokio::test]
async fn weights_that_do_not_add_up() {
    insta::assert_snapshot!(fixture("weights.yaml").await, @r#"
    error[TG05]: `traffic`: weights add up to 90, not to 100
     --> plans/bad.yaml:9:3
      |
    9 |   traffic: {v1: 60, v2: 30}
      |   ^^^^^^^
      |
      = help: give one of them 10 more

    1 plan accepted in 2 files: 1 error, 0 warnings
    "#);
}

#[tokio::test]
async fn an_unknown_version_in_traffic() {
    insta::assert_snapshot!(fixture("unknown-version.yaml").await, @r#"
    error[PL07]: version `v3` is not declared in `versions`
     --> plans/bad.yaml:9:21
      |
    9 |   traffic: {v1: 60, v3: 40}
      |                     ^^
      |
      = help: did you mean `v1`?

    1 plan accepted in 2 files: 1 error, 0 warnings
    "#);
}

#[tokio::test]
async fn steps_that_descend() {
    insta::assert_snapshot!(fixture("descending-steps.yaml").await, @r#"
    error[PL08]: a step of weight 25 stands after one of 50
      --> plans/bad.yaml:13:16
       |
    13 |     - {weight: 25, hold: 10m}
       |                ^^
       |
       = help: weights of steps rise from one to the next

    1 plan accepted in 2 files: 1 error, 0 warnings
    "#);
}

#[tokio::test]
async fn a_key_given_twice() {
    insta::assert_snapshot!(fixture("duplicate-key.yaml").await, @r#"
    error[FI04]: the key `traffic` is given twice
      --> plans/bad.yaml:10:3
       |
    10 |   traffic: {v1: 100}
       |   ^^^^^^^
       |
       = help: keep one of the two

    1 plan accepted in 2 files: 1 error, 0 warnings
    "#);
}

#[tokio::test]
async fn an_alias_bomb() {
    insta::assert_snapshot!(fixture("alias-bomb.yaml").await, @r#"
    error[FI04]: anchors and aliases are not accepted
      --> plans/bad.yaml:11:10
       |
    11 |     - &a {uri: {exact: "/lol"}}
       |          ^
       |
       = help: write the value out wherever it is needed

    1 plan accepted in 2 files: 1 error, 0 warnings
    "#);
}

#[tokio::test]
async fn tabs() {
    insta::assert_snapshot!(fixture("tabs.yaml").await, @r#"
    error[FI04]: a tab stands where YAML accepts spaces alone
     --> plans/bad.yaml:5:2
      |
    5 |     service: web
      |     ^
      |
      = help: indent with spaces

    1 plan accepted in 2 files: 1 error, 0 warnings
    "#);
}

#[tokio::test]
async fn a_host_of_the_form_service_and_namespace() {
    insta::assert_snapshot!(fixture("short-host.yaml").await, @r#"
    error[TG08]: Istio takes `web.shop` for an external name, not for a service
     --> plans/bad.yaml:9:11
      |
    9 |   hosts: [web.shop]
      |           ^^^^^^^^
      |
      = help: write `web`, or `web.shop.svc.cluster.local`

    1 plan accepted in 2 files: 1 error, 0 warnings
    "#);
}

#[tokio::test]
async fn two_plans_for_one_service() {
    insta::assert_snapshot!(fixture("two-plans-one-service.yaml").await, @r#"
    error[TG31]: plans shop/web and shop/web-again both want service web.shop.svc.cluster.local
     --> plans/bad.yaml:3:18
      |
    3 | metadata: {name: web, namespace: shop}
      |                  ^^^
      |
      = help: take it out of one of the two; plan shop/web-again is in plans/bad.yaml; neither is in force

    error[TG31]: plans shop/web-again and shop/web both want service web.shop.svc.cluster.local
      --> plans/bad.yaml:13:18
       |
    13 | metadata: {name: web-again, namespace: shop}
       |                  ^^^^^^^^^
       |
       = help: take it out of one of the two; plan shop/web is in plans/bad.yaml; neither is in force

    1 plan accepted in 2 files: 2 errors, 0 warnings
    "#);
}

#[tokio::test]
async fn two_plans_that_write_one_virtual_service() {
    insta::assert_snapshot!(fixture("two-plans-one-virtual-service.yaml").await, @r#"
    error[TG32]: plans shop/web and shop/other both want VirtualService shop/web
     --> plans/bad.yaml:3:18
      |
    3 | metadata: {name: web, namespace: shop}
      |                  ^^^
      |
      = help: take it out of one of the two; plan shop/other is in plans/bad.yaml; neither is in force

    error[TG32]: plans shop/other and shop/web both want VirtualService shop/web
      --> plans/bad.yaml:13:18
       |
    13 | metadata: {name: other, namespace: shop}
       |                  ^^^^^
       |
       = help: take it out of one of the two; plan shop/web is in plans/bad.yaml; neither is in force

    1 plan accepted in 2 files: 2 errors, 0 warnings
    "#);
}

#[tokio::test]
async fn a_file_of_5_mib() {
    let make = |path: &Path| std::fs::write(path, vec![b'#'; 5 << 20]).unwrap();
    insta::assert_snapshot!(check(make).await, @r#"
    error[FI05]: cannot read plans/bad.yaml: it has 5120 KiB, the limit is 256 KiB
    --> plans/bad.yaml
     = help: split it into several files

    1 plan accepted in 2 files: 1 error, 0 warnings
    "#);
}

#[tokio::test]
async fn a_binary_file() {
    let make = |path: &Path| std::fs::write(path, [0, 1, 2, 255]).unwrap();
    insta::assert_snapshot!(check(make).await, @r#"
    error[FI02]: the file is binary: it has a NUL byte at offset 0, line 1
    --> plans/bad.yaml
     = help: save it as UTF-8 text, or move it out of the plans path

    1 plan accepted in 2 files: 1 error, 0 warnings
    "#);
}

#[tokio::test]
async fn invalid_utf_8() {
    let make = |path: &Path| std::fs::write(path, b"kind: \xff\xfe\n").unwrap();
    insta::assert_snapshot!(check(make).await, @r#"
    error[FI03]: the file is not UTF-8 at byte offset 6, line 1
    --> plans/bad.yaml
     = help: save it as UTF-8

    1 plan accepted in 2 files: 1 error, 0 warnings
    "#);
}

#[tokio::test]
async fn a_symbolic_link() {
    let make = |path: &Path| std::os::unix::fs::symlink("good.yaml", path).unwrap();
    insta::assert_snapshot!(check(make).await, @r#"
    error[FI05]: cannot read plans/bad.yaml: it is a symbolic link
    --> plans/bad.yaml
     = help: links are not followed: put the file itself there

    1 plan accepted in 2 files: 1 error, 0 warnings
    "#);
}

#[tokio::test]
async fn a_submodule() {
    let make = |path: &Path| {
        std::fs::create_dir(path).unwrap();
        std::fs::write(path.join(".git"), "gitdir: ../../.git/modules/bad").unwrap();
    };
    insta::assert_snapshot!(check(make).await, @r#"
    error[FI05]: cannot read plans/bad.yaml: it is a submodule
    --> plans/bad.yaml
     = help: other repositories are not read: put the file itself there

    1 plan accepted in 2 files: 1 error, 0 warnings
    "#);
}

#[tokio::test]
async fn findings_as_json_have_codes_and_places() {
    let home = tempfile::tempdir().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/badinput/duplicate-key.yaml");
    let answer = crate::process::run(home.path(), &["check", "-o", "json", path.to_str().unwrap()]).await;
    assert_eq!(answer.code, 1);
    let findings: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(
        findings,
        serde_json::json!({"findings": [{"code": "FI04", "severity": "error", "message": "the key `traffic` is given twice",
            "place": {"file": path, "line": 10, "column": 3}, "hints": ["keep one of the two"]}]})
    );
}

#[tokio::test]
async fn what_is_good_ends_with_code_0() {
    let home = tempfile::tempdir().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/badinput/good.yaml");
    let answer = crate::process::run(home.path(), &["check", path.to_str().unwrap()]).await;
    assert_eq!((answer.code, answer.stdout.as_str()), (0, "1 plan accepted in 1 file: 0 errors, 0 warnings\n"));
}

/// One commit with all of them at once: each is told, and the good plan is applied.
#[tokio::test(flavor = "multi_thread")]
async fn law_10_a_good_plan_beside_every_bad_file_is_applied() {
    let bed = Bed::open().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/badinput");
    let mut wanted = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // What is wrong lies in the file alone: two plans for one service would meet the good ones of other files.
        wanted += usize::from(name != "good.yaml" && !name.starts_with("two-plans"));
        bed.repository.write(&format!("plans/{name}"), std::fs::read(path).unwrap());
    }
    bed.repository.write("plans/large.yaml", vec![b'#'; 5 << 20]);
    bed.repository.write("plans/binary.yaml", [0, 1, 2, 255]);
    bed.repository.write("plans/latin.yaml", b"kind: \xff\xfe\n");
    std::os::unix::fs::symlink("good.yaml", bed.repository.path().join("plans/link.yaml")).unwrap();
    bed.repository.commit_all("Every kind of bad file");
    let tip = bed.repository.tip();
    bed.repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{tip},plans/module.yaml")]);
    bed.repository.git(&["commit", "--quiet", "-m", "A submodule"]);
    let once = bed.once().await;
    assert_eq!(once.code, 1, "{once:?}");
    assert_eq!(bed.weights("api"), "v1=60 v2=40");
    assert_eq!(bed.live("web"), None);
    let errors = once.stdout.lines().filter(|line| line.starts_with("error[")).count();
    assert!(errors >= wanted + 5, "{errors} errors, wanted {wanted} and 5 of files\n{}", once.stdout);
    // As rustc prints them, also where the text comes from Git.
    assert!(
        once.stdout.contains("--> plans/weights.yaml:9:3\n  |\n9 |   traffic: {v1: 60, v2: 30}"),
        "{}",
        once.stdout
    );
    for says in ["large.yaml", "binary.yaml", "latin.yaml", "symbolic link", "submodule", "duplicate-key.yaml"] {
        assert!(once.stdout.contains(says), "{says} is not in\n{}", once.stdout);
    }
}
