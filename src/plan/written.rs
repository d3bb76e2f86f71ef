//! Writes a plan back as the `spec` of a document, with every default filled in.

use serde_json::{Map, Value, json};

use super::{Chosen, DriftPolicy, ObjectSpec, OnFailure, Plan, Readiness, Version};

impl Plan {
    /// The `spec` that reads as this plan: what is left out in the document stands here as what it means.
    pub fn written(&self) -> Value {
        let routing = &self.routing;
        let mut spec = Map::new();
        let mut put = |field: &str, value: Value| spec.insert(field.to_owned(), value);
        let service =
            routing.service.service().map_or_else(|| routing.service.to_string(), |(short, _)| short.to_owned());
        put("service", json!(service));
        if let Some(port) = routing.port {
            put("port", json!(port));
        }
        let versions: Map<String, Value> =
            routing.versions.iter().map(|version| (version.name.to_string(), written_version(version))).collect();
        put("versions", Value::Object(versions));
        if let Some(policy) = &routing.traffic_policy {
            put("trafficPolicy", policy.clone());
        }
        let routes = routing.routes.iter().map(|route| {
            let (name, hosts, gateways) = (&route.name, &route.hosts, &route.gateways);
            let mut written = json!({"name": name, "hosts": hosts, "gateways": gateways});
            if let Some(fields) = written.as_object_mut() {
                if !route.matches.is_empty() {
                    fields.insert("match".to_owned(), json!(route.matches));
                }
                if !route.http.is_empty() {
                    fields.insert("http".to_owned(), json!(route.http));
                }
            }
            written
        });
        put("routes", routes.collect());
        if !routing.pins.is_empty() {
            let pins = routing.pins.iter().map(|pin| json!({"name": pin.name, "match": pin.matches, "to": pin.to}));
            put("pins", pins.collect());
        }
        if let Some(from) = &self.from {
            put("from", json!(from));
        }
        put("traffic", json!(self.traffic));
        if !self.steps.is_empty() {
            let steps = self.steps.iter().map(|step| match &step.name {
                Some(name) => json!({"name": name, "weight": step.weight, "hold": step.hold}),
                None => json!({"weight": step.weight, "hold": step.hold}),
            });
            put("steps", steps.collect());
        }
        put("settle", json!({"hold": self.settle}));
        let objects = json!({
            "virtualService": written_object(&routing.virtual_service),
            "destinationRule": written_object(&routing.destination_rule),
        });
        put("objects", objects);
        put(
            "driftPolicy",
            json!(match self.drift {
                DriftPolicy::Correct => "correct",
                DriftPolicy::Warn => "warn",
            }),
        );
        put(
            "onFailure",
            json!(match self.on_failure {
                OnFailure::Rollback => "rollback",
                OnFailure::Hold => "hold",
            }),
        );
        if !self.waves.is_empty() {
            put("waves", json!(self.waves));
        }
        if let Some(quorum) = self.quorum {
            put("barrier", json!({"quorum": quorum}));
        }
        put("onPartial", json!(self.on_partial));
        put("attempt", json!(self.attempt));
        put("progressDeadline", json!(self.progress_deadline));
        let Readiness { min_endpoints, capacity_percent, way_back_percent } = self.readiness;
        let factor = match (capacity_percent / 100, capacity_percent % 100) {
            (whole, 0) => json!(whole),
            _ => json!(f64::from(capacity_percent) / 100.0),
        };
        put("ready", json!({"minEndpoints": min_endpoints, "capacityFactor": factor}));
        put("wayBack", json!({"minReady": format!("{way_back_percent}%")}));
        let clusters = match &self.clusters {
            Chosen::All => None,
            Chosen::Named(names) => Some(json!(names)),
            Chosen::Labelled(labels) => Some(json!({"matchLabels": labels})),
        };
        if let Some(clusters) = clusters {
            put("clusters", clusters);
        }
        let flags = [
            ("takeOwnership", self.take_ownership),
            ("prune", self.prune),
            ("pause", self.pause),
            ("suspend", self.suspend),
        ];
        for (field, flag) in flags.into_iter().filter(|(_, flag)| *flag) {
            put(field, json!(flag));
        }
        Value::Object(spec)
    }
}

fn written_version(version: &Version) -> Value {
    let mut fields = Map::from_iter([("labels".to_owned(), json!(version.labels))]);
    if let Some(policy) = &version.traffic_policy {
        fields.insert("trafficPolicy".to_owned(), policy.clone());
    }
    if let Some(build) = &version.build {
        fields.insert("build".to_owned(), json!(build));
    }
    Value::Object(fields)
}

fn written_object(object: &ObjectSpec) -> Value {
    match &object.export_to {
        Some(export_to) => json!({"name": object.name, "exportTo": export_to}),
        None => json!({"name": object.name}),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use super::*;
    use crate::plan::{Document, fields, parse_file};

    const FULL: &str = r#"
apiVersion: tidegate.dev/v1alpha1
kind: CanaryPlan
metadata: {name: web, namespace: shop}
spec:
  service: web
  port: 8080
  hosts: [web, www.example.com]
  gateways: [mesh, edge/public]
  versions:
    v1: {labels: {version: v1}}
    v2: {labels: {version: v2}, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}, build: "7"}
  trafficPolicy: {connectionPool: {tcp: {maxConnections: 9}}}
  routes:
    - {name: one, match: [{uri: {prefix: /a/}}], http: {timeout: 10s}}
    - {name: rest, hosts: [web], gateways: [mesh]}
  pins: [{name: qa, match: [{headers: {qa: {exact: "1"}}}], to: v2}]
  from: {v1: 100}
  traffic: {v1: 40, v2: 60}
  steps: [{name: first, weight: 5, hold: 10m}, {weight: 25, hold: 1h30m}]
  settle: {hold: 2h}
  objects: {virtualService: {name: web-vs, exportTo: ["."]}, destinationRule: {name: web-dr}}
  driftPolicy: warn
  onFailure: hold
  waves: [[east], [west, north]]
  barrier: {quorum: 2}
  onPartial: rollback-failed
  attempt: 3
  progressDeadline: 20m
  ready: {minEndpoints: 3, capacityFactor: 0.75}
  wayBack: {minReady: 80%}
  takeOwnership: true
  prune: true
  pause: true
  suspend: true
  clusters: {matchLabels: {region: eu}}
"#;

    fn plan(text: &str) -> Arc<Plan> {
        let file = parse_file("web.yaml", text.as_bytes());
        let plans = file.documents.into_iter().filter_map(|(document, _)| match document {
            Document::Plan(plan) => Some(plan),
            Document::Object(_) => None,
        });
        plans.last().unwrap_or_else(|| panic!("{:?}", file.findings))
    }

    #[test]
    fn what_is_written_reads_as_the_same_plan() {
        let least = "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {name: a}\nspec: {service: a, versions: \
                     {v1: {labels: {v: '1'}}}, traffic: {v1: 100}}";
        let shown = [
            include_str!("../../plans/bookinfo.yaml"),
            include_str!("../../plans/helloworld.yaml"),
            include_str!("../../plans/kubeflow.yaml"),
            include_str!("../../plans/myservice.yaml"),
            include_str!("../../plans/website.yaml"),
        ];
        for text in shown.into_iter().chain([FULL, least]) {
            let plan = plan(text);
            let metadata = json!({"name": plan.key.name, "namespace": plan.key.namespace});
            let document = json!({"apiVersion": fields::API_VERSION, "kind": fields::KIND, "metadata": metadata,
                "spec": plan.written()});
            let again = self::plan(&document.to_string());
            assert_eq!(*again, Plan { digest: again.digest.clone(), ..Plan::clone(&plan) });
        }
    }

    #[test]
    fn every_field_that_a_plan_may_have_is_written() {
        let spec = fields::PLAN.iter().find(|field| field.name == "spec").unwrap();
        let fields::Shape::Object(spec) = spec.shape else { panic!("spec is no object") };
        let known = spec.iter().filter(|field| field.status != fields::Status::Later).map(|field| field.name);
        let written = plan(FULL).written();
        let written: BTreeSet<&str> = written.as_object().unwrap().keys().map(String::as_str).collect();
        // Those of the only route, or of all, stand in the routes.
        let of_routes = ["hosts", "gateways", "match", "http", "name"];
        let missing: Vec<&str> = known.filter(|name| !written.contains(name) && !of_routes.contains(name)).collect();
        assert_eq!(missing, [""; 0]);
    }
}
