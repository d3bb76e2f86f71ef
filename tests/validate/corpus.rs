//! Makes the corpus: good objects, objects that break one rule or two, and objects with something odd somewhere.

use serde_json::{Value, json};

use crate::breaks::{Break, Istio, Puts};
use crate::dice::Dice;
use crate::good::{self, KINDS};

const GOOD_A_KIND: usize = 150;
const A_RULE: usize = 40;
const PAIRS: usize = 400;
const ODD_A_KIND: usize = 1_000;

/// One object, and what was done to it.
pub struct Case {
    pub object: Value,
    /// The rule that is broken; none where that is not known.
    pub rule: Option<&'static str>,
    /// What Istio does with it; none where that is not known.
    pub istio: Option<Istio>,
}

/// The corpus of a seed.
pub fn make(breaks: &[Break], seed: u64) -> Vec<Case> {
    let mut dice = Dice::new(seed);
    let mut cases = Vec::new();
    for kind in KINDS {
        for _ in 0..GOOD_A_KIND {
            cases.push(Case { object: good::object(kind, &mut dice), rule: None, istio: Some(Istio::Takes) });
        }
        for _ in 0..ODD_A_KIND {
            let mut object = good::object(kind, &mut dice);
            for _ in 0..1 + dice.below(2) {
                odd(&mut object, &mut dice);
            }
            cases.push(Case { object, rule: None, istio: None });
        }
    }
    for one in breaks {
        for at in 0..A_RULE {
            let mut object = good::object(one.kind, &mut dice);
            put(&mut object, &one.ways[at % one.ways.len()]);
            cases.push(Case { object, rule: Some(one.rule), istio: Some(one.istio) });
        }
    }
    for _ in 0..PAIRS {
        let kind = dice.one(&KINDS);
        let of_kind: Vec<&Break> = breaks.iter().filter(|one| one.kind == kind).collect();
        let mut object = good::object(kind, &mut dice);
        for _ in 0..2 {
            let one = dice.one(&of_kind);
            put(&mut object, &dice.one(&one.ways));
        }
        cases.push(Case { object, rule: None, istio: None });
    }
    cases
}

/// Puts values into the `spec`; maps on the way are made, a missing list is left alone.
fn put(object: &mut Value, puts: &Puts) {
    for (place, value) in puts {
        let steps: Vec<&str> = place.split('/').collect();
        let mut at = &mut object["spec"];
        for step in &steps {
            at = match at {
                Value::Array(items) => {
                    let last = items.len().saturating_sub(1);
                    let position = if *step == "-1" { last } else { step.parse().unwrap() };
                    match items.get_mut(position) {
                        Some(item) => item,
                        None => return,
                    }
                }
                // A list that an earlier break took out.
                Value::Null if step.parse::<i64>().is_ok() => return,
                Value::Object(_) | Value::Null => &mut at[*step],
                _ => return,
            };
        }
        *at = value.clone();
    }
}

/// Puts something odd somewhere.
fn odd(object: &mut Value, dice: &mut Dice) {
    let place = format!("/spec{}", dice.place(&object["spec"]));
    let Some(value) = object.pointer_mut(&place) else { return };
    let texts = [
        "",
        "*",
        "a b",
        "-a",
        "UPPER",
        "a.b.c",
        "*.a",
        "..",
        "a_b",
        "(?=a)",
        "a**",
        "10",
        "0s",
        "1us",
        "-1s",
        "1h",
        "%",
        "%%",
        "%A%",
        "é",
        "mesh",
        ".",
        "~",
        "a/b",
        "a/b/c",
        "*/*",
        "10.0.0.1",
        "10.0.0.0/8",
        "::1",
        "unix:///a",
        "http",
        "TCP",
        "HTTP",
        "NONE",
        "DNS",
        "SIMPLE",
        "[a-z",
        "x{2,1}",
        "web.shop",
        "*a",
    ];
    match (&mut *value, dice.below(10)) {
        (_, 0) => *value = Value::Null,
        (_, 1) => {
            *value = dice.one(&[json!({}), json!([]), json!(true), json!(5), json!("x"), json!({"x": 1}), json!(1.5)])
        }
        (Value::Array(items), 2..5) if !items.is_empty() => {
            let item = dice.one(items);
            items.push(item);
        }
        (Value::Array(items), _) => {
            items.pop();
        }
        (Value::Object(map), _) if !map.is_empty() => {
            let keys: Vec<String> = map.keys().cloned().collect();
            let key = dice.one(&keys);
            let moved = map.remove(&key);
            if dice.happens(30) {
                map.insert(dice.one(&texts).to_owned(), moved.unwrap_or_default());
            }
        }
        (Value::String(_), 2) => *value = json!("a".repeat(64 + dice.below(200))),
        (Value::String(_), _) => *value = json!(dice.one(&texts)),
        (Value::Number(_), _) => {
            *value = dice.one(
                &[-1, 0, 1, 99, 100, 101, 65_535, 65_536, 2_147_483_647, 2_147_483_648, 5_000_011]
                    .map(|number: i64| json!(number)),
            )
        }
        (Value::Bool(flag), _) => *flag = !*flag,
        _ => {}
    }
}
