use std::path::Path;

use super::{Configuration, configuration};
use crate::{
    cluster::{Access, Gateways, Istiods, Member, Role, SecretName},
    plan::{Finding, render},
};

mod repositories;

const HEAD: &str = "apiVersion: tidegate.dev/v1alpha1\nkind: Configuration\n";

fn read(text: &str) -> Result<Configuration, Vec<Finding>> {
    configuration(Path::new("/etc/tidegate/tidegate.yaml"), text.as_bytes())
}

/// The clusters of a file of one line each.
fn clusters(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("  - {{{line}}}\n")).collect();
    format!("{HEAD}clusters:\n{lines}")
}

/// Code and bytes of everything that is wrong.
fn wrong(text: &str) -> Vec<(&'static str, String)> {
    let findings = read(text).expect_err(text);
    let at = |finding: &Finding| finding.place.as_ref().map(|place| text[place.start..place.end].to_owned());
    findings.iter().map(|finding| (finding.code, at(finding).unwrap())).collect()
}

#[test]
fn every_field_is_read_and_files_are_seen_from_the_folder_of_the_configuration() {
    let text = format!(
        "{HEAD}clusters:\n\
         - name: here\n  inCluster: true\n  labels: {{region: eu}}\n  istiod: auto\n  gatewayAdmin: auto\n\
         - {{name: eu-1, kubeconfig: clusters.yaml, context: eu, istiod: ['http://10.0.0.1:15014'], istiodToken: token}}\n\
         - {{name: us-1, secret: {{namespace: istio-system, name: istio-remote-secret-us-1}}, limits: {{writes: 4}}}}\n\
         - {{name: us-2, context: us-2, istiod: 'http://istiod:15014', gatewayAdmin: 'http://10.0.0.2:15000'}}\n"
    );
    let Configuration { repositories, clusters } = read(&text).unwrap();
    assert_eq!(repositories, [], "they are named by flags");
    assert_eq!(clusters.iter().map(|one| one.writes_max).collect::<Vec<_>>(), [None, None, Some(4), None]);
    let [here, eu, us, us_2] = &clusters[..] else { panic!("{clusters:?}") };
    assert_eq!((here.name.as_str(), here.labels["region"].as_str(), here.access.in_cluster), ("here", "eu", true));
    let asked = here.proxies.as_ref().unwrap();
    let Istiods::In(pods) = &asked.istiods else { panic!("{asked:?}") };
    assert_eq!((pods.namespace.as_str(), pods.labels.as_str()), ("istio-system", "app=istiod"));
    assert_eq!(asked.gateways, Gateways::In);
    let file = Access {
        kubeconfig: Some("/etc/tidegate/clusters.yaml".into()),
        context: Some("eu".into()),
        ..Access::default()
    };
    assert_eq!(eu.access, file);
    let asked = eu.proxies.as_ref().unwrap();
    assert!(matches!(&asked.istiods, Istiods::At(urls) if urls[0].host() == Some("10.0.0.1")), "{asked:?}");
    assert_eq!(asked.token_file.as_deref(), Some(Path::new("/etc/tidegate/token")));
    let secret = SecretName { namespace: "istio-system".into(), name: "istio-remote-secret-us-1".into() };
    assert_eq!((us.access.secret.as_ref(), us.proxies.as_ref()), (Some(&secret), None));
    assert!(matches!(us_2.proxies.as_ref().unwrap().gateways, Gateways::At(_)));
}

#[test]
fn whatever_is_wrong_is_found_where_it_stands() {
    let here = "name: here, inCluster: true";
    let with = |more: &str| clusters(&format!("{here}{more}"));
    let cases = [
        (format!("{HEAD}cluster: []\n"), vec![("PL04", "apiVersion"), ("PL01", "cluster")]),
        (format!("{HEAD}clusters: []\n"), vec![("PL04", "clusters")]),
        (format!("{HEAD}clusters: 3\n"), vec![("PL03", "3")]),
        (with(", kubeconfg: a"), vec![("PL01", "kubeconfg")]),
        (clusters("inCluster: true"), vec![("PL04", "{")]),
        (clusters("name: 'a b', inCluster: true"), vec![("PL06", "'a b'")]),
        (clusters(&format!("{here}\n{here}")), vec![("CF01", "here")]),
        (clusters("name: a"), vec![("CF02", "a")]),
        (clusters("name: a, inCluster: false"), vec![("CF02", "a")]),
        (with(", context: b"), vec![("CF02", "here")]),
        (clusters("name: a, secret: {name: b}"), vec![("PL04", "secret")]),
        (clusters("name: a, secret: {name: B, namespace: c.d}"), vec![("PL06", "B"), ("PL06", "c.d")]),
        (with(", labels: {'a b': c, d: 5}"), vec![("PL06", "'a b'"), ("PL03", "5")]),
        (with(", istiod: 'istiod:15014'"), vec![("CF03", "'istiod:15014'")]),
        (with(", istiod: ['http://a:1', auto]"), vec![("CF03", "auto")]),
        (with(", istiod: []"), vec![("PL04", "[")]),
        (with(", istiod: {a: b}"), vec![("PL03", "{")]),
        (with(", limits: {writes: 33}"), vec![("PL17", "33")]),
        (with(", gatewayAdmin: auto"), vec![("PL04", "gatewayAdmin")]),
        (with(", mesh: 'a b'"), vec![("PL06", "'a b'")]),
        (with(", role: secondary"), vec![("PL03", "secondary")]),
        (with(", role: remote"), vec![("CF04", "remote")]),
        (with(", role: remote, mesh: m"), vec![("CF04", "remote")]),
        (clusters(&format!("{here}, mesh: n\nname: b, context: b, mesh: m, role: remote")), vec![("CF04", "remote")]),
        (
            clusters(&format!(
                "{here}, mesh: m\nname: b, context: b, mesh: m, role: remote, istiod: auto, gatewayAdmin: auto"
            )),
            vec![("CF04", "istiod"), ("CF04", "gatewayAdmin")],
        ),
        (clusters(here).replace("v1alpha1", "v2"), vec![("PL05", "")]),
        (clusters(here).replace("Configuration", "CanaryPlan"), vec![("PL05", "")]),
        (format!("{}---\n{}", clusters(here), clusters(here)), vec![("FI04", "apiVersion")]),
        (format!("{}clusters: []\n", clusters(here)), vec![("FI04", "clusters")]),
        (String::new(), vec![("PL04", "")]),
    ];
    for (text, expected) in cases {
        let expected: Vec<_> = expected.into_iter().map(|(code, at)| (code, at.to_owned())).collect();
        assert_eq!(wrong(&text), expected, "{text}");
    }
}

#[test]
fn clusters_of_one_mesh_are_primaries_and_remotes_of_them() {
    let text =
        clusters("name: a, context: a, mesh: m\nname: b, context: b, mesh: m, role: remote\nname: c, context: c");
    let of = |cluster: &Member| (cluster.mesh.clone(), cluster.role);
    let found: Vec<_> = read(&text).unwrap().clusters.iter().map(of).collect();
    let mesh = || Some("m".to_owned());
    assert_eq!(found, [(mesh(), Role::Primary), (mesh(), Role::Remote), (None, Role::Primary)]);
}

#[test]
fn a_finding_shows_the_line_and_what_was_meant() {
    let text = clusters("name: eu-1, contxt: eu");
    let found: Vec<String> =
        read(&text).unwrap_err().iter().map(|finding| render(finding, Some(&text), false)).collect();
    insta::assert_snapshot!(found.join("\n"), @r"
    error[PL01]: unknown field `contxt`
     --> /etc/tidegate/tidegate.yaml:4:18
      |
    4 |   - {name: eu-1, contxt: eu}
      |                  ^^^^^^
      |
      = help: did you mean `context`?
    ");
}

#[test]
fn a_kubeconfig_that_is_given_instead_is_not_quoted() {
    let text = "apiVersion: v1\nkind: Config\nusers: [{name: a, user: {token: kept-secret}}]\nclusters: []\n";
    let findings = read(text).unwrap_err();
    let shown: Vec<String> = findings.iter().map(|finding| render(finding, Some(text), false)).collect();
    assert_eq!(shown.len(), 2);
    assert!(shown.concat().contains("`kind` is `Config`") && !shown.concat().contains("kept-secret"), "{shown:?}");
}

proptest::proptest! {
    /// No text makes the reader fail, and every place is one of the file.
    #[test]
    fn any_text_is_read_or_refused_within_its_bytes(
        text in proptest::collection::vec("(name|clusters|secret|istiod|labels|[-a-z{}:,\\[\\]&*!|>'\"# \u{e9}]{0,3}|: |\n *|\n---\n)", 0..40)
    ) {
        let text = format!("{HEAD}clusters:\n- {}", text.concat());
        for finding in read(&text).err().into_iter().flatten() {
            let place = finding.place.clone().unwrap();
            proptest::prop_assert!(text.get(place.start..place.end).is_some(), "{finding:?}");
            render(&finding, Some(&text), false);
        }
    }
}

#[test]
fn the_example_that_is_deployed_is_accepted() {
    let Configuration { repositories, clusters } = read(include_str!("../../deploy/clusters/tidegate.yaml")).unwrap();
    assert_eq!(repositories, [], "the base of the deployment names it by flags");
    let names: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    assert_eq!(names, ["hub", "eu-1", "us-1"]);
}

#[test]
fn the_schema_knows_every_field_that_is_read() {
    let schema = super::schema();
    assert_eq!(schema["properties"]["kind"]["const"], "Configuration");
    let cluster = &schema["properties"]["clusters"]["items"];
    assert_eq!(cluster["required"], serde_json::json!(["name"]));
    assert_eq!(cluster["properties"]["istiod"]["anyOf"][1]["type"], "array");
    assert_eq!(cluster["additionalProperties"], false);
}
