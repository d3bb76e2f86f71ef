//! Reads YAML: the only file that names a YAML crate.
//!
//! serde_yaml alone accepts duplicate keys and alias bombs, so one strict serde-saphyr pass stands before it and
//! yields the places; the values are serde_yaml's, which keeps YAML 1.2 types (`no` is text).

use std::{fmt, ops::Range};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::node::{Content, Entry, Node};

/// Why a document is no YAML that is accepted, and the bytes of the file that are meant.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) message: String,
    pub(crate) hint: Option<&'static str>,
    pub(crate) span: Range<usize>,
}

/// The documents of a file, each with its first byte. A line that starts with `---` starts one, even inside a block
/// scalar, as YAML has it.
pub(super) fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut starts = vec![if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 }];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if at > 0
            && line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        {
            starts.push(at);
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).filter_map(|(start, end)| Some((*start, text.get(*start..end)?))).collect()
}

/// Reads the document whose first byte is `base` in its file; none where it holds nothing.
///
/// # Errors
/// [`Fault`] for text that is no YAML, and for duplicate keys, anchors, aliases, merge keys, depth above 32 and more
/// than 10,000 nodes.
pub(super) fn parse(base: usize, text: &str) -> Result<Option<Node>, Fault> {
    if is_empty(text) {
        return Ok(None);
    }
    let options = serde_saphyr::options! {
        merge_keys: serde_saphyr::options::MergeKeyPolicy::Error,
        budget: serde_saphyr::budget! { max_anchors: 0, max_aliases: 0, max_depth: 32, max_nodes: 10_000, max_documents: 1 },
    };
    let strict = serde_saphyr::from_str_with_options::<Spanned<Shape>>(text, options);
    let shape = strict.map_err(|error| {
        let at = error.location().and_then(|location| error_range(text, &location));
        let (message, hint) = strict_message(&error);
        Fault { hint, ..fault(base, text, at, message) }
    })?;
    let value = serde_yaml::from_str::<Value>(text).map_err(|error| {
        let at = error.location().map(|location| location.index()..location.index());
        let message = error.to_string();
        fault(base, text, at, message.split(" at line ").next().unwrap_or(&message).to_owned())
    })?;
    if value.is_null() {
        return Ok(None);
    }
    join(base, text, &shape, value).map(Some)
}

fn is_empty(text: &str) -> bool {
    let text = text.strip_prefix("---").unwrap_or(text);
    text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

/// What the strict pass says, what is said to people, and what they can do.
const WORDINGS: [(&str, &str, &str); 7] = [
    ("Anchors {", "anchors and aliases are not accepted", "write the value out wherever it is needed"),
    ("Aliases {", "anchors and aliases are not accepted", "write the value out wherever it is needed"),
    ("Depth {", "values are nested more than 32 deep", "no field of a plan is nested that deep"),
    ("Nodes {", "the document has more than 10,000 values", "split it into several plans"),
    ("Documents {", "a second document starts without a line `---`", "put `---` on a line of its own before it"),
    ("merge keys", "merge keys (`<<`) are not accepted", "write the merged values out"),
    ("tabs disallowed", "a tab stands where YAML accepts spaces alone", "indent with spaces"),
];

fn strict_message(error: &serde_saphyr::Error) -> (String, Option<&'static str>) {
    let message = error.without_snippet().to_string();
    let message = message.lines().next().unwrap_or_default();
    if let Some((_, wording, hint)) = WORDINGS.iter().find(|(said, ..)| message.contains(said)) {
        return ((*wording).to_owned(), Some(hint));
    }
    let message = message.strip_prefix("error: ").unwrap_or(message);
    match message.strip_prefix("duplicate mapping key: ").and_then(|rest| rest.rsplit_once(", set ")) {
        Some((key, _)) => (format!("the key `{key}` is given twice"), Some("keep one of the two")),
        None => (message.split(" at line ").next().unwrap_or(message).to_owned(), None),
    }
}

fn range(location: &serde_saphyr::Location) -> Option<Range<usize>> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    Some(start..start + usize::try_from(span.byte_len().unwrap_or(0)).ok()?)
}

/// The place of an error: the scanner's own errors tell line and column alone.
fn error_range(text: &str, location: &serde_saphyr::Location) -> Option<Range<usize>> {
    if let Some(range) = range(location).filter(|range| range.start > 0 || location.line() <= 1) {
        return Some(range);
    }
    let line = usize::try_from(location.line()).ok()?.checked_sub(1)?;
    let column = usize::try_from(location.column()).ok()?.saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let offset = text.get(start..)?.char_indices().nth(column).map_or(0, |(offset, _)| offset);
    Some(start + offset..start + offset + 1)
}

fn fault(base: usize, text: &str, at: Option<Range<usize>>, message: String) -> Fault {
    let at = at.unwrap_or(0..0);
    let span = within(text, at);
    Fault { message, hint: None, span: base + span.start..base + span.end }
}

/// The range cut to the text, without white space at its end.
fn within(text: &str, at: Range<usize>) -> Range<usize> {
    let start = at.start.min(text.len());
    let cut = text.get(start..at.end.clamp(start, text.len())).map_or(0, |part| part.trim_end().len());
    start..start + cut
}

fn join(base: usize, text: &str, shape: &Spanned<Shape>, value: Value) -> Result<Node, Fault> {
    let at = range(&shape.defined).unwrap_or(0..0);
    let disagree = || fault(base, text, Some(at.clone()), "the document can be read in two ways".to_owned());
    let content = match (&shape.value, value) {
        (Shape::Map(entries), Value::Object(mut map)) => {
            let mut joined = Vec::with_capacity(entries.len());
            for (key, node) in entries {
                let value = map.remove(&key.value).ok_or_else(disagree)?;
                let key_span = within(text, range(&key.defined).unwrap_or(0..0));
                let key_span = base + key_span.start..base + key_span.end;
                joined.push(Entry { key: key.value.clone(), key_span, node: join(base, text, node, value)? });
            }
            Content::Map(joined)
        }
        (Shape::List(items), Value::Array(values)) if items.len() == values.len() => {
            let items = items.iter().zip(values).map(|(item, value)| join(base, text, item, value));
            Content::List(items.collect::<Result<_, _>>()?)
        }
        (Shape::Scalar, value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_))) => {
            Content::Scalar(value)
        }
        _ => return Err(disagree()),
    };
    let span = within(text, at);
    Ok(Node { span: base + span.start..base + span.end, content })
}

enum Shape {
    Map(Vec<(Spanned<String>, Spanned<Shape>)>),
    List(Vec<Spanned<Shape>>),
    Scalar,
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map, a list or a scalar")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key()? {
            entries.push((key, map.next_value()?));
        }
        Ok(Shape::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Shape::List(items))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Shape, E> {
        if number.is_finite() { Ok(Shape::Scalar) } else { Err(E::custom("a number must be finite")) }
    }

    fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_none<E>(self) -> Result<Shape, E> {
        Ok(Shape::Scalar)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Shape, D::Error> {
        Shape::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (String, &str) {
        let fault = documents(text).into_iter().find_map(|(base, document)| parse(base, document).err()).unwrap();
        (fault.message, &text[fault.span])
    }

    #[test]
    fn keys_and_values_have_their_bytes_across_multi_byte_characters_and_documents() {
        let text = "# é\n---\nnote: é\nlast: \"q\"\nsteps:\n  - {weight: 25}\n";
        let (base, document) = documents(text)[1];
        let node = parse(base, document).unwrap().unwrap();
        assert_eq!(&text[node.get("note").unwrap().span.clone()], "é");
        assert_eq!(&text[node.get("last").unwrap().span.clone()], "\"q\"");
        let step = &node.get("steps").unwrap().items()[0];
        assert_eq!(&text[step.get("weight").unwrap().span.clone()], "25");
        assert_eq!(&text[step.entry("weight").unwrap().key_span.clone()], "weight");
    }

    #[test]
    fn a_duplicate_key_is_refused_at_the_second_key() {
        assert_eq!(refused("a: 1\n---\nb: 1\na: 2\nb: 3\n"), ("the key `b` is given twice".to_owned(), "b"));
        let text = "a: 1\na: 2\n";
        assert_eq!(parse(0, text).unwrap_err().span, 5..6);
    }

    #[test]
    fn what_serde_yaml_alone_would_take_is_refused() {
        let anchors = "anchors and aliases are not accepted";
        assert_eq!(refused("a: &x 1\nb: *x\n").0, anchors);
        assert_eq!(refused("<<: {a: 1}\nb: 2\n").0, "merge keys (`<<`) are not accepted");
        assert_eq!(refused("a: 1\n...\nb: 2\n").0, "a second document starts without a line `---`");
        assert_eq!(
            refused(&format!("a: {}{}", "[".repeat(40), "]".repeat(40))).0,
            "values are nested more than 32 deep"
        );
        assert_eq!(refused(&format!("a: [{}]", "1,".repeat(12_000))).0, "the document has more than 10,000 values");
        for text in ["a: !x 1", "a: .nan", "null: 1", "? [a]: b", "a: 99999999999999999999999", "a: [1", "%YAML 9\n"] {
            assert!(parse(0, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_tab_and_a_stray_colon_are_refused_where_they_stand() {
        let text = "é: 1\na:\n\tb: 1\n";
        let fault = parse(0, text).unwrap_err();
        assert!(fault.message.contains("tab"), "{}", fault.message);
        assert!(fault.span.start >= 6, "{:?}", fault.span);
        assert!(parse(0, "x: 1\na: b: c\n").unwrap_err().span.start >= 5);
    }

    #[test]
    fn documents_start_at_lines_of_three_dashes_alone() {
        let text = "a: 1\n---\nb: |\n  ---\n--- # c\n----: 1\n---x: 2\n---";
        let starts: Vec<_> = documents(text).into_iter().map(|(_, document)| document).collect();
        assert_eq!(starts, ["a: 1\n", "---\nb: |\n  ---\n", "--- # c\n----: 1\n---x: 2\n", "---"]);
        assert_eq!(documents("\u{feff}a: 1"), [(3, "a: 1")]);
        for empty in ["", "---\n# nothing\n", "--- # c", "---\r\n", "null"] {
            assert_eq!(parse(0, empty), Ok(None), "{empty:?}");
        }
    }

    #[test]
    fn words_of_yaml_1_1_are_text() {
        let node = parse(0, "a: no\nb: 012\nc: \"1\"\n").unwrap().unwrap();
        assert_eq!(node.value(), serde_json::json!({"a": "no", "b": "012", "c": "1"}));
    }
}
