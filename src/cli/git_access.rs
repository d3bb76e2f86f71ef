//! The arguments that say with what, and within which limits, a repository over the network is reached.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::git::{Access, Limits, Secret, TOKEN_VARIABLE};

use super::access::duration;

/// How a repository over the network is reached.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Repositories over HTTPS and SSH")]
pub(super) struct GitArgs {
    /// File with a token for HTTPS; without it, the variable TIDEGATE_GIT_TOKEN
    #[arg(long, value_name = "FILE")]
    git_token_file: Option<PathBuf>,
    /// User of token, password or SSH key, where the server wants a certain one
    #[arg(long, value_name = "NAME")]
    git_username: Option<String>,
    /// File with a password for HTTPS
    #[arg(long, value_name = "FILE")]
    git_password_file: Option<PathBuf>,
    /// Certificates (PEM) of authorities that are trusted besides the system's
    #[arg(long, value_name = "FILE")]
    git_ca_file: Option<PathBuf>,
    /// Certificate (PEM) to show to the server
    #[arg(long, value_name = "FILE")]
    git_client_cert: Option<PathBuf>,
    /// Key (PEM) of that certificate
    #[arg(long, value_name = "FILE")]
    git_client_key: Option<PathBuf>,
    /// Private key for SSH
    #[arg(long, value_name = "FILE")]
    git_ssh_key: Option<PathBuf>,
    /// File with the passphrase of that key
    #[arg(long, value_name = "FILE")]
    git_ssh_passphrase_file: Option<PathBuf>,
    /// Host keys that are trusted, as OpenSSH keeps them; SSH needs it
    #[arg(long, value_name = "FILE")]
    git_known_hosts: Option<PathBuf>,
    /// Proxy for HTTPS, http://host:port; those of the environment are not used
    #[arg(long, value_name = "URL")]
    git_proxy: Option<String>,
    /// File with user:password for the proxy
    #[arg(long, value_name = "FILE")]
    git_proxy_auth_file: Option<PathBuf>,
    /// Follow plain http on other machines, without credentials
    #[arg(long)]
    git_allow_http: bool,
    /// How long a look at the repository may take
    #[arg(long, default_value = "20s", value_parser = duration, value_name = "DURATION")]
    git_look_timeout: Duration,
    /// How long a fetch may take
    #[arg(long, default_value = "2m", value_parser = duration, value_name = "DURATION")]
    git_fetch_timeout: Duration,
    /// How much one fetch may bring
    #[arg(long, default_value = "512MiB", value_parser = bytes, value_name = "SIZE")]
    git_max_bytes: u64,
    /// How many objects one fetch may bring
    #[arg(long, default_value_t = Limits::default().objects, value_name = "COUNT")]
    git_max_objects: u64,
    /// Read with the arguments, for the environment loses it right after.
    #[arg(skip = Secret::of_environment(TOKEN_VARIABLE))]
    token: Option<Secret>,
}

impl GitArgs {
    /// The flag or variable that gives a secret or a way to one repository, where one is given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let flags = [
            ("--git-token-file", self.git_token_file.is_some()),
            ("--git-username", self.git_username.is_some()),
            ("--git-password-file", self.git_password_file.is_some()),
            ("--git-ca-file", self.git_ca_file.is_some()),
            ("--git-client-cert", self.git_client_cert.is_some()),
            ("--git-client-key", self.git_client_key.is_some()),
            ("--git-ssh-key", self.git_ssh_key.is_some()),
            ("--git-ssh-passphrase-file", self.git_ssh_passphrase_file.is_some()),
            ("--git-known-hosts", self.git_known_hosts.is_some()),
            ("--git-proxy", self.git_proxy.is_some()),
            ("--git-proxy-auth-file", self.git_proxy_auth_file.is_some()),
            (TOKEN_VARIABLE, self.token.is_some()),
        ];
        flags.into_iter().find_map(|(flag, given)| given.then_some(flag))
    }

    /// What was said, unchecked.
    pub(super) fn access(&self) -> Access {
        let said = self.clone();
        Access {
            token: said.token,
            token_file: said.git_token_file,
            username: said.git_username,
            password_file: said.git_password_file,
            ca_file: said.git_ca_file,
            client_cert: said.git_client_cert,
            client_key: said.git_client_key,
            ssh_key: said.git_ssh_key,
            ssh_passphrase_file: said.git_ssh_passphrase_file,
            known_hosts: said.git_known_hosts,
            proxy: said.git_proxy,
            proxy_auth_file: said.git_proxy_auth_file,
            allow_http: said.git_allow_http,
            limits: Limits {
                look: said.git_look_timeout,
                fetch: said.git_fetch_timeout,
                bytes: said.git_max_bytes,
                objects: said.git_max_objects,
            },
            program: None,
        }
    }
}

/// A size as `64MiB` or `1GiB`.
fn bytes(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is not a size; write 64MiB or 1GiB");
    let (number, shift) = match (text.strip_suffix("MiB"), text.strip_suffix("GiB")) {
        (Some(number), _) => (number, 20),
        (_, Some(number)) => (number, 30),
        _ => return Err(bad()),
    };
    let number: u64 = number.trim_end().parse().map_err(|_| bad())?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn a_size_has_a_unit() {
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert_eq!(bytes("2 GiB"), Ok(2 << 30));
        for bad in ["", "64", "64MB", "0MiB", "-1MiB", "99999999999GiB"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
