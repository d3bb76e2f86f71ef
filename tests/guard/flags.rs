//! What a guard is not told: everything of a repository, of a lease, and of other clusters.

use crate::process;
use crate::support::repository::Repository;

const CLUSTERS: &str = "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: \"http://127.0.0.1:1\"}}]\n\
    users: [{name: u, user: {}}]\n\
    contexts: [{name: east, context: {cluster: c, user: u}}, {name: west, context: {cluster: c, user: u}}]\n";

#[tokio::test]
async fn what_a_guard_does_not_know_is_refused() {
    let repository = Repository::empty();
    let kubeconfig = repository.home().join("kubeconfig");
    std::fs::write(&kubeconfig, CLUSTERS).unwrap();
    let kubeconfig = kubeconfig.display().to_string();
    let apart = "cannot be used with";
    for (flags, words) in [
        (&["--repo", "."][..], apart),
        (&["--config", "tidegate.yaml"], apart),
        (&["--once"], apart),
        (&["--git-notes"], apart),
        (&["--read-only"], apart),
        (&["--leader-elect"], apart),
        (&["--git-author", "A <a@example.com>"], apart),
        (&["--git-push-ssh-key", "key"], apart),
        (&["--interval", "1s"], apart),
        (&["--mirror", "m"], apart),
        (&["--istiod", "auto"], apart),
        (&["--webhook-secret-file", "s"], apart),
        (&["--canaryplan-resources", "off"], apart),
        (&["--context", "east,west"], "a guard goes back in one cluster, and --context names several"),
        (&["--context", "north"], "context north is in no kubeconfig"),
    ] {
        let mut arguments = vec!["run", "--guard", "--kubeconfig", &kubeconfig];
        arguments.extend(flags);
        let answer = process::run(repository.home(), &arguments).await;
        assert_eq!(answer.code, 2, "{flags:?}: {}", answer.stderr);
        let named = words != apart || ["--guard", flags[0]].iter().all(|flag| answer.stderr.contains(flag));
        assert!(named && answer.stderr.contains(words), "{flags:?}: {}", answer.stderr);
    }
}
