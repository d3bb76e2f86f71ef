//! The deliveries that were taken: a forge that is not sure sends one again.

use std::collections::{HashSet, VecDeque};

use super::Provider;

/// How many deliveries are remembered; the oldest are forgotten.
const REMEMBERED_MAX: usize = 1024;

/// The last deliveries by their ids.
#[derive(Default)]
pub(super) struct Seen {
    order: VecDeque<(Provider, String)>,
    ids: HashSet<(Provider, String)>,
}

impl Seen {
    /// Whether the delivery was not taken before; it is, from now on.
    pub(super) fn is_new(&mut self, provider: Provider, id: &str) -> bool {
        let key = (provider, id.to_owned());
        if !self.ids.insert(key.clone()) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_deliveries_are_remembered_and_the_oldest_forgotten() {
        let mut seen = Seen::default();
        assert!(seen.is_new(Provider::Github, "a") && !seen.is_new(Provider::Github, "a"));
        assert!(seen.is_new(Provider::Gitea, "a"));
        for number in 0..2 * REMEMBERED_MAX {
            assert!(seen.is_new(Provider::Github, &number.to_string()));
        }
        assert_eq!((seen.order.len(), seen.ids.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(seen.is_new(Provider::Github, "a"));
    }
}
