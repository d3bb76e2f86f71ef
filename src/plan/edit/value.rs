//! Sets single values of a plan's document by the bytes that they stand in.

use std::ops::Range;

use serde_json::{Map, Value, json};

use super::segment::{line_end, place, says};
use super::{Change, Conflict, Found, PlanKey, Texts, checked, find};
use crate::plan::{
    Traffic, VersionName,
    node::{Entry, Node},
};

/// Which wait is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// That of the step of this weight.
    Step(u8),
    /// That of the target.
    Settle,
}

/// The change that makes the plan ask for this traffic; none where it does.
///
/// Versions that it does not name any more stay written, with 0.
///
/// # Errors
/// [`Conflict`] where the plan is not clear, does not declare one of the versions, or the outcome is not valid.
pub fn set_traffic(tip: &Texts, key: &PlanKey, traffic: &Traffic) -> Result<Option<Change>, Conflict> {
    let document = Document::find(tip, key)?;
    let spec = document.spec()?;
    for (version, _) in traffic.iter() {
        if spec.get("versions").and_then(|versions| versions.get(version.as_str())).is_none() {
            let (key, version) = (key.clone(), version.clone());
            return Err(Conflict::Undeclared { key, version, commit: tip.commit.clone() });
        }
    }
    let form = || document.form("traffic");
    let written = spec.entry("traffic").map(|entry| &entry.node).ok_or_else(form)?;
    let last = written.entries().last().ok_or_else(form)?;
    let mut edits = Vec::new();
    let mut meant = Map::new();
    for entry in written.entries() {
        let weight = traffic.weight(&VersionName::new(entry.key.clone()));
        meant.insert(entry.key.clone(), weight.into());
        if entry.node.whole() != Some(i64::from(weight)) {
            edits.push((scalar(&entry.node).ok_or_else(form)?, weight.to_string()));
        }
    }
    for (version, weight) in traffic.iter().filter(|(version, _)| written.entry(version.as_str()).is_none()) {
        meant.insert(version.to_string(), weight.into());
        edits.push(document.insertion(written, last, &format!("{version}: {weight}")).ok_or_else(form)?);
    }
    document.change(edits, |spec| drop(spec.insert("traffic".to_owned(), Value::Object(meant))))
}

/// The change that pauses the plan, or lets it go on; none where it stands so already.
///
/// # Errors
/// [`Conflict`] where the plan is not clear, or the outcome is not valid.
pub fn set_pause(tip: &Texts, key: &PlanKey, pause: bool) -> Result<Option<Change>, Conflict> {
    let document = Document::find(tip, key)?;
    let spec = document.spec()?;
    let form = || document.form("pause");
    match spec.entry("pause") {
        Some(entry) if entry.node.scalar() == Some(&Value::Bool(pause)) => Ok(None),
        None if !pause => Ok(None),
        None => document.set_new(spec, "pause", "true", json!(true)).map(Some),
        Some(entry) => match document.removal(spec, entry).filter(|_| !pause) {
            Some(bytes) => document.change(vec![(bytes, String::new())], |spec| drop(spec.remove("pause"))),
            None => {
                let edit = (scalar(&entry.node).ok_or_else(form)?, pause.to_string());
                document.change(vec![edit], |spec| drop(spec.insert("pause".to_owned(), pause.into())))
            }
        },
    }
}

/// The change that makes a wait as short as can be, `0s`; none where it is. What the target has to hold stays as it is, also
/// where only the hold of the last step says so.
///
/// # Errors
/// [`Conflict`] where the plan is not clear, has no such step, or the outcome is not valid.
pub fn end_hold(tip: &Texts, key: &PlanKey, hold: Hold) -> Result<Option<Change>, Conflict> {
    const NONE: &str = "0s";
    let document = Document::find(tip, key)?;
    let spec = document.spec()?;
    let (field, position, held) = match hold {
        Hold::Settle => ("settle", None, spec.get("settle").and_then(|settle| settle.get("hold"))),
        Hold::Step(weight) => {
            let steps = spec.get("steps").map_or(&[][..], Node::items);
            let wanted = |step: &Node| step.get("weight").and_then(Node::whole) == Some(i64::from(weight));
            let position = steps.iter().position(wanted);
            let missing = || Conflict::NoStep { key: key.clone(), weight, commit: tip.commit.clone() };
            let position = position.ok_or_else(missing)?;
            let held = steps.get(position).and_then(|step| step.get("hold"));
            ("steps", Some(position), held)
        }
    };
    match held {
        Some(held) if held.text() == Some(NONE) => Ok(None),
        Some(held) => {
            let mut edits = vec![(scalar(held).ok_or_else(|| document.form(field))?, NONE.to_owned())];
            let kept = kept_settle(spec, position).map(|hold| (format!("{{hold: {hold}}}"), json!({"hold": hold})));
            if let Some((written, _)) = &kept {
                edits.push(document.new_field(spec, "settle", written)?);
            }
            document.change(edits, |spec| {
                if let Some((_, settle)) = kept {
                    spec.insert("settle".to_owned(), settle);
                }
                let owner = match (spec.get_mut(field), position) {
                    (Some(steps), Some(position)) => steps.get_mut(position),
                    (settle, _) => settle,
                };
                if let Some(held) = owner.and_then(|owner| owner.get_mut("hold")) {
                    *held = NONE.into();
                }
            })
        }
        None if hold == Hold::Settle && spec.entry("settle").is_none() => {
            document.set_new(spec, "settle", "{hold: 0s}", json!({"hold": NONE})).map(Some)
        }
        None => Err(document.form(field)),
    }
}

/// What the target has to hold, where no more than the hold of the last step says so, which is the one at `position`.
fn kept_settle(spec: &Node, position: Option<usize>) -> Option<&str> {
    let steps = spec.get("steps").map_or(&[][..], Node::items);
    let last = steps.last().filter(|_| spec.entry("settle").is_none() && position == Some(steps.len() - 1))?;
    last.get("hold").and_then(Node::text)
}

/// The bytes of a scalar that stands in them alone.
fn scalar(node: &Node) -> Option<Range<usize>> {
    (node.scalar().is_some() && !node.span.is_empty()).then(|| node.span.clone())
}

/// The plan's document at the tip.
struct Document<'t> {
    found: Found<'t>,
    key: &'t PlanKey,
}

impl<'t> Document<'t> {
    fn find(tip: &'t Texts, key: &'t PlanKey) -> Result<Self, Conflict> {
        let missing = || Conflict::Missing { key: key.clone(), commit: tip.commit.clone() };
        Ok(Self { found: find(tip, key)?.ok_or_else(missing)?, key })
    }

    fn form(&self, field: &str) -> Conflict {
        Conflict::Form { key: self.key.clone(), path: self.found.path.to_owned(), field: field.to_owned() }
    }

    fn spec(&self) -> Result<&Node, Conflict> {
        let node = self.found.segment.node.as_ref().ok().and_then(Option::as_ref);
        node.and_then(|node| node.get("spec")).ok_or_else(|| self.form("spec"))
    }

    /// Adds a field to `spec`.
    fn set_new(&self, spec: &Node, field: &str, written: &str, value: Value) -> Result<Change, Conflict> {
        let edit = self.new_field(spec, field, written)?;
        let change = self.change(vec![edit], |spec| drop(spec.insert(field.to_owned(), value)))?;
        change.ok_or_else(|| self.form(field))
    }

    /// How a field is added to `spec`: behind `service`, which every plan has.
    fn new_field(&self, spec: &Node, field: &str, written: &str) -> Result<(Range<usize>, String), Conflict> {
        let service = spec.entry("service").ok_or_else(|| self.form(field))?;
        self.insertion(spec, service, &format!("{field}: {written}")).ok_or_else(|| self.form(field))
    }

    /// Where and how an entry is put behind another one, whose value is a scalar on one line.
    fn insertion(&self, map: &Node, behind: &Entry, entry: &str) -> Option<(Range<usize>, String)> {
        let text = self.found.text;
        let end = scalar(&behind.node)?.end;
        if self.is_flow(map) {
            return Some((end..end, format!(", {entry}")));
        }
        let start = behind.key_span.start;
        let line = text.get(..start)?.rfind('\n').map_or(0, |end| end + 1);
        let indent = text.get(line..start).filter(|indent| indent.bytes().all(|byte| byte == b' '))?;
        let rest = text.get(end..)?;
        let rest = rest.find('\n').map_or(rest, |end| rest.get(..end).unwrap_or(rest)).trim_end_matches('\r');
        if !rest.trim().is_empty() && !rest.trim_start().starts_with('#') {
            return None;
        }
        let at = end + rest.len();
        Some((at..at, format!("{}{indent}{entry}", line_end(text))))
    }

    /// The bytes to take out so that an entry is gone, where nothing else of worth goes with it.
    fn removal(&self, map: &Node, entry: &Entry) -> Option<Range<usize>> {
        let text = self.found.text;
        let (start, end) = (entry.key_span.start, scalar(&entry.node)?.end);
        if self.is_flow(map) {
            return text.get(..start)?.ends_with(", ").then(|| start - 2..end);
        }
        let line = text.get(..start)?.rfind('\n')?;
        let alone = text.get(line + 1..start)?.trim().is_empty();
        let rest = text.get(end..)?;
        let rest = rest.find('\n').map_or(rest, |end| rest.get(..end).unwrap_or(rest)).trim_end_matches('\r');
        // From the end of the line before to the end of this one: the file keeps, or keeps lacking, its last line end.
        let line = if text.get(..line)?.ends_with('\r') { line - 1 } else { line };
        (alone && rest.trim().is_empty()).then(|| line..end + rest.len())
    }

    /// Whether a map is written with braces.
    fn is_flow(&self, map: &Node) -> bool {
        self.found.text.get(map.span.start..).is_some_and(|text| !map.span.is_empty() && text.starts_with('{'))
    }

    /// The file with these bytes replaced, where it then says what `meant` makes of the document's `spec`.
    fn change(
        &self,
        mut edits: Vec<(Range<usize>, String)>,
        meant: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<Option<Change>, Conflict> {
        if edits.is_empty() {
            return Ok(None);
        }
        edits.sort_by_key(|(bytes, _)| bytes.start);
        let (text, mut out, mut at) = (self.found.text, String::new(), 0);
        for (bytes, new) in edits {
            out.push_str(text.get(at..bytes.start).ok_or_else(|| self.form("spec"))?);
            out.push_str(&new);
            at = bytes.end;
        }
        out.push_str(text.get(at..).ok_or_else(|| self.form("spec"))?);
        let mut all = says(text);
        let document = all.get_mut(place(text, self.found.segment.bytes.start));
        if let Some(Value::Object(spec)) = document.and_then(|document| document.get_mut("spec")) {
            meant(spec);
        }
        checked(self.found.path, out, &all, self.key).map(Some)
    }
}
