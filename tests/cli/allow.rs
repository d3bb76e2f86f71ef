//! Allow-lists of a repository: what is beyond them is shown where it stands, and nothing of it is written.

use crate::bed::Bed;
use crate::process::{Answer, answer, command};

const LISTS: &str = "{namespaces: [shop], hosts: ['*.shop.svc.cluster.local', www.example.com], gateways: [mesh, edge/public], \
                     kinds: [CanaryPlan]}";

const BEYOND: &str = "\
apiVersion: tidegate.dev/v1alpha1
kind: CanaryPlan
metadata: {name: web, namespace: other}
spec:
  service: web
  hosts: [www.example.org]
  gateways: [edge/private]
  versions: {v1: {labels: {version: v1}}}
  traffic: {v1: 100}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec: {hosts: [www.example.com], ports: [{number: 443, name: tls, protocol: TLS}], resolution: DNS}
";

/// Writes a configuration of the bed's cluster and these repositories.
fn configure(bed: &Bed, repositories: &[(&str, &str)]) {
    let url = bed.repository.location();
    let listed: String = repositories
        .iter()
        .map(|(name, lists)| format!("- {{url: '{url}', name: {name}, allow: {lists}}}\n"))
        .collect();
    let text = format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: Configuration\nrepositories:\n{listed}clusters: [{{name: here, kubeconfig: \
         kubeconfig}}]\n"
    );
    std::fs::write(bed.repository.home().join("tidegate.yaml"), text).unwrap();
}

/// Runs a command with the configuration, in the folder that it is in.
async fn ask(bed: &Bed, arguments: &[&str]) -> Answer {
    let home = bed.repository.home();
    let mut run = command(home, arguments);
    run.args(["--config", "tidegate.yaml"]).current_dir(home);
    answer(run).await
}

async fn check(bed: &Bed, more: &[&str]) -> Answer {
    std::fs::write(bed.repository.home().join("bad.yaml"), BEYOND).unwrap();
    ask(bed, &[&["check", "bad.yaml"][..], more].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn check_shows_what_is_beyond_the_lists_of_the_repository() {
    let bed = Bed::open().await;
    configure(&bed, &[("shop", LISTS)]);
    let answer = check(&bed, &[]).await;
    assert_eq!((answer.code, answer.stderr.as_str()), (1, ""), "{answer:?}");
    insta::assert_snapshot!(answer.stdout, @r"
    error[AL01]: the repository's allow-list has no namespace `other`
     --> bad.yaml:3:34
      |
    3 | metadata: {name: web, namespace: other}
      |                                  ^^^^^
      |
      = help: `allow.namespaces` of the repository, in tidegate's configuration, would have to hold `other`

    error[AL02]: the repository's allow-list has no host `web.other.svc.cluster.local`
     --> bad.yaml:5:12
      |
    5 |   service: web
      |            ^^^
      |
      = help: `allow.hosts` of the repository, in tidegate's configuration, would have to hold `web.other.svc.cluster.local`

    error[AL02]: the repository's allow-list has no host `www.example.org`
     --> bad.yaml:6:11
      |
    6 |   hosts: [www.example.org]
      |           ^^^^^^^^^^^^^^^
      |
      = help: `allow.hosts` of the repository, in tidegate's configuration, would have to hold `www.example.org`

    error[AL03]: the repository's allow-list has no gateway `edge/private`
     --> bad.yaml:7:14
      |
    7 |   gateways: [edge/private]
      |              ^^^^^^^^^^^^
      |
      = help: `allow.gateways` of the repository, in tidegate's configuration, would have to hold `edge/private`

    error[AL04]: the repository's allow-list has no kind `ServiceEntry`
      --> bad.yaml:12:7
       |
    12 | kind: ServiceEntry
       |       ^^^^^^^^^^^^
       |
       = help: `allow.kinds` of the repository, in tidegate's configuration, would have to hold `ServiceEntry`

    0 plans accepted in 1 file: 5 errors, 0 warnings
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_repositories_the_lists_of_the_named_one_count() {
    let bed = Bed::open().await;
    configure(&bed, &[("shop", LISTS), ("all", "{}")]);
    let named = check(&bed, &["--repo-name", "shop"]).await;
    assert!(named.code == 1 && named.stdout.matches("error[AL").count() == 5, "{named:?}");
    for (more, warned) in [(&["--repo-name", "all"][..], false), (&[], true)] {
        let answer = check(&bed, more).await;
        assert!(!answer.stdout.contains("[AL"), "{answer:?}");
        let says =
            "warning: no allow-list was applied: the configuration lists 2 repositories; say which by --repo-name";
        assert_eq!(answer.stderr.contains(says), warned, "{answer:?}");
    }
    let unknown = check(&bed, &["--repo-name", "shp"]).await;
    assert_eq!(unknown.code, 2, "{unknown:?}");
    for says in ["the configuration has no repository `shp`", "it lists shop, all"] {
        assert!(unknown.stderr.contains(says), "{unknown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_beyond_the_lists_writes_nothing_and_the_last_good_one_stays_in_force() {
    let bed = Bed::open().await;
    configure(&bed, &[("shop", LISTS)]);
    let once = || ask(&bed, &["run", "--once", "--read-only", "--convergence-wait", "100ms"]);
    bed.plan("web", "traffic: {v1: 100}");
    let answer = once().await;
    assert_eq!((answer.code, bed.weights("web").as_str()), (0, "v1=100"), "{answer:?}");
    let before = bed.live("web");
    // Another team's host, for the requests of this one, and a copy of them; and a plan that is new.
    bed.plan("web", "hosts: [web, api.other.svc.cluster.local]\n  traffic: {v2: 100}");
    bed.plan("api", "http: {mirror: {host: a.example.com}, mirrorPercentage: {value: 5}}\n  traffic: {v1: 100}");
    let answer = once().await;
    assert_eq!((answer.code, answer.stdout.matches("error[AL02]").count()), (1, 2), "{answer:?}");
    for host in ["api.other.svc.cluster.local", "a.example.com"] {
        assert!(answer.stdout.contains(&format!("allow-list has no host `{host}`")), "{answer:?}");
    }
    assert_eq!((bed.live("web"), bed.live("api")), (before, None));
    // What is within the lists goes on.
    bed.plan("web", "hosts: [web, www.example.com]\n  traffic: {v1: 100}");
    let answer = once().await;
    let hosts = bed.live("web").unwrap()["spec"]["hosts"].clone();
    let expected = serde_json::json!(["web.shop.svc.cluster.local", "www.example.com"]);
    assert_eq!((answer.code, hosts, bed.live("api")), (1, expected, None), "{answer:?}");
}
