//! What `status` tells above its table, where there is something to tell: what is wrong with configuration and
//! repositories, who leads, and which clusters are away or get no plan.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{picture::Picture, terminal};

/// More of a kind than this are counted; `-o json` has them all.
const LINES_MAX: usize = 5;

/// The lines, and an empty one; nothing where there is nothing to tell.
pub(super) fn of(picture: &Picture) -> String {
    let mut text = String::new();
    let mut say = |line: &str| text.push_str(&(terminal::plain(line) + "\n"));
    repositories(picture, &mut say);
    lease(picture, &mut say);
    away(picture, &mut say);
    remotes(picture, &mut say);
    if text.is_empty() { text } else { text + "\n" }
}

/// What is wrong with the configuration and the repositories.
fn repositories(picture: &Picture, say: &mut impl FnMut(&str)) {
    if let Some(error) = picture.document.pointer("/configuration/error").and_then(Value::as_str) {
        say(&format!("configuration: what the file says is not in force: {error}"));
    }
    for repository in picture.document.get("repositories").and_then(Value::as_array).into_iter().flatten() {
        let field = |name: &str| repository.get(name).and_then(Value::as_str).unwrap_or_default();
        let of = format!("repository {} ({})", field("name"), field("branch"));
        if !field("error").is_empty() {
            say(&format!("{of}: {}", field("error")));
        }
        let findings = repository.get("findings").and_then(Value::as_array);
        let errors: Vec<&Value> = findings
            .into_iter()
            .flatten()
            .filter(|finding| finding.get("severity").and_then(Value::as_str) == Some("error"))
            .collect();
        for error in errors.iter().take(LINES_MAX) {
            let field = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
            say(&format!("{of}: error[{}] in {}: {}", field("code"), field("file"), field("message")));
        }
        if errors.len() > LINES_MAX {
            say(&format!("{of}: {} more errors", errors.len() - LINES_MAX));
        }
    }
}

fn lease(picture: &Picture, say: &mut impl FnMut(&str)) {
    let Some(lease) = &picture.lease else { return };
    match (&lease.holder, lease.term) {
        (Some(holder), Some(term)) => say(&format!("leader: {holder} (term {term})")),
        (Some(holder), None) => say(&format!("leader: {holder}")),
        (None, _) => say("warning: nobody leads: nothing rises"),
    }
}

fn away(picture: &Picture, say: &mut impl FnMut(&str)) {
    let away = || picture.clusters.iter().filter_map(|site| Some((site, site.away.as_ref()?)));
    for (site, why) in away().take(LINES_MAX) {
        let since = site.away_since.map(|since| format!(" since {}", since.strftime("%Y-%m-%d %H:%M:%SZ")));
        let remote = if site.is_remote() { ", a remote," } else { "" };
        say(&format!("cluster {}{remote} is away{}: {why}", site.name, since.unwrap_or_default()));
    }
    if let more @ 1.. = away().count().saturating_sub(LINES_MAX) {
        say(&format!("{more} more clusters are away: `-o json` has them"));
    }
}

/// One line a mesh: its remotes are in no row and no column.
fn remotes(picture: &Picture, say: &mut impl FnMut(&str)) {
    let mut meshes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for site in picture.clusters.iter().filter(|site| site.is_remote()) {
        meshes.entry(site.mesh.as_deref().unwrap_or_default()).or_default().push(&site.name);
    }
    for (mesh, names) in meshes {
        let more = names.len().saturating_sub(LINES_MAX);
        let named = names.iter().take(LINES_MAX).copied().collect::<Vec<_>>().join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        say(&format!("remote in mesh {mesh}, so no plan goes there and endpoints count: {named}{more}"));
    }
}
