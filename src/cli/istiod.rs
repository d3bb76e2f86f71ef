//! The arguments that say who is asked whether the proxies have what was written.

use std::path::PathBuf;

use clap::Args;

use crate::cluster::IstiodAccess;

/// Which istiods.
#[derive(Clone, Debug, Args)]
pub(super) struct IstiodArgs {
    /// HTTP address of istiod, `http://HOST:15014`: it is asked whether the proxies have what was written, and nothing rises
    /// before; name each replica, or a host that stands for all of them, as each knows its own proxies alone
    #[arg(long, value_name = "URL", value_delimiter = ',', value_parser = url)]
    istiod: Vec<http::Uri>,
    /// File with the bearer token that istiod asks for
    #[arg(long, value_name = "FILE", requires = "istiod")]
    istiod_token: Option<PathBuf>,
}

impl IstiodArgs {
    /// Whom to ask; none: nobody.
    pub(super) fn access(&self) -> Option<IstiodAccess> {
        let access = || IstiodAccess { urls: self.istiod.clone(), token_file: self.istiod_token.clone() };
        (!self.istiod.is_empty()).then(access)
    }
}

fn url(text: &str) -> Result<http::Uri, String> {
    let url: http::Uri = text.parse().map_err(|error| format!("it is no URL: {error}"))?;
    match (url.scheme_str(), url.authority()) {
        (Some("http" | "https"), Some(_)) => Ok(url),
        _ => Err("write it as http://HOST:PORT".to_owned()),
    }
}
