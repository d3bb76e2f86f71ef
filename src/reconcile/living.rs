//! The plans that exist, kept by what each commit touched.

use std::collections::HashMap;

use crate::plan::ObjectKey;

/// Who owns which object, as `repository/namespace/name`.
#[derive(Debug, Default)]
pub(super) struct Living {
    by_object: HashMap<ObjectKey, String>,
    /// How many objects each owner has.
    owners: HashMap<String, usize>,
}

impl Living {
    /// Notes the living owner of an object; none: it has none any more.
    pub(super) fn set(&mut self, object: &ObjectKey, owner: Option<String>) {
        if let Some(before) = self.by_object.remove(object)
            && let Some(count) = self.owners.get_mut(&before)
        {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(&before);
            }
        }
        if let Some(owner) = owner {
            *self.owners.entry(owner.clone()).or_default() += 1;
            self.by_object.insert(object.clone(), owner);
        }
    }

    /// Whether the owner exists.
    pub(super) fn has(&self, owner: &str) -> bool {
        self.owners.contains_key(owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_lives_as_long_as_it_has_an_object_in_whatever_order_they_change() {
        let key = |name: &str| ObjectKey { namespace: "shop".into(), name: name.into() };
        let mut living = Living::default();
        living.set(&key("a"), Some("plans/shop/web".into()));
        living.set(&key("b"), Some("plans/shop/web".into()));
        living.set(&key("a"), None);
        assert!(living.has("plans/shop/web"));
        living.set(&key("b"), Some("plans/shop/api".into()));
        assert!(!living.has("plans/shop/web") && living.has("plans/shop/api"));
        living.set(&key("b"), Some("plans/shop/api".into()));
        living.set(&key("b"), None);
        assert!(!living.has("plans/shop/api"));
    }
}
