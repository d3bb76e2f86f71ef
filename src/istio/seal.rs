//! Seals. A write that is not answered may be done as long as its object is as it was seen, however late. A seal changes
//! the object, and nothing that anybody acts on, so that what comes late meets another one and is stale.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    desired,
    edit::{Change, Edit, ObjectKind},
    json::{items, same},
    lens::{self, spec},
    patch::{Marks, marks_edit},
};
use crate::plan::{Version, VersionName};

/// The annotation of a seal: the resourceVersion that it ended.
pub const SEAL: &str = "tidegate.dev/seal";

/// The edit that makes stale whatever was sent for the object as it is; `None` for one that no API server has stored.
pub fn seal_edit(kind: ObjectKind, live: &Value) -> Option<Edit> {
    let ended = lens::resource_version(live)?.to_owned();
    let annotations = BTreeMap::from([(SEAL.to_owned(), Some(ended))]);
    marks_edit(kind, live, &Marks { annotations, ..Marks::default() })
}

/// Whether an edit was made for the object as it is, so that it can still be done.
pub fn can_land(edit: &Edit, live: Option<&Value>) -> bool {
    let made_for = match &edit.change {
        Change::Create(_) => return live.is_none(),
        Change::Patch { meant, .. } => lens::resource_version(meant),
        Change::Delete { resource_version, .. } => Some(resource_version.as_str()),
    };
    live.is_some_and(|live| made_for.is_some() && lens::resource_version(live) == made_for)
}

/// The subsets of a live DestinationRule that an edit takes away or defines otherwise.
pub fn broken_by(edit: &Edit, live: &Value) -> BTreeSet<VersionName> {
    let meant = match &edit.change {
        Change::Patch { meant, .. } => items(spec(meant, "subsets")),
        Change::Create(_) | Change::Delete { .. } => &[],
    };
    let stays = |subset: &&Value| meant.iter().any(|meant| selects_alike(meant, subset));
    let subsets = items(spec(live, "subsets")).iter().filter(|subset| !stays(subset));
    subsets.filter_map(|subset| subset.get("name")?.as_str()).map(VersionName::new).collect()
}

/// Of the subsets in `owned`, those of a live DestinationRule that are not kept as they are.
pub fn left_out(live: &Value, kept: &[Version], owned: &BTreeSet<VersionName>) -> BTreeSet<VersionName> {
    let stays = |subset: &&Value| kept.iter().any(|kept| selects_alike(&desired::subset(kept), subset));
    let subsets = items(spec(live, "subsets")).iter().filter(|subset| !stays(subset));
    let names = subsets.filter_map(|subset| subset.get("name")?.as_str()).map(VersionName::new);
    names.filter(|name| owned.contains(name)).collect()
}

/// Whether two subsets have the same name and select the same pods.
fn selects_alike(one: &Value, two: &Value) -> bool {
    fn labels(subset: &Value) -> &Value {
        subset.get("labels").unwrap_or(&Value::Null)
    }
    one.get("name") == two.get("name") && same(labels(one), labels(two))
}
