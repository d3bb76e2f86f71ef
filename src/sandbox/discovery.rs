//! Describes what is served: versions, groups and their resources.

use serde_json::{Value, json};

use super::resource::{Origin, RESOURCES, Resource};

/// Answers a discovery path; `None` for any other.
pub fn answer(path: &str, istio: bool) -> Option<Value> {
    let installed = || RESOURCES.iter().filter(|row| istio || row.origin == Origin::BuiltIn);
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        ["version"] => Some(json!({
            "major": "1", "minor": "34", "gitVersion": "v1.34.4", "gitCommit": "", "gitTreeState": "",
            "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "sandbox"
        })),
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})),
        ["api", "v1"] => resources("", "v1", installed()),
        ["apis"] => {
            let mut names: Vec<&str> = installed().flat_map(|row| row.served).map(|served| served.group).collect();
            names.retain(|name| !name.is_empty());
            names.sort_unstable();
            names.dedup();
            let groups: Vec<_> = names.into_iter().filter_map(|name| group(name, installed())).collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["apis", name] => {
            let mut group = group(name, installed())?;
            if let Some(group) = group.as_object_mut() {
                group.insert("kind".into(), "APIGroup".into());
                group.insert("apiVersion".into(), "v1".into());
            }
            Some(group)
        }
        ["apis", group, version] => resources(group, version, installed()),
        _ => None,
    }
}

fn group<'a>(name: &str, rows: impl Iterator<Item = &'a Resource>) -> Option<Value> {
    let mut versions: Vec<Value> = Vec::new();
    for served in rows.flat_map(|row| row.served).filter(|served| !name.is_empty() && served.group == name) {
        let version = json!({"groupVersion": served.api_version(), "version": served.version});
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    let preferred = versions.first()?.clone();
    Some(json!({"name": name, "versions": versions, "preferredVersion": preferred}))
}

fn resources<'a>(group: &str, version: &str, rows: impl Iterator<Item = &'a Resource>) -> Option<Value> {
    let mut found = Vec::new();
    let mut group_version = None;
    for row in rows {
        let Some(served) = row.served.iter().find(|served| served.group == group && served.version == version) else {
            continue;
        };
        group_version = Some(served.api_version());
        let mut verbs = vec!["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
        verbs.retain(|verb| row.plural != "namespaces" || *verb != "deletecollection");
        found.push(json!({
            "name": row.plural, "singularName": row.singular, "namespaced": row.namespaced, "kind": row.kind,
            "verbs": verbs, "shortNames": row.short
        }));
        if row.status {
            found.push(json!({
                "name": format!("{}/status", row.plural), "singularName": "", "namespaced": row.namespaced,
                "kind": row.kind, "verbs": ["get", "patch", "update"]
            }));
        }
    }
    let list =
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version?, "resources": found});
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn istios_groups_are_there_only_if_it_is_installed() {
        let names = |istio| -> Vec<String> {
            let list = answer("/apis", istio).unwrap();
            list["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap().to_owned()).collect()
        };
        assert!(names(true).contains(&"networking.istio.io".to_owned()));
        assert!(!names(false).iter().any(|name| name.contains("istio")));
        assert!(answer("/apis/networking.istio.io/v1", false).is_none());
        let networking = answer("/apis/networking.istio.io", true).unwrap();
        assert_eq!(networking["preferredVersion"]["version"], "v1");
        assert_eq!(networking["versions"].as_array().unwrap().len(), 3);
    }
}
