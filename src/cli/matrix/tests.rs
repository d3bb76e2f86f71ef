use serde_json::{Value, json};

use super::*;

/// An item of `plans`.
fn item(plan: &str, cluster: &str, phase: &str, risen: Option<u8>, reason: &Value) -> Value {
    let (namespace, name) = plan.split_once('/').unwrap();
    json!({
        "cluster": cluster, "namespace": namespace, "name": name, "repository": "plans", "virtualService": plan,
        "phase": phase, "step": null, "risen": risen.map(|weight| json!({"weight": weight, "of": 100})),
        "target": null, "live": null, "revision": null, "reason": reason, "next": null, "wave": null,
        "imagesChanged": null,
    })
}

fn reason(name: &str, cluster: Option<&str>) -> Value {
    let needs = ["WentBack", "Stopped"].contains(&name);
    json!({"name": name, "message": "words that say it", "needsAPerson": needs, "cluster": cluster})
}

fn site(name: &str, away_since: Option<&str>) -> Value {
    let away = away_since.map(|_| "no answer in 15s");
    json!({"name": name, "mesh": null, "role": "primary", "away": away, "awaySince": away_since})
}

fn matrix(clusters: Vec<Value>, plans: Vec<Value>) -> String {
    let document = json!({"at": "2026-11-30T05:40:00Z", "clusters": clusters, "plans": plans});
    let Ok(picture) = Picture::of(document) else { panic!("it is no status") };
    of(&picture)
}

#[test]
fn few_plans_in_few_clusters_are_all_told() {
    let clusters = vec![site("west", None), site("east", None), site("south", Some("2026-11-30T05:10:00Z"))];
    let waits = reason("EndpointsNotReady", Some("west"));
    let settled = reason("Settled", None);
    let plans = vec![
        item("shop/web", "east", "Walking", Some(20), &waits),
        item("shop/web", "west", "Walking", Some(5), &waits),
        item("shop/web", "south", "Walking", Some(20), &waits),
        item("shop/api", "east", "Settled", None, &settled),
        item("shop/api", "west", "Settled", None, &settled),
    ];
    insta::assert_snapshot!(matrix(clusters, plans), @r"
    PLAN       west      east      south   REASON
    shop/web   5%!       20%       ?30m    EndpointsNotReady in west
    shop/api   settled   settled   -       Settled

    `!` holds the plan up; `?` does not answer, for so long; `-` the plan is not for it
    ");
}

#[test]
fn what_failed_says_so_and_what_is_nowhere_is_none() {
    let clusters = vec![site("east", None), site("west", None)];
    let (back, new) = (reason("WentBack", None), reason("ClusterNew", Some("west")));
    let mut other = item("shop/api", "east", "Target", Some(100), &new);
    other["repository"] = "others".into();
    let mut unknown = item("shop/api", "west", "Unknown", None, &new);
    unknown["repository"] = "others".into();
    let plans = vec![
        item("shop/web", "east", "WentBack", None, &back),
        item("shop/web", "west", "WentBack", None, &back),
        other,
        unknown,
    ];
    insta::assert_snapshot!(matrix(clusters, plans), @r"
    REPOSITORY   PLAN       east   west    REASON
    plans        shop/web   back   back    WentBack: words that say it
    others       shop/api   100%   none!   ClusterNew in west

    `!` holds the plan up
    ");
}

#[test]
fn one_cluster_that_was_read_itself_is_one_column() {
    let plans = vec![item("shop/web", "prod", "Walking", Some(10), &reason("Hold", None))];
    insta::assert_snapshot!(matrix(Vec::new(), plans), @r"
    PLAN       prod   REASON
    shop/web   10%    Hold
    ");
}

/// A hundred clusters of a hundred plans; `weight` says what a cluster has of a plan, none: it is settled there.
fn hundred(weight: impl Fn(usize, usize) -> Option<u8>, away: &[usize]) -> (Vec<Value>, Vec<Value>) {
    let name = |at: usize| format!("prod-eu-{at:02}");
    let since = |at: usize| away.contains(&at).then_some("2026-11-30T02:00:00Z");
    let clusters = (0..100).map(|at| site(&name(at), since(at))).collect();
    let mut plans = Vec::new();
    for plan in 0..100 {
        let rises = (0..100).any(|cluster| weight(plan, cluster).is_some());
        let why = if rises { reason("Hold", None) } else { reason("Settled", None) };
        for cluster in 0..100 {
            let risen = weight(plan, cluster);
            let phase = if risen.is_some() { "Walking" } else { "Settled" };
            plans.push(item(&format!("shop/plan-{plan:02}"), &name(cluster), phase, risen, &why));
        }
    }
    (clusters, plans)
}

#[test]
fn of_a_hundred_in_a_hundred_what_stands_out_is_seen() {
    // A plan walks in waves of ten clusters, another one is behind in one cluster, and two clusters are away.
    let weight = |plan, cluster| match (plan, cluster) {
        (3, cluster) => Some(if cluster < 10 { 20 } else { 5 }),
        (7, cluster) => Some(if cluster == 42 { 0 } else { 20 }),
        _ => None,
    };
    let (clusters, plans) = hundred(weight, &[17, 80]);
    insta::assert_snapshot!(matrix(clusters, plans), @r"
    PLAN               prod-eu-00 +9   prod-eu-10 +86   prod-eu-17 +1   prod-eu-42   REASON
    shop/plan-00 +97   settled         settled          ?3h             settled      Settled
    shop/plan-03       20%             5%               ?3h             5%           Hold
    shop/plan-07       20%             20%              ?3h             0%           Hold

    `?` does not answer, for so long; `+` so many more that stand alike
    ");
}

#[test]
fn of_a_hundred_that_all_stand_otherwise_those_that_tell_most_are_shown() {
    let weight = |plan, cluster: usize| (plan == 0).then(|| u8::try_from(cluster).unwrap());
    let (clusters, plans) = hundred(weight, &[99]);
    let text = matrix(clusters, plans);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6, "{text}");
    assert!(lines[0].ends_with("prod…-99  REASON"), "the one that is away is shown, in its place: {text}");
    assert_eq!(lines[0].matches("prod…").count(), COLUMNS_MAX, "{text}");
    assert_eq!(lines[3], "80 more clusters stand otherwise and have less to tell: `-o json` has them", "{text}");
    assert!(lines.iter().all(|line| line.chars().count() < 240), "{text}");
}

#[test]
fn clusters_whose_names_differ_in_the_middle_are_told_apart() {
    let regions = ["eu", "us", "ap", "sa", "af"].into_iter();
    let names: Vec<String> =
        regions.flat_map(|region| [1, 2].map(|number| format!("prod-{region}-west-{number}"))).collect();
    let clusters = names.iter().map(|name| site(name, None)).collect();
    let hold = reason("Hold", None);
    let plans = names.iter().enumerate();
    let plans = plans.map(|(at, name)| item("shop/web", name, "Walking", u8::try_from(at).ok(), &hold)).collect();
    let text = matrix(clusters, plans);
    let head: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(head.iter().collect::<BTreeSet<_>>().len(), names.len() + 2, "{text}");
    assert_eq!(&head[1..3], ["prod-e…est-1", "prod-e…est-2"], "no longer than it takes: {text}");
}

#[test]
fn a_name_is_cut_no_shorter_than_tells_it_from_the_others() {
    let names = ["prod-eu-west-1", "prod-us-west-1", "prod-us-east-2", "prod…t-1"];
    let cut = |name: &str| terminal::cut(name, apart(name, names.into_iter(), 8));
    let cuts = names.map(cut);
    assert_eq!(cuts.iter().collect::<BTreeSet<_>>().len(), names.len(), "{cuts:?}");
    assert_eq!(cuts[2], "prod…t-2", "{cuts:?}");
}
