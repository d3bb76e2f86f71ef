//! Says what tidegate relies on in an API server; it holds for the sandbox and for a real kube-apiserver alike.
//!
//! The suite works in namespaces of its own and needs Istio's CustomResourceDefinitions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]
#![allow(missing_docs, reason = "the sentences are the names of the functions")]

mod apply;
mod delete;
mod kinds;
mod limits;
mod list;
mod patch;
mod watch;
mod write;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

/// Checks everything, each part in a fresh namespace.
pub async fn suite(client: Client) {
    write::an_object_gets_what_the_server_keeps_about_it(&Room::new(&client).await).await;
    write::a_name_is_taken_once_and_a_namespace_must_be_there(&Room::new(&client).await).await;
    write::a_generation_counts_changes_of_the_spec_alone(&Room::new(&client).await).await;
    write::a_replacement_must_name_the_version_it_replaces(&Room::new(&client).await).await;
    write::a_rehearsal_changes_nothing(&Room::new(&client).await).await;
    patch::a_json_patch_is_all_or_nothing(&Room::new(&client).await).await;
    patch::a_merge_patch_may_name_the_version_it_expects(&Room::new(&client).await).await;
    patch::a_patch_of_the_wrong_form_is_refused(&Room::new(&client).await).await;
    patch::a_destination_needs_a_host_and_a_weight_is_an_integer(&Room::new(&client).await).await;
    apply::a_field_of_another_manager_is_a_conflict(&Room::new(&client).await).await;
    apply::what_is_no_longer_applied_goes(&Room::new(&client).await).await;
    delete::preconditions_are_kept(&Room::new(&client).await).await;
    delete::a_finalizer_holds_an_object(&Room::new(&client).await).await;
    delete::a_collection_is_deleted_by_selector(&Room::new(&client).await).await;
    list::objects_are_picked_by_labels_and_fields(&Room::new(&client).await).await;
    list::a_list_in_pages_is_one_state(&Room::new(&client).await).await;
    list::options_that_mean_nothing_are_refused(&Room::new(&client).await).await;
    kinds::istio_is_discovered_in_three_versions(&Room::new(&client).await).await;
    kinds::a_status_is_written_through_its_subresource_alone(&Room::new(&client).await).await;
    kinds::leases_events_and_slices_are_kept(&Room::new(&client).await).await;
    limits::sizes_are_limited(&Room::new(&client).await).await;
    watch::a_watcher_sees_every_change(&Room::new(&client).await, false).await;
    watch::a_watcher_sees_every_change(&Room::new(&client).await, true).await;
    watch::a_selector_turns_changes_into_arrivals_and_departures(&Room::new(&client).await).await;
    watch::pods_are_watched_by_their_metadata(&Room::new(&client).await).await;
    watch::a_watch_resumes_where_it_left_off(&Room::new(&client).await).await;
}

/// A namespace of its own for one part of the suite.
pub struct Room {
    pub client: Client,
    pub namespace: String,
}

impl Room {
    async fn new(client: &Client) -> Self {
        let namespaces: Api<DynamicObject> = Api::all_with(client.clone(), &kind("", "v1", "Namespace"));
        let wanted = object(json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "conformance-"}
        }));
        let made = namespaces.create(&PostParams::default(), &wanted).await.expect("a namespace is created");
        Self { client: client.clone(), namespace: made.name_any() }
    }

    pub fn api(&self, group: &str, version: &str, name: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind(group, version, name))
    }

    pub fn services(&self) -> Api<DynamicObject> {
        self.api("networking.istio.io", "v1", "VirtualService")
    }

    pub async fn create(&self, body: Value) -> DynamicObject {
        self.services().create(&PostParams::default(), &object(body)).await.expect("an object is created")
    }
}

pub fn kind(group: &str, version: &str, kind: &str) -> ApiResource {
    let mut resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    if kind == "Endpoints" {
        resource.plural = "endpoints".into();
    }
    resource
}

pub fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).expect("an object is written correctly in the test")
}

pub fn web(name: &str, weights: [i64; 2]) -> Value {
    let leg = |subset: &str, weight: i64| json!({"destination": {"host": "web", "subset": subset}, "weight": weight});
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"hosts": ["web"], "http": [{"route": [leg("v1", weights[0]), leg("v2", weights[1])]}]}
    })
}

/// Returns the code, reason and message of a refusal.
pub fn refused<T: std::fmt::Debug>(result: kube::Result<T>) -> (u16, String, String) {
    match result {
        Err(kube::Error::Api(status)) => (status.code, status.reason.clone(), status.message.clone()),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

pub fn version(object: &DynamicObject) -> String {
    object.resource_version().expect("an object has a version")
}

pub fn generation(object: &DynamicObject) -> i64 {
    object.metadata.generation.expect("an object has a generation")
}
