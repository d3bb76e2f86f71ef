use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::istio::{
    fixtures::{any_goal, any_json, live, pin, routing, traffic},
    lens, virtual_service,
};

fn shares(shares: &BTreeMap<VersionName, u8>) -> String {
    shares.iter().map(|(version, weight)| format!("{version}={weight} ")).collect()
}

#[test]
fn a_short_host_and_a_missing_weight_are_read_as_istio_reads_them() {
    let routing = routing("default", "reviews", &["v1", "v2"]);
    let to = |subset: &str| json!({"destination": {"host": "reviews", "subset": subset}});
    let mut object = live(virtual_service(&routing, &traffic(&[("v1", 100)])));
    object["spec"]["http"] = json!([{"route": [to("v2")]}]);
    object["spec"]["http"][0]["route"][0]["weight"] = json!(0);
    let read = live_shares(&object, &routing);
    assert_eq!(read.traffic, Some(traffic(&[("v2", 100)])), "a single destination gets everything");
    assert_eq!(read.foreign, [""; 0]);

    object["spec"]["http"][0]["route"] = json!([to("v1"), to("v2")]);
    object["spec"]["http"][0]["route"][0]["weight"] = json!(100);
    assert_eq!(live_shares(&object, &routing).traffic, Some(traffic(&[("v1", 100)])));
}

#[test]
fn weights_that_do_not_add_up_count_in_proportion_and_are_no_traffic() {
    let routing = routing("default", "reviews", &["v1", "v2"]);
    let mut object = live(virtual_service(&routing, &traffic(&[("v1", 90), ("v2", 10)])));
    object["spec"]["http"][0]["route"][1]["weight"] = json!(30);
    let read = live_shares(&object, &routing);
    assert_eq!(
        (shares(&read.per_version_min), shares(&read.per_version_max)),
        ("v1=75 v2=25 ".into(), "v1=75 v2=25 ".into())
    );
    assert_eq!(read.traffic, None);
    object["spec"]["http"][0]["route"][1]["weight"] = json!(1);
    let read = live_shares(&object, &routing);
    assert_eq!(
        (shares(&read.per_version_min), shares(&read.per_version_max)),
        ("v1=98 v2=1 ".into(), "v1=99 v2=2 ".into())
    );
}

#[test]
fn routes_that_differ_show_the_least_and_the_most_and_pins_do_not_count() {
    let mut routing = routing("default", "reviews", &["v1", "v2", "v3"]);
    routing.pins = vec![pin("qa", json!([{"headers": {"qa": {}}}]), "v3")];
    let mut object = live(virtual_service(&routing, &traffic(&[("v1", 90), ("v2", 10)])));
    let mut second = object["spec"]["http"][1].clone();
    second["route"][0]["weight"] = json!(60);
    second["route"][1]["weight"] = json!(40);
    object["spec"]["http"].as_array_mut().unwrap().push(second);
    let read = live_shares(&object, &routing);
    assert_eq!(shares(&read.per_version_min), "v1=60 v2=10 v3=0 ");
    assert_eq!(shares(&read.per_version_max), "v1=90 v2=40 v3=0 ");
    assert_eq!(
        (read.traffic, read.foreign),
        (None, vec!["`http` routes beside the pins: 2, the plan has 1".to_owned()])
    );
}

#[test]
fn what_the_plan_would_not_write_is_listed() {
    let routing = routing("default", "reviews", &["v1", "v2"]);
    let mut object = live(virtual_service(&routing, &traffic(&[("v1", 100)])));
    object["spec"]["tcp"] = json!([{}]);
    object["spec"]["http"] = json!([{
        "name": "old\n", "match": [{"uri": {"prefix": "/"}}], "timeout": "5s", "redirect": {"uri": "/"},
        "route": [
            {"destination": {"host": "reviews.other.svc.cluster.local", "subset": "v1"}, "weight": 10},
            {"destination": {"host": "reviews"}, "weight": 10},
            {"destination": {"host": "reviews", "subset": "v7", "port": {"number": 81}}, "weight": 10, "headers": {}},
            {"destination": {"host": "reviews", "subset": "v1"}, "weight": 70},
        ],
    }]);
    let read = live_shares(&object, &routing);
    assert_eq!((shares(&read.per_version_max), read.traffic), ("v1=70 v2=0 v7=10 ".to_owned(), None));
    insta::assert_snapshot!(read.foreign.join("\n"), @r#"
    route "old\n": `name` is not what the plan has
    route "old\n": `match` is not what the plan has
    route "old\n": `redirect` is not what the plan has
    route "old\n": `timeout` is not what the plan has
    route "old\n" goes to host "reviews.other.svc.cluster.local", the plan's is reviews.default.svc.cluster.local
    route "old\n" goes to "reviews" without a subset
    route "old\n" goes to port 81
    route "old\n": a destination has `headers`
    route "old\n" goes to subset "v7", which is no version of the plan
    `tcp` routes: 1, the plan has none
    "#);
}

#[test]
fn law_14_hosts_and_gateways_are_full_names() {
    let object = json!({
        "metadata": {"namespace": "shop"},
        "spec": {"hosts": ["reviews", "*", "A.example.com"], "gateways": ["mesh", "local", "./near", "edge/far", "old.edge.svc.cluster.local"]},
    });
    let hosts: Vec<String> = lens::hosts(&object).iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["reviews.shop.svc.cluster.local", "*", "a.example.com"]);
    assert_eq!(lens::gateways(&object), ["mesh", "shop/local", "shop/near", "edge/far", "edge/old"]);
    assert_eq!(lens::gateways(&json!({})), ["mesh"]);
}

proptest! {
    #[test]
    fn no_json_makes_a_view_panic(object in any_json(), spec in any_json(), (routing, _) in any_goal()) {
        for object in [object, json!({"metadata": {"namespace": "shop"}, "spec": spec.clone()}), json!({"spec": {"http": [spec]}})] {
            let read = live_shares(&object, &routing);
            prop_assert!(read.foreign.len() <= FOREIGN_MAX);
            prop_assert!(read.per_version_max.values().all(|weight| *weight <= 100));
            let _ = (lens::hosts(&object), lens::gateways(&object), lens::uid(&object), lens::generation(&object));
            let _ = (lens::labels(&object), lens::annotation(&object, "x"), lens::subsets(&object).count());
            let _ = lens::referenced(&object, &routing.service, true);
        }
    }

    #[test]
    fn what_is_written_reads_back_with_nothing_foreign((routing, traffic) in any_goal()) {
        let read = live_shares(&live(virtual_service(&routing, &traffic)), &routing);
        prop_assert_eq!(read.traffic, Some(traffic));
        prop_assert_eq!(read.foreign, Vec::<String>::new());
    }
}
