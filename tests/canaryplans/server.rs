//! `status` and `why` that ask the running process, which knows of plans and repositories without any resource.

use serde_json::{Value, json};

use crate::bed::{Bed, plan};

fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn status_asks_the_running_process() {
    let bed = Bed::open().await;
    let tip = bed.repository.commit("Bad", &[("plans/bad.yaml", plan("bad", &bed.namespace, "traffic: {v1: 90}"))]);
    let address = free_address();
    let process = bed.start(&["--canaryplan-resources", "off", "--listen", &address]);
    bed.until_log(&process, "read the plan repository").await;
    bed.until_log(&process, "the caches are complete").await;
    let server = format!("http://{address}");
    let run = async |command: &[&str]| {
        let arguments = [command, &["--server", &server]].concat();
        crate::process::run(bed.repository.home(), &arguments).await
    };
    let status = run(&["status", "-o", "json"]).await;
    assert_eq!(status.code, 0, "{status:?}");
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    let repository = &status["repositories"][0];
    assert_eq!(
        (&repository["name"], &repository["revision"]),
        (&json!(bed.namespace), &json!(format!("main@sha1:{tip}")))
    );
    assert!(repository["lastLook"].is_string() && repository["findings"][0]["code"] == "TG05", "{repository:#}");
    let why = run(&["why", "bad"]).await;
    assert_eq!(why.code, 1, "{why:?}");
    assert!(why.stdout.contains("the plan is refused and not in force: TG05"), "{}", why.stdout);

    // The repository goes away: that is said above the table.
    bed.repository.delete();
    let gone = format!("repository {} (main): ", bed.namespace);
    crate::kubernetes::eventually("the repository's error is shown", crate::bed::SOON, || async {
        let table = run(&["status"]).await.stdout;
        table.starts_with(&gone) && !table.starts_with(&format!("{gone}error[")) && table.contains("PlanRefused")
    })
    .await;
    drop(process);
    let away = run(&["status"]).await;
    assert_eq!(away.code, 3, "{away:?}");
    assert!(away.stderr.contains(&format!("cannot read {server}/status")), "{}", away.stderr);
}
