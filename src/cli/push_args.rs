//! The arguments that say who makes commits, and with what they are pushed.

use std::path::PathBuf;

use clap::Args;

use crate::{
    config::PushCredentials,
    git::{Access, Author, PublishOptions, SigningKey, Source},
};

use super::Failure;

/// How commits are made and pushed.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Commits that tidegate makes")]
pub(super) struct PushArgs {
    /// Who they are by, as `Name <mail@example.com>`
    #[arg(long, value_name = "AUTHOR")]
    git_author: Option<Author>,
    /// Private SSH key to sign them with
    #[arg(long, value_name = "FILE")]
    git_signing_key: Option<PathBuf>,
    /// File with a token for HTTPS that may push, where the one for reading may not
    #[arg(long, value_name = "FILE", conflicts_with = "git_push_password_file")]
    git_push_token_file: Option<PathBuf>,
    /// User of that token, password or SSH key
    #[arg(long, value_name = "NAME")]
    git_push_user: Option<String>,
    /// File with a password for HTTPS that may push
    #[arg(long, value_name = "FILE")]
    git_push_password_file: Option<PathBuf>,
    /// Private key for SSH that may push
    #[arg(long, value_name = "FILE")]
    git_push_ssh_key: Option<PathBuf>,
}

impl PushArgs {
    /// How commits for this repository are made and pushed; `person` is who they are by where no author is given.
    pub(super) fn options(&self, source: &Source, person: Option<Author>) -> Result<PublishOptions, Failure> {
        self.with(&self.credentials(), source, person)
    }

    /// The same for a repository of a configuration file, which says what it is pushed to with.
    pub(super) fn listed(&self, push: &PushCredentials, source: &Source) -> Result<PublishOptions, Failure> {
        if self.credentials() != PushCredentials::default() {
            let error = anyhow::anyhow!("a flag and `repositories` of the configuration say what is pushed with");
            return Err(Failure::usage(error, "say it in the configuration, for each repository"));
        }
        self.with(push, source, None)
    }

    fn with(&self, push: &PushCredentials, source: &Source, person: Option<Author>) -> Result<PublishOptions, Failure> {
        let signing_key = self.git_signing_key.as_deref().map(SigningKey::in_file);
        if let Some(key) = &signing_key {
            key.check().map_err(|error| {
                let hint = error.hint();
                Failure::usage(error, hint)
            })?;
        }
        let author = self.git_author.clone().or(person).unwrap_or_default();
        let options = PublishOptions { author, signing_key, access: access(push, &source.access) };
        options.check(source).map_err(|error| {
            let hint = error.hint();
            Failure::usage(error, hint)
        })?;
        Ok(options)
    }

    fn credentials(&self) -> PushCredentials {
        let said = self.clone();
        PushCredentials {
            token_file: said.git_push_token_file,
            user: said.git_push_user,
            password_file: said.git_push_password_file,
            ssh_key: said.git_push_ssh_key,
        }
    }
}

/// What pushes are done with; none where nothing but the way to read is given.
fn access(push: &PushCredentials, reading: &Access) -> Option<Access> {
    if *push == PushCredentials::default() {
        return None;
    }
    let said = push.clone();
    let mut access = reading.clone();
    if said.token_file.is_some() || said.password_file.is_some() {
        (access.token, access.token_file, access.password_file) = (None, said.token_file, said.password_file);
        access.username = None;
    }
    if let Some(key) = said.ssh_key {
        (access.ssh_key, access.ssh_passphrase_file) = (Some(key), None);
    }
    access.username = said.user.or(access.username);
    Some(access)
}
