//! What is known of the proxies: whether they have what stands in the cluster.

use std::sync::Arc;

use jiff::Timestamp;

/// How far the proxies are with one object as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nobody was asked about this spec yet.
    Unasked,
    /// Not all of them have it.
    Awaited {
        /// Who is asked, and what is in the way, for people.
        why: Arc<str>,
    },
    /// All that are concerned have it, or there is nothing to have.
    Since(Timestamp),
    /// One refuses it: what it had before stays in force there.
    Refused {
        /// Which, with its words.
        why: Arc<str>,
    },
}

/// How far the proxies of a cluster are with both objects of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxies {
    /// The VirtualService as it stands, or that it is gone.
    pub route: Taken,
    /// The DestinationRule.
    pub rule: Taken,
}

impl Proxies {
    /// Since when they have both.
    pub fn since(&self) -> Option<Timestamp> {
        match (&self.route, &self.rule) {
            (Taken::Since(route), Taken::Since(rule)) => Some(*route.max(rule)),
            _ => None,
        }
    }

    /// What is in the way, for people.
    pub fn why(&self) -> Option<Arc<str>> {
        [&self.rule, &self.route].into_iter().find_map(|taken| match taken {
            Taken::Awaited { why } | Taken::Refused { why } => Some(why.clone()),
            Taken::Unasked => Some(Arc::from("istiod is asked")),
            Taken::Since(_) => None,
        })
    }

    /// The words of a proxy that refuses one of them.
    pub fn refused(&self) -> Option<&Arc<str>> {
        [&self.rule, &self.route].into_iter().find_map(|taken| match taken {
            Taken::Refused { why } => Some(why),
            Taken::Unasked | Taken::Awaited { .. } | Taken::Since(_) => None,
        })
    }
}
