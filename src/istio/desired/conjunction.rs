//! Both of two lists of Istio match blocks: every block of one ANDed with every block of the other.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// The fields whose entries are ANDed one by one.
const MAPS: [&str; 4] = ["headers", "queryParams", "withoutHeaders", "sourceLabels"];

/// Requests that match the pin and the route. Where both name the same thing (the same field, the same header), the
/// pin's word stands.
pub(super) fn conjunction<'a>(
    pin: &'a [Map<String, Value>],
    route: &'a [Map<String, Value>],
) -> Cow<'a, [Map<String, Value>]> {
    if route.is_empty() {
        return Cow::Borrowed(pin);
    }
    pin.iter().flat_map(|pin| route.iter().map(move |route| both(pin, route))).collect()
}

fn both(pin: &Map<String, Value>, route: &Map<String, Value>) -> Map<String, Value> {
    let mut block = route.clone();
    for (field, value) in pin {
        match (block.get_mut(field), value) {
            (Some(Value::Object(entries)), Value::Object(more)) if MAPS.contains(&field.as_str()) => {
                entries.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            _ => {
                block.insert(field.clone(), value.clone());
            }
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn blocks(value: Value) -> Vec<Map<String, Value>> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_pair_of_blocks_is_anded_and_the_pin_wins_for_equal_keys() {
        let pin = blocks(json!([
            {"headers": {"qa": {"exact": "yes"}, "both": {"exact": "pin"}}, "uri": {"prefix": "/pin/"}},
            {"queryParams": {"qa": {"exact": "1"}}},
        ]));
        let route = blocks(json!([
            {"headers": {"both": {"exact": "route"}, "x": {"exact": "y"}}, "uri": {"prefix": "/a/"}, "port": 80},
            {"method": {"exact": "GET"}},
        ]));
        assert_eq!(
            conjunction(&pin, &route).to_vec(),
            blocks(json!([
                {"headers": {"both": {"exact": "pin"}, "qa": {"exact": "yes"}, "x": {"exact": "y"}},
                 "uri": {"prefix": "/pin/"}, "port": 80},
                {"headers": {"qa": {"exact": "yes"}, "both": {"exact": "pin"}}, "uri": {"prefix": "/pin/"},
                 "method": {"exact": "GET"}},
                {"headers": {"both": {"exact": "route"}, "x": {"exact": "y"}}, "uri": {"prefix": "/a/"}, "port": 80,
                 "queryParams": {"qa": {"exact": "1"}}},
                {"method": {"exact": "GET"}, "queryParams": {"qa": {"exact": "1"}}},
            ]))
        );
    }

    #[test]
    fn a_route_without_match_leaves_the_pin_as_it_stands() {
        let pin = blocks(json!([{"headers": {"qa": {"exact": "yes"}}}]));
        assert!(matches!(conjunction(&pin, &[]), Cow::Borrowed(_)));
    }
}
