//! What a payload says about which references were pushed. All else in it is passed over.

use serde::Deserialize;

/// The most references of one payload that are looked at; a push of more is about any branch.
const REFERENCES_MAX: usize = 256;

/// GitHub, GitLab, Gitea, Forgejo and generic payloads.
#[derive(Deserialize)]
struct Plain {
    #[serde(rename = "ref")]
    reference: String,
}

/// Bitbucket Cloud.
#[derive(Deserialize)]
struct Cloud {
    push: CloudPush,
}

#[derive(Deserialize)]
struct CloudPush {
    changes: Vec<CloudChange>,
}

#[derive(Deserialize)]
struct CloudChange {
    new: Option<CloudReference>,
    old: Option<CloudReference>,
}

#[derive(Deserialize)]
struct CloudReference {
    r#type: String,
    name: String,
}

/// Bitbucket Data Center.
#[derive(Deserialize)]
struct Center {
    changes: Vec<CenterChange>,
}

#[derive(Deserialize)]
struct CenterChange {
    r#ref: CenterReference,
}

#[derive(Deserialize)]
struct CenterReference {
    id: String,
}

/// The references that were pushed; empty where the payload does not say so in a form that is known.
pub(super) fn references(body: &[u8]) -> Vec<String> {
    if let Ok(Plain { reference }) = serde_json::from_slice(body) {
        return vec![reference];
    }
    let found: Vec<String> = if let Ok(cloud) = serde_json::from_slice::<Cloud>(body) {
        let changed = cloud.push.changes.into_iter().filter_map(|change| change.new.or(change.old));
        changed.map(|CloudReference { r#type, name }| full(&r#type, &name)).collect()
    } else if let Ok(center) = serde_json::from_slice::<Center>(body) {
        center.changes.into_iter().map(|change| change.r#ref.id).collect()
    } else {
        Vec::new()
    };
    if found.len() <= REFERENCES_MAX { found } else { Vec::new() }
}

fn full(kind: &str, name: &str) -> String {
    match kind {
        "branch" | "named_branch" => format!("refs/heads/{name}"),
        _ => format!("refs/tags/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_forge_says_in_its_way_what_was_pushed() {
        let cases = [
            (r#"{"ref": "refs/heads/main", "after": "0"}"#, vec!["refs/heads/main"]),
            (
                r#"{"push": {"changes": [{"new": {"type": "branch", "name": "main", "target": {}}, "old": null},
                    {"new": null, "old": {"type": "branch", "name": "gone"}}, {"new": {"type": "tag", "name": "v1"}}]}}"#,
                vec!["refs/heads/main", "refs/heads/gone", "refs/tags/v1"],
            ),
            (
                r#"{"eventKey": "repo:refs_changed", "changes": [{"ref": {"id": "refs/heads/main", "displayId": "main"}}]}"#,
                vec!["refs/heads/main"],
            ),
            (r#"{"ref": {"not": "text"}}"#, vec![]),
            (r#"{"push": {"changes": 3}}"#, vec![]),
            ("payload=%7B%22ref%22%3A1%7D", vec![]),
            ("", vec![]),
        ];
        for (body, wanted) in cases {
            assert_eq!(references(body.as_bytes()), wanted, "{body}");
        }
        let many = format!(r#"{{"changes": [{}]}}"#, vec![r#"{"ref": {"id": "refs/heads/x"}}"#; 257].join(","));
        assert!(references(many.as_bytes()).is_empty());
        let deep = "[".repeat(100_000);
        assert!(references(deep.as_bytes()).is_empty());
    }
}
