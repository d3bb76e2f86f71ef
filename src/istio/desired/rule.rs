//! One `http` entry as it is meant, borrowed from the routing: the same value is rendered and compared, so that a
//! comparison on every decision need not build JSON.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::{super::json::map_without_nulls, conjunction::conjunction, scope::Scope};
use crate::plan::{Pin, Route, Routing, Traffic, VersionName};

/// A version's weight in percent, above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::istio) struct Share<'a> {
    pub(in crate::istio) version: &'a VersionName,
    pub(in crate::istio) weight: u8,
}

/// One `http` entry: a route, or a pin before a route.
#[derive(Debug)]
pub(in crate::istio) struct Rule<'a> {
    pub(in crate::istio) name: Cow<'a, str>,
    pub(in crate::istio) matches: Cow<'a, [Map<String, Value>]>,
    /// Fields that are carried over as they stand.
    pub(in crate::istio) fields: &'a Map<String, Value>,
    /// The version that serves it whatever the weights: this is a pin.
    pin: Option<[Share<'a>; 1]>,
}

/// The fields of an `http` entry that a rule writes itself.
pub(in crate::istio) const OWN_FIELDS: [&str; 3] = ["name", "match", "route"];

/// The versions with traffic in plan order; those that the plan does not declare (any more) come last, by name.
pub(in crate::istio) fn shares<'a>(routing: &'a Routing, traffic: &'a Traffic) -> Vec<Share<'a>> {
    let declared = routing.versions.iter().map(|version| (&version.name, traffic.weight(&version.name)));
    let undeclared = traffic.iter().filter(|(name, _)| routing.version(name).is_none());
    declared
        .filter(|(_, weight)| *weight > 0)
        .chain(undeclared)
        .map(|(version, weight)| Share { version, weight })
        .collect()
}

/// Every `http` entry of the routing in order: pins first, each before each route.
pub(in crate::istio) fn rules(routing: &Routing) -> Vec<Rule<'_>> {
    let scope = Scope::new(routing);
    let pins = routing.pins.iter().flat_map(|pin| routing.routes.iter().map(move |route| (pin, route)));
    let pins = pins.map(|(pin, route)| Rule::of_pin(pin, route, &scope));
    let routes = routing.routes.iter().map(|route| Rule {
        name: Cow::Borrowed(&route.name),
        matches: scope.restrict(route, Cow::Borrowed(&route.matches)),
        fields: &route.http,
        pin: None,
    });
    pins.chain(routes).collect()
}

impl<'a> Rule<'a> {
    fn of_pin(pin: &'a Pin, route: &'a Route, scope: &Scope<'_>) -> Self {
        let name = match scope.routes() {
            1 => Cow::Borrowed(pin.name.as_str()),
            _ => Cow::Owned(format!("{}-{}", pin.name, route.name)),
        };
        Self {
            name,
            matches: scope.restrict(route, conjunction(&pin.matches, &route.matches)),
            fields: &route.http,
            pin: Some([Share { version: &pin.to, weight: 100 }]),
        }
    }

    /// Whether this is a pin.
    pub(in crate::istio) fn is_pin(&self) -> bool {
        self.pin.is_some()
    }

    /// The destinations: those of the traffic, or the pinned version alone.
    pub(in crate::istio) fn shares<'s>(&'s self, traffic: &'s [Share<'a>]) -> &'s [Share<'a>] {
        self.pin.as_ref().map_or(traffic, <[Share<'a>; 1]>::as_slice)
    }

    /// The `http` entry as JSON.
    pub(in crate::istio) fn render(&self, routing: &Routing, traffic: &[Share<'a>]) -> Value {
        let mut entry = map_without_nulls(self.fields);
        entry.insert("name".to_owned(), json!(self.name));
        if self.matches.is_empty() {
            entry.remove("match");
        } else {
            let blocks = self.matches.iter().map(map_without_nulls).map(Value::Object).collect();
            entry.insert("match".to_owned(), Value::Array(blocks));
        }
        entry.insert("route".to_owned(), self.render_route(routing, traffic));
        Value::Object(entry)
    }

    /// The list of destinations as JSON. A single one carries no weight: Istio sends it everything.
    pub(in crate::istio) fn render_route(&self, routing: &Routing, traffic: &[Share<'a>]) -> Value {
        let shares = self.shares(traffic);
        let destination = |share: &Share<'_>| {
            let mut destination = json!({"host": routing.service.as_str(), "subset": share.version.as_str()});
            if let (Some(number), Some(map)) = (routing.port, destination.as_object_mut()) {
                map.insert("port".to_owned(), json!({"number": number}));
            }
            match shares.len() {
                1 => json!({"destination": destination}),
                _ => json!({"destination": destination, "weight": share.weight}),
            }
        };
        shares.iter().map(destination).collect()
    }
}
