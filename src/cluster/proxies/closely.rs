//! Looks more closely where an istiod's word on its proxies is not enough: at what it would send to one, at what gateways
//! have, and at proxies that it has lost.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use serde_json::Value;

use super::{
    Watch,
    dump::{self, Found},
    pods,
    track::{Look, Target},
};
use crate::{istio::lens, plan::MESH};

/// How many proxies of an istiod are looked at closely at a time.
const AT_A_TIME: usize = 4;
/// How long it stands which pods run in a namespace.
const STANDS: Duration = Duration::from_secs(2);

/// Which pods ran in each namespace, and when that was.
pub(super) type Running = HashMap<String, (Instant, BTreeSet<String>)>;

impl Watch {
    /// What the proxies would be sent that have got no push since an istiod had the change.
    pub(super) async fn look_closely(&mut self, place: usize, look: &Look) {
        let Some(istiod) = self.istiods.get(place) else { return };
        let wanted = self.tracker.closely(place, &look.proxies, Instant::now());
        let dumps = wanted.into_iter().map(|(target, proxy)| async move {
            let dump = istiod.dump(target.0, &proxy).await;
            (target, proxy, dump)
        });
        let dumps: Vec<_> = stream::iter(dumps).buffered(AT_A_TIME).collect().await;
        for (target, id, dump) in dumps {
            let (Some(proxy), Some(open)) =
                (look.proxies.iter().find(|proxy| proxy.id == id), self.tracker.open.get(&target))
            else {
                continue;
            };
            match dump {
                Ok(dump) => {
                    let found = dump::compare(target.0, &target.1, open.meant.as_deref(), &dump);
                    self.tracker.looked_closely(place, &target, proxy, found, Instant::now());
                }
                // The proxy stays behind until it is looked at again.
                Err(error) => tracing::debug!(proxy = id, "cannot see what a proxy would be sent: {error}"),
            }
        }
    }

    /// Forgets the proxies that were connected when istiods were asked last, are not, and whose pods have gone.
    pub(super) async fn look_for_lost(&mut self, round: Instant) {
        for id in self.tracker.away(round, Instant::now()) {
            let Some((pod, namespace)) = id.rsplit_once('.') else { continue };
            if self.running.get(namespace).is_none_or(|(at, _)| at.elapsed() >= STANDS) {
                match pods::running(self.cluster.client(), namespace).await {
                    Ok(running) => {
                        self.running.insert(namespace.to_owned(), (Instant::now(), running));
                    }
                    // They are waited for as long as their pods may run.
                    Err(error) => {
                        tracing::debug!(namespace, "cannot see which pods run: {error}");
                        return;
                    }
                }
            }
            if self.running.get(namespace).is_some_and(|(_, running)| !running.contains(pod)) {
                self.tracker.forget(&id);
            }
        }
    }

    /// Asks the gateways of the routes that all proxies have taken whether they have them.
    pub(super) async fn look_at_gateways(&mut self, round: Instant) {
        let routes = self.tracker.unshown(round);
        let mut others: Vec<Option<String>> = routes.iter().map(|_| None).collect();
        let mut concerned: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, (_, meant)) in routes.iter().enumerate() {
            let mut gateways = lens::gateways(meant);
            gateways.retain(|gateway| gateway != MESH);
            match self.gateways.serving(&gateways).await {
                Ok(serving) => serving.into_iter().for_each(|id| concerned.entry(id).or_default().push(place)),
                Err(error) => others.iter_mut().skip(place).take(1).for_each(|other| *other = Some(error.clone())),
            }
        }
        // One dump serves all routes.
        for (id, places) in concerned {
            let dump = self.gateways.routes(&id).await;
            for place in places {
                let (Some((target, meant)), Some(other)) = (routes.get(place), others.get_mut(place)) else { continue };
                if other.is_none() {
                    *other = self.other(&id, target, meant, &dump).await;
                }
            }
        }
        for ((target, _), other) in routes.iter().zip(others) {
            self.tracker.showed(target, other);
        }
    }

    /// What a gateway has of a route in place of what is meant; none where it is as meant, or none of its business.
    async fn other(
        &self,
        id: &str,
        (kind, key): &Target,
        meant: &Arc<Value>,
        dump: &Result<Value, String>,
    ) -> Option<String> {
        let dump = match dump {
            Ok(dump) => dump,
            Err(error) => return Some(format!("gateway {id}: {error}")),
        };
        match dump::compare(*kind, key, Some(meant), dump) {
            Found::Same => None,
            Found::Other => {
                let has = dump::differing(key, meant, dump).unwrap_or_else(|| "other routes".to_owned());
                Some(format!("gateway {id} has {has}"))
            }
            Found::Absent => {
                let Some(istiod) = self.seats.get(id).and_then(|place| self.istiods.get(*place)) else {
                    return Some(format!("gateway {id} does not have the route, and is not connected to istiod"));
                };
                match istiod.dump(*kind, id).await {
                    Ok(sent) if dump::compare(*kind, key, Some(meant), &sent) == Found::Absent => None,
                    Ok(_) => Some(format!("gateway {id} does not have the route")),
                    Err(error) => Some(format!("{}: {error}", istiod.name)),
                }
            }
        }
    }
}
