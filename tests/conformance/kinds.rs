use super::*;
use kube::api::{Patch, PatchParams};

pub async fn istio_is_discovered_in_three_versions(room: &Room) {
    let gvk = GroupVersionKind::gvk("networking.istio.io", "v1", "VirtualService");
    let (found, capabilities) = kube::discovery::pinned_kind(&room.client, &gvk).await.expect("it is served");
    assert_eq!(found.plural, "virtualservices");
    assert!(capabilities.supports_operation("watch"));
    let group = kube::discovery::group(&room.client, "networking.istio.io").await.expect("the group is served");
    assert_eq!(group.preferred_version(), Some("v1"));
    assert!(kube::discovery::group(&room.client, "nobody.example.com").await.is_err());
    assert_eq!(room.client.apiserver_version().await.unwrap().major, "1");
    room.create(web("web", [100, 0])).await;
    for version in ["v1", "v1beta1", "v1alpha3"] {
        let seen = room.api("networking.istio.io", version, "VirtualService").get("web").await.unwrap();
        assert_eq!(seen.types.unwrap().api_version, format!("networking.istio.io/{version}"));
    }
    let definitions: Api<DynamicObject> =
        Api::all_with(room.client.clone(), &kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition"));
    let definition = definitions.get("virtualservices.networking.istio.io").await.unwrap();
    assert_eq!(definition.data["spec"]["names"]["kind"], "VirtualService");
}

pub async fn a_status_is_written_through_its_subresource_alone(room: &Room) {
    let made = room.create(web("web", [100, 0])).await;
    let patch = Patch::Merge(json!({"status": {"observedGeneration": "1"}, "spec": {"hosts": ["x"]}}));
    let seen = room.services().patch_status("web", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(seen.data["status"]["observedGeneration"], "1");
    assert_eq!(seen.data["spec"], made.data["spec"]);
    assert_eq!(generation(&seen), 1);
    let container = json!({"name": "c", "image": "i"});
    let deployments = room.api("apps", "v1", "Deployment");
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
        }
    });
    deployments.create(&PostParams::default(), &object(deployment)).await.unwrap();
    let patch = Patch::Merge(json!({"status": {"replicas": 9}, "spec": {"replicas": 3}}));
    let seen = deployments.patch("web", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!((generation(&seen), &seen.data["spec"]["replicas"]), (2, &json!(3)));
    assert!(seen.data["status"].get("replicas").is_none());
    let seen = deployments.patch_status("web", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!((generation(&seen), &seen.data["status"]["replicas"]), (2, &json!(9)));
    let pods = room.api("", "v1", "Pod");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}
    });
    let made = pods.create(&PostParams::default(), &object(pod)).await.unwrap();
    assert_eq!(made.data["status"]["phase"], "Pending");
    let ready = json!({"status": {"phase": "Running"}, "metadata": {"labels": {"ready": "yes"}}});
    let seen = pods.patch_status("p", &PatchParams::default(), &Patch::Merge(ready)).await.unwrap();
    assert_eq!((generation(&seen), seen.data["status"]["phase"].as_str()), (1, Some("Running")));
    assert_eq!(seen.labels().get("ready").map(String::as_str), Some("yes"));
}

pub async fn leases_events_and_slices_are_kept(room: &Room) {
    let leases = room.api("coordination.k8s.io", "v1", "Lease");
    let lease = |holder: &str| {
        object(json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15}
        }))
    };
    let made = leases.create(&PostParams::default(), &lease("one")).await.unwrap();
    let mut next = lease("two");
    assert_eq!(refused(leases.replace("l", &PostParams::default(), &next).await).0, 422);
    next.metadata.resource_version = made.resource_version();
    leases.replace("l", &PostParams::default(), &next).await.unwrap();
    assert_eq!(refused(leases.replace("l", &PostParams::default(), &next).await).0, 409);

    let events = room.api("events.k8s.io", "v1", "Event");
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"},
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "tidegate", "reportingInstance": "t",
        "action": "Shift", "reason": "Shifted", "type": "Normal", "note": "moved",
        "regarding": {"kind": "VirtualService", "name": "web", "namespace": room.namespace}
    });
    events.create(&PostParams::default(), &object(event)).await.unwrap();
    let seen = room.api("", "v1", "Event").get("e").await.unwrap();
    assert_eq!((&seen.data["message"], &seen.data["involvedObject"]["name"]), (&json!("moved"), &json!("web")));

    let slices = room.api("discovery.k8s.io", "v1", "EndpointSlice");
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "s"},
        "addressType": "IPv4", "endpoints": [{"addresses": ["10.1.1.1"], "conditions": {"ready": true}}]
    });
    let made = slices.create(&PostParams::default(), &object(slice)).await.unwrap();
    assert_eq!(generation(&made), 1);
    let patch = json!({"endpoints": [{"addresses": ["10.1.1.2"], "conditions": {"ready": false}}]});
    let seen = slices.patch("s", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    assert_eq!(generation(&seen), 2);
}
