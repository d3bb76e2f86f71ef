//! The configuration file changes under a running process.

use crate::bed::{EAST, WEST};
use crate::configured::{Configured, away, cluster};
use crate::{FAST, SLOW, V1};

#[tokio::test(flavor = "multi_thread")]
async fn clusters_come_and_go_while_a_walk_goes_on() {
    let bed = Configured::open("reload", &[EAST, WEST]).await;
    bed.write(&[cluster(EAST, "eu")]);
    let (fleet, process) = (&bed.fleet, bed.start());
    fleet.plan(V1);
    fleet.until_live(EAST, 0).await;
    fleet.plan(SLOW);
    fleet.until_live(EAST, 10).await;
    assert!(fleet.is_untouched(WEST));
    bed.write(&[cluster(EAST, "eu"), cluster(WEST, "us")]);
    fleet.until(&[EAST, WEST], 10).await;
    assert_eq!(fleet.walk(EAST), [0, 10], "what was there goes on as it was");
    fleet.plan(FAST);
    fleet.until_settled(&[("v2", 100)]).await;
    bed.write(&[cluster(EAST, "eu")]);
    bed.until_status("west is gone", |status| status["clusters"].as_array().is_some_and(|all| all.len() == 1)).await;
    fleet.plan(V1);
    fleet.until_live(EAST, 0).await;
    fleet.stays(WEST, 100).await;
    assert!(!process.log().contains("panicked"), "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_that_change_send_plans_elsewhere_and_a_name_that_goes_is_an_error_of_the_plan() {
    let bed = Configured::open("labels", &[EAST, WEST]).await;
    bed.write(&[cluster(EAST, "eu"), cluster(WEST, "us")]);
    let (fleet, _process) = (&bed.fleet, bed.start());
    fleet.plan(&format!("  clusters: {{matchLabels: {{region: eu}}}}\n{V1}"));
    fleet.until_live(EAST, 0).await;
    assert!(fleet.is_untouched(WEST));
    bed.write(&[cluster(EAST, "eu"), cluster(WEST, "eu")]);
    fleet.until(&[EAST, WEST], 0).await;
    bed.write(&[cluster(EAST, "us"), cluster(WEST, "us")]);
    bed.until_status("no cluster is left", |status| status["repositories"][0]["findings"][0]["code"] == "TG40").await;
    fleet.plan(&format!("  clusters: [east, west]\n{V1}"));
    fleet.until_settled(&[("v1", 100)]).await;
    bed.write(&[cluster(EAST, "us")]);
    bed.until_status("west is gone", |status| status["repositories"][0]["findings"][0]["code"] == "TG39").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_changes_nothing_and_says_so_until_it_is_mended() {
    let bed = Configured::open("broken", &[EAST, WEST]).await;
    let good = [cluster(EAST, "eu"), cluster(WEST, "us")];
    bed.write(&good);
    let (fleet, process) = (&bed.fleet, bed.start());
    fleet.plan(V1);
    fleet.until_settled(&[("v1", 100)]).await;
    let error = |status: &serde_json::Value| status["configuration"]["error"].as_str().map(str::to_owned);
    assert_eq!(error(&fleet.status().await), None);
    for (text, says) in [
        ("clusters: [", "FI04 at line 1, column"),
        ("apiVersion: tidegate.dev/v1alpha1\nkind: Configuration\nclusters: []\n", "PL04 at line 3, column 1"),
        (
            "apiVersion: tidegate.dev/v1alpha1\nkind: Configuration\nclusters: [{name: east, inCluster: true}]\n",
            "whether flags name the repository or the file does takes a restart",
        ),
    ] {
        bed.write_text(text);
        bed.until_status(says, |status| error(status).is_some_and(|why| why.contains(says))).await;
        assert!(process.log().contains("the configuration stays as it was"), "{}", process.log());
        assert_eq!(bed.metric("tidegate_configuration_in_force").await.as_deref(), Some("0.0"));
    }
    fleet.plan(FAST);
    fleet.until_settled(&[("v2", 100)]).await;
    bed.write(&good);
    bed.until_status("it is in force again", |status| error(status).is_none()).await;
    assert_eq!(bed.metric("tidegate_configuration_in_force").await.as_deref(), Some("1.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn law_10_credentials_that_make_no_client_stop_only_their_cluster_and_are_healed_without_a_restart() {
    let bed = Configured::open("broken-credentials", &[EAST, WEST]).await;
    bed.write(&[cluster(EAST, "eu"), "{name: west, kubeconfig: ../west.yaml}".to_owned()]);
    let (fleet, _process) = (&bed.fleet, bed.start());
    let file = fleet.repository.home().join("west.yaml");
    fleet.plan(&format!("  clusters: [east]\n{V1}"));
    fleet.until_live(EAST, 0).await;
    let says = |status: &serde_json::Value, words: &str| away(status, WEST).is_some_and(|why| why.contains(words));
    bed.until_status("west is away", |status| says(status, "cannot read kubeconfig")).await;
    fleet.plan(V1);
    fleet.until_reason("ClusterAway", "cluster west does not answer since").await;
    // It answers, and does not know the token.
    let good = fleet.kubeconfig_of(WEST);
    let token = good.split("token: ").nth(1).unwrap().split(['}', '\n', ',']).next().unwrap();
    std::fs::write(&file, good.replace(token, "another")).unwrap();
    bed.until_status("west is refused", |status| says(status, "Unauthorized")).await;
    std::fs::write(&file, &good).unwrap();
    fleet.until(&[EAST, WEST], 0).await;
    bed.until_status("west answers", |status| away(status, WEST).is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_round_does_what_it_can_and_names_the_cluster_that_it_could_not_reach() {
    let bed = Configured::open("round", &[EAST, WEST]).await;
    let fleet = &bed.fleet;
    fleet.plan(&format!("  clusters: [east]\n{V1}"));
    bed.write(&[cluster(EAST, "eu")]);
    let answer = bed.once().await;
    assert_eq!(answer.code, 0, "{answer:?}");
    fleet.until_live(EAST, 0).await;
    fleet.plan(&format!("  clusters: [east]\n{SLOW}"));
    bed.write(&[cluster(EAST, "eu"), "{name: west, kubeconfig: ../none.yaml}".to_owned()]);
    let answer = bed.once().await;
    assert_eq!(answer.code, 3, "{answer:?}");
    assert!(answer.stderr.contains("error: cannot read kubeconfig"), "{answer:?}");
    fleet.until(&[EAST], 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_file_is_no_flag_and_what_is_wrong_is_shown_where_it_stands() {
    let bed = Configured::open("file-args", &[]).await;
    bed.write(&[cluster(EAST, "eu")]);
    for (flags, says) in [
        (&["--repo", "x"][..], "--repo and `repositories` of the configuration say the same thing"),
        (&["--repo-name", "x"], "--repo-name and `repositories` of the configuration say the same thing"),
        (&["--context", "east"], "'--config <FILE>' cannot be used with '--context <CONTEXT>'"),
        (&["--istiod", "auto"], "'--config <FILE>' cannot be used with '--istiod <URL|auto>'"),
    ] {
        let answer = bed.refused(flags).await;
        assert!(answer.contains(says), "{flags:?}: {answer}");
    }
    bed.write_text("apiVersion: tidegate.dev/v1alpha1\nkind: Configuration\nclusters:\n- {name: east, contxt: east}\n");
    let answer = bed.refused(&[]).await;
    for says in ["error[PL01]: unknown field `contxt`", "tidegate.yaml:4:16", "^^^^^^", "did you mean `context`?"] {
        assert!(answer.contains(says), "{says}: {answer}");
    }
}
