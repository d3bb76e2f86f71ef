use proptest::prelude::*;

use super::*;
use crate::istio::fixtures::{any_goal, any_live, blocks, outline, pin, route, routing, traffic};

fn map(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

fn spec(routing: &Routing, weights: &[(&str, u8)]) -> String {
    outline(&virtual_service(routing, &traffic(weights))["spec"])
}

fn myservice() -> Routing {
    let mut routing = routing("default", "myservice", &["v1", "v2"]);
    routing.port = Some(8080);
    routing.routes = vec![route("http-8080", &["myservice", "myservice.example.com"], &["myservice-gateway", "mesh"])];
    routing
}

#[test]
fn scenario_000_a_step_of_myservice() {
    let object = virtual_service(&myservice(), &traffic(&[("v1", 95), ("v2", 5)]));
    insta::assert_snapshot!(outline(&object), @"
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata:
      name: myservice
      namespace: default
    spec:
      gateways:
      - myservice-gateway
      - mesh
      hosts:
      - myservice.default.svc.cluster.local
      - myservice.example.com
      http:
      - name: http-8080
        route:
        - destination:
            host: myservice.default.svc.cluster.local
            port:
              number: 8080
            subset: v1
          weight: 95
        - destination:
            host: myservice.default.svc.cluster.local
            port:
              number: 8080
            subset: v2
          weight: 5
    ");
}

#[test]
fn scenario_000_pins_stand_before_the_route_and_faults_are_on_all() {
    let mut routing = myservice();
    routing.pins = vec![
        pin("premium", json!([{"headers": {"x-user-type": {"exact": "premium"}}}]), "v2"),
        pin("api-v2", json!([{"uri": {"prefix": "/api/v2/"}}]), "v2"),
    ];
    routing.routes[0].http = map(json!({"fault": {"abort": {"percentage": {"value": 5}, "httpStatus": 500}}}));
    insta::assert_snapshot!(spec(&routing, &[("v1", 100)]), @"
    gateways:
    - myservice-gateway
    - mesh
    hosts:
    - myservice.default.svc.cluster.local
    - myservice.example.com
    http:
    - fault:
        abort:
          httpStatus: 500
          percentage:
            value: 5
      match:
      - headers:
          x-user-type:
            exact: premium
      name: premium
      route:
      - destination:
          host: myservice.default.svc.cluster.local
          port:
            number: 8080
          subset: v2
    - fault:
        abort:
          httpStatus: 500
          percentage:
            value: 5
      match:
      - uri:
          prefix: /api/v2/
      name: api-v2
      route:
      - destination:
          host: myservice.default.svc.cluster.local
          port:
            number: 8080
          subset: v2
    - fault:
        abort:
          httpStatus: 500
          percentage:
            value: 5
      name: http-8080
      route:
      - destination:
          host: myservice.default.svc.cluster.local
          port:
            number: 8080
          subset: v1
    ");
}

#[test]
fn scenario_001_helloworld_of_two_clusters() {
    let mut routing = routing("gray-demo", "helloworld", &["v1", "v2"]);
    let mutual = Some(json!({"tls": {"mode": "ISTIO_MUTUAL"}}));
    routing.port = Some(5000);
    routing.routes = vec![route("http-5000", &["*"], &["gray-demo-gateway"])];
    routing.traffic_policy.clone_from(&mutual);
    routing.versions.iter_mut().for_each(|version| version.traffic_policy.clone_from(&mutual));
    routing.virtual_service.name = "gray-demo-vs".to_owned();
    insta::assert_snapshot!(spec(&routing, &[("v1", 80), ("v2", 20)]), @"
    gateways:
    - gray-demo-gateway
    hosts:
    - *
    http:
    - name: http-5000
      route:
      - destination:
          host: helloworld.gray-demo.svc.cluster.local
          port:
            number: 5000
          subset: v1
        weight: 80
      - destination:
          host: helloworld.gray-demo.svc.cluster.local
          port:
            number: 5000
          subset: v2
        weight: 20
    ");
    insta::assert_snapshot!(outline(&destination_rule(&routing, &routing.versions)), @"
    apiVersion: networking.istio.io/v1
    kind: DestinationRule
    metadata:
      name: helloworld
      namespace: gray-demo
    spec:
      host: helloworld.gray-demo.svc.cluster.local
      subsets:
      - labels:
          version: v1
        name: v1
        trafficPolicy:
          tls:
            mode: ISTIO_MUTUAL
      - labels:
          version: v2
        name: v2
        trafficPolicy:
          tls:
            mode: ISTIO_MUTUAL
      trafficPolicy:
        tls:
          mode: ISTIO_MUTUAL
    ");
}

#[test]
fn scenario_002_reviews_of_bookinfo_has_three_versions_and_leaves_out_the_idle_one() {
    let mut routing = routing("default", "reviews", &["v1", "v2", "v3"]);
    routing.port = Some(9080);
    insta::assert_snapshot!(spec(&routing, &[("v1", 50), ("v3", 50)]), @"
    hosts:
    - reviews.default.svc.cluster.local
    http:
    - name: reviews
      route:
      - destination:
          host: reviews.default.svc.cluster.local
          port:
            number: 9080
          subset: v1
        weight: 50
      - destination:
          host: reviews.default.svc.cluster.local
          port:
            number: 9080
          subset: v3
        weight: 50
    ");
    insta::assert_snapshot!(spec(&routing, &[("v3", 100)]), @"
    hosts:
    - reviews.default.svc.cluster.local
    http:
    - name: reviews
      route:
      - destination:
          host: reviews.default.svc.cluster.local
          port:
            number: 9080
          subset: v3
    ");
}

#[test]
fn scenario_003_myapp_behind_a_gateway_elsewhere() {
    let mut routing = routing("default", "myapp-svc", &["v2", "v3"]);
    routing.port = Some(80);
    routing.routes = vec![route("http-80", &["myapp.com"], &["kubeflow/kubeflow-gateway"])];
    insta::assert_snapshot!(spec(&routing, &[("v2", 10), ("v3", 90)]), @"
    gateways:
    - kubeflow/kubeflow-gateway
    hosts:
    - myapp.com
    http:
    - name: http-80
      route:
      - destination:
          host: myapp-svc.default.svc.cluster.local
          port:
            number: 80
          subset: v2
        weight: 10
      - destination:
          host: myapp-svc.default.svc.cluster.local
          port:
            number: 80
          subset: v3
        weight: 90
    ");
}

#[test]
fn scenario_004_website_has_a_pin_before_any_weight() {
    let mut routing = routing("default", "website", &["version-1", "version-2"]);
    routing.routes = vec![route("http-80", &["website", "www.example.com"], &["website-gateway", "mesh"])];
    routing.routes[0].matches = blocks(json!([{"uri": {"prefix": "/shop/"}}]));
    routing.pins = vec![pin("qa", json!([{"headers": {"qa": {"exact": "canary-test"}}}]), "version-2")];
    insta::assert_snapshot!(spec(&routing, &[("version-1", 100)]), @"
    gateways:
    - website-gateway
    - mesh
    hosts:
    - website.default.svc.cluster.local
    - www.example.com
    http:
    - match:
      - headers:
          qa:
            exact: canary-test
        uri:
          prefix: /shop/
      name: qa
      route:
      - destination:
          host: website.default.svc.cluster.local
          subset: version-2
    - match:
      - uri:
          prefix: /shop/
      name: http-80
      route:
      - destination:
          host: website.default.svc.cluster.local
          subset: version-1
    ");
}

#[test]
fn routes_with_their_own_gateways_and_hosts_are_kept_to_them() {
    let mut routing = routing("shop", "orders", &["v1", "v2"]);
    routing.routes = vec![
        route("edge", &["shop.example.com"], &["edge/public"]),
        route("admin", &["admin.example.com", "orders"], &["edge/public", "mesh"]),
        route("rest", &["orders", "other"], &["mesh"]),
    ];
    routing.routes[1].matches = blocks(json!([{"authority": {"exact": "x"}}, {"method": {"exact": "GET"}}]));
    routing.pins = vec![pin("qa", json!([{"headers": {"qa": {}}}]), "v2")];
    routing.virtual_service.export_to = Some(vec![".".to_owned()]);
    insta::assert_snapshot!(spec(&routing, &[("v1", 100)]), @r#"
    exportTo:
    - .
    gateways:
    - edge/public
    - mesh
    hosts:
    - shop.example.com
    - admin.example.com
    - orders.shop.svc.cluster.local
    - other.shop.svc.cluster.local
    http:
    - match:
      - authority:
          regex: (?i)(shop\.example\.com)\.?(:[0-9]+)?
        gateways:
        - edge/public
        headers:
          qa: {}
      name: qa-edge
      route:
      - destination:
          host: orders.shop.svc.cluster.local
          subset: v2
    - match:
      - authority:
          exact: x
        headers:
          qa: {}
      - authority:
          regex: (?i)(admin\.example\.com|orders(\.shop(\.svc(\.cluster\.local)?)?)?)\.?(:[0-9]+)?
        headers:
          qa: {}
        method:
          exact: GET
      name: qa-admin
      route:
      - destination:
          host: orders.shop.svc.cluster.local
          subset: v2
    - match:
      - authority:
          regex: (?i)(orders(\.shop(\.svc(\.cluster\.local)?)?)?|other(\.shop(\.svc(\.cluster\.local)?)?)?)\.?(:[0-9]+)?
        gateways:
        - mesh
        headers:
          qa: {}
      name: qa-rest
      route:
      - destination:
          host: orders.shop.svc.cluster.local
          subset: v2
    - match:
      - authority:
          regex: (?i)(shop\.example\.com)\.?(:[0-9]+)?
        gateways:
        - edge/public
      name: edge
      route:
      - destination:
          host: orders.shop.svc.cluster.local
          subset: v1
    - match:
      - authority:
          exact: x
      - authority:
          regex: (?i)(admin\.example\.com|orders(\.shop(\.svc(\.cluster\.local)?)?)?)\.?(:[0-9]+)?
        method:
          exact: GET
      name: admin
      route:
      - destination:
          host: orders.shop.svc.cluster.local
          subset: v1
    - match:
      - authority:
          regex: (?i)(orders(\.shop(\.svc(\.cluster\.local)?)?)?|other(\.shop(\.svc(\.cluster\.local)?)?)?)\.?(:[0-9]+)?
        gateways:
        - mesh
      name: rest
      route:
      - destination:
          host: orders.shop.svc.cluster.local
          subset: v1
    "#);
}

#[test]
fn a_version_that_the_plan_no_longer_declares_keeps_its_weight_after_the_others() {
    let routing = routing("default", "reviews", &["v3", "v2"]);
    let object = virtual_service(&routing, &traffic(&[("v1", 70), ("v2", 20), ("v3", 10)]));
    let route = object["spec"]["http"][0]["route"].as_array().unwrap();
    let order: Vec<_> = route.iter().map(|to| (&to["destination"]["subset"], &to["weight"])).collect();
    assert_eq!(order, [(&json!("v3"), &json!(10)), (&json!("v2"), &json!(20)), (&json!("v1"), &json!(70))]);
}

#[test]
fn the_same_gateway_written_twice_is_one_gateway() {
    let mut routing = routing("shop", "orders", &["v1"]);
    routing.routes = vec![route("a", &["orders"], &["local"]), route("b", &["orders"], &["shop/local"])];
    let spec = virtual_service(&routing, &traffic(&[("v1", 100)]))["spec"].clone();
    assert_eq!(spec["gateways"], json!(["local"]));
    assert_eq!(spec["http"][1].get("match"), None);
}

proptest! {
    #[test]
    fn law_01_weights_of_every_route_add_up_and_no_destination_is_idle((routing, traffic) in any_goal()) {
        let object = virtual_service(&routing, &traffic);
        let http = object["spec"]["http"].as_array().unwrap();
        prop_assert_eq!(http.len(), routing.routes.len() * (1 + routing.pins.len()));
        let served = traffic.iter().count();
        for entry in http {
            let route = entry["route"].as_array().unwrap();
            prop_assert!(!route.is_empty() && route.len() <= served.max(1));
            match route.as_slice() {
                [single] => prop_assert!(single.get("weight").is_none()),
                several => {
                    let weights: Vec<u64> = several.iter().map(|to| to["weight"].as_u64().unwrap()).collect();
                    prop_assert_eq!(weights.iter().sum::<u64>(), 100);
                    prop_assert!(!weights.contains(&0));
                }
            }
        }
    }

    #[test]
    fn what_is_told_without_rendering_is_what_is_rendered((routing, traffic) in any_goal(), (_, rule) in any_live()) {
        let object = virtual_service(&routing, &traffic);
        prop_assert_eq!(referenced(&routing, &traffic), lens::referenced(&object, &routing.service, true));
        let subsets = rule["spec"]["subsets"].as_array().cloned().unwrap_or_default();
        for version in &routing.versions {
            prop_assert!(is_subset(&subset(version), version));
            for live in &subsets {
                prop_assert_eq!(is_subset(live, version), same(live, &subset(version)));
            }
        }
    }

    #[test]
    fn nothing_that_is_written_is_null((routing, _) in any_goal()) {
        let object = destination_rule(&routing, &routing.versions);
        prop_assert_eq!(without_nulls(&object), object);
    }
}
