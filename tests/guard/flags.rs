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
    for (flags, words) in [
        (&["--repo", "."][..], "'--guard' cannot be used with '--repo"),
        (&["--config", "tidegate.yaml"], "'--guard' cannot be used with '--config"),
        (&["--once"], "'--guard' cannot be used with '--once"),
        (&["--git-notes"], "'--guard' cannot be used with '--git-notes"),
        (&["--read-only"], "'--guard' cannot be used with '--read-only"),
        (&["--leader-elect"], "'--guard' cannot be used with '--leader-elect"),
        (&["--git-author", "A <a@example.com>"], "'--guard' cannot be used with '--git-author"),
        (&["--git-push-ssh-key", "key"], "'--guard' cannot be used with '--git-push-ssh-key"),
        (&["--interval", "1s"], "'--guard' cannot be used with '--interval"),
        (&["--mirror", "m"], "'--guard' cannot be used with '--mirror"),
        (&["--istiod", "auto"], "'--guard' cannot be used with '--istiod"),
        (&["--webhook-secret-file", "s"], "'--guard' cannot be used with '--webhook-secret-file"),
        (&["--canaryplan-resources", "off"], "'--guard' cannot be used with '--canaryplan-resources"),
        (&["--context", "east,west"], "a guard goes back in one cluster, and --context names several"),
        (&["--context", "north"], "context north is in no kubeconfig"),
    ] {
        let mut arguments = vec!["run", "--guard", "--kubeconfig", &kubeconfig];
        arguments.extend(flags);
        let answer = process::run(repository.home(), &arguments).await;
        let said = answer.stderr.replace(['\n', '\r'], " ");
        assert_eq!(answer.code, 2, "{flags:?}: {said}");
        let either = words.split_once(" cannot be used with ").map(|(_, flag)| flag).unwrap_or(words);
        assert!(said.contains(words) || said.contains(either) && said.contains("'--guard'"), "{flags:?}: {said}");
    }
}
