//! Rules between a cluster and the others of its mesh.

use super::*;

/// What is found about our route in a cluster with these objects, beside one other.
fn of(own: Vec<Value>, there: Vec<Value>, is_remote: bool, known: Known) -> Vec<(&'static str, String)> {
    let route = route(json!({}));
    let members: Vec<Member<'_>> = std::iter::once(Member { object: &route, whose: Whose::Rendered })
        .chain(own.iter().map(|object| Member { object, whose: Whose::Other }))
        .collect();
    let others = [Beyond { cluster: "west", is_remote, objects: &there, known }];
    check_beyond(&members, known, &others).into_iter().map(|(_, found)| (found.code, found.pointer)).collect()
}

fn split() -> (Vec<Value>, Vec<Value>) {
    let mut pods = pods();
    let v2 = pods.pop().unwrap();
    let here = [vec![good_service(), rule("shop", "web", "web", &["v1", "v2"])], pods].concat();
    (here, vec![good_service(), v2])
}

#[test]
fn a_service_that_another_cluster_lacks_is_told_once() {
    let (here, there) = split();
    assert_eq!(of(here.clone(), there.clone(), false, ALL), []);
    let at = "/spec/http/0/route/0/destination".to_owned();
    assert_eq!(of(here.clone(), vec![], false, ALL), [(TG41, at)]);
    assert_eq!(of(here, vec![], false, NOTHING), [], "what nobody showed is not missed");
}

#[test]
fn what_stands_in_a_remote_for_the_same_hosts_is_read_by_nobody() {
    let (here, mut there) = split();
    there.extend([route(json!({})), rule("shop", "web", "web", &["v1"]), rule("shop", "api", "api", &["v1"])]);
    let at = "/spec/hosts/0".to_owned();
    assert_eq!(of(here.clone(), there.clone(), true, ALL), [(TG42, at.clone()), (TG42, at)]);
    assert_eq!(of(here, there, false, ALL), [], "another primary has its own");
}

#[test]
fn pods_of_another_cluster_are_not_reached_where_callers_stay_in_their_own() {
    let (mut here, there) = split();
    let settings = json!([{"settings": {"clusterLocal": true}, "hosts": ["*.shop.svc.cluster.local"]}]);
    here.push(object("MeshConfig", "istio-system", "istio", json!({"serviceSettings": settings})));
    let at = "/spec/http/0/route/1/destination/subset".to_owned();
    assert_eq!(of(here.clone(), there.clone(), false, ALL), [(TG19, at.clone())]);
    here.push(json!({"kind": "Pod", "metadata": {"namespace": "shop", "name": "api", "labels": {"app": "api", "version": "v2"}}}));
    assert_eq!(of(here.clone(), there.clone(), false, ALL), [(TG19, at)], "a pod of another Service");
    here.extend(pods().pop());
    assert_eq!(of(here, there, false, ALL), []);
}
