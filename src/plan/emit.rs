//! Writes YAML that readers of YAML 1.1 and 1.2 understand alike: what could be read otherwise is quoted.

use serde_json::Value;

/// The value as YAML in block style, with a line feed at its end.
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => block(value, 0, &mut out),
        Value::Array(items) if !items.is_empty() => block(value, 0, &mut out),
        _ => scalar(value, &mut out),
    }
    out
}

/// Writes a map or list that is not empty. The first line is not indented: it follows what leads to it.
fn block(value: &Value, indent: usize, out: &mut String) {
    let mut first = true;
    let mut lead = |out: &mut String| {
        if !std::mem::take(&mut first) {
            out.extend(std::iter::repeat_n(' ', indent));
        }
    };
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                lead(out);
                text(key, out);
                out.push(':');
                match value {
                    Value::Object(map) if !map.is_empty() => nested(value, indent + 2, out),
                    Value::Array(items) if !items.is_empty() => nested(value, indent, out),
                    _ => {
                        out.push(' ');
                        scalar(value, out);
                    }
                }
            }
        }
        Value::Array(items) => {
            for value in items {
                lead(out);
                out.push_str("- ");
                match value {
                    Value::Object(map) if !map.is_empty() => block(value, indent + 2, out),
                    Value::Array(items) if !items.is_empty() => block(value, indent + 2, out),
                    _ => scalar(value, out),
                }
            }
        }
        _ => scalar(value, out),
    }
}

fn nested(value: &Value, indent: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
    block(value, indent, out);
}

fn scalar(value: &Value, out: &mut String) {
    match value {
        Value::String(string) => text(string, out),
        _ => out.push_str(&value.to_string()),
    }
    out.push('\n');
}

/// Words that some reader of YAML takes for something else than text.
const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];

fn text(string: &str, out: &mut String) {
    let starts_plain = string.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/');
    let is_plain = string.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    if starts_plain && is_plain && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(string)) {
        out.push_str(string);
        return;
    }
    out.push('"');
    for c in string.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || "\u{feff}\u{2028}\u{2029}".contains(c) => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::plan::yaml::parse;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[-yYnNoO~.0-9:#a-e ]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[-a-z0-9:# ]{1,5}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// What is written reads back as the same value.
        #[test]
        fn a_value_survives_being_written_and_read(value in any_value()) {
            let text = to_yaml(&value);
            let read = parse(0, &text).map_err(|fault| TestCaseError::fail(format!("{fault:?}\n{text}")))?;
            prop_assert_eq!(read.map_or(Value::Null, |node| node.value()), value, "{}", text);
        }
    }

    #[test]
    fn words_that_readers_take_for_booleans_numbers_or_times_are_quoted() {
        let value =
            json!({"a": ["yes", "12:30", "0x1", "v1", "/x"], "b": {"c": {}, "d": [], "e": [{"f": 1, "g": "h i"}]}});
        insta::assert_snapshot!(to_yaml(&value), @r#"
        a:
        - "yes"
        - "12:30"
        - "0x1"
        - v1
        - /x
        b:
          c: {}
          d: []
          e:
          - f: 1
            g: "h i"
        "#);
    }
}
