//! A cluster as the configuration has it, before anything is known of it.

use std::collections::BTreeMap;

use super::{Access, ProxyAccess};

/// One cluster that plans may go to.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What plans may choose it by.
    pub labels: BTreeMap<String, String>,
    /// How its API server is reached.
    pub access: Access,
    /// Who is asked about its proxies; none: nobody, and a stated wait stands in.
    pub proxies: Option<ProxyAccess>,
}
