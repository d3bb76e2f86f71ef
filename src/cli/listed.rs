//! Makes of a repository of the configuration file what is followed.

use std::time::Duration;

use crate::{
    config::{Looks, Repository},
    git::{Access, Limits, Source, Trust, check_keys},
    plan::Allow,
};

use super::{
    Failure,
    access::{BRANCH, FOLDER, RepositoryArgs},
};

/// The repository of that name.
pub(super) fn named<'a>(name: &str, written: &'a [Repository]) -> Result<&'a Repository, Failure> {
    let Some(found) = written.iter().find(|repository| repository.name == name) else {
        let known: Vec<&str> = written.iter().map(|repository| repository.name.as_str()).collect();
        let hint = match known.as_slice() {
            [] => "the configuration lists none".to_owned(),
            known => format!("it lists {}", known.join(", ")),
        };
        return Err(Failure::usage(anyhow::anyhow!("the configuration has no repository `{name}`"), hint));
    };
    Ok(found)
}

/// The one repository that a command looks at, with what it may be about: the one that `--repo-name` names or the only one.
/// `--repo` says where to look for it instead, as in a checkout.
pub(super) fn chosen(
    flags: &RepositoryArgs,
    written: &[Repository],
    interval: Duration,
) -> Result<(Source, Allow), Failure> {
    let entry = match (&flags.repo_name, written) {
        (_, []) => return Ok((flags.source(interval)?, Allow::default())),
        (Some(name), written) => named(name, written)?,
        (None, [only]) => only,
        (None, several) => {
            let error = anyhow::anyhow!("the configuration lists {} repositories", several.len());
            return Err(Failure::usage(error, "say which by --repo-name"));
        }
    };
    let source = match &flags.repo {
        Some(_) => flags.source(interval)?.named(entry.name.clone()),
        None => source(entry, &flags.unnamed(), interval)?,
    };
    Ok((source, entry.allow.clone()))
}

/// The checked source. Of the flags those count that are the same for all repositories: limits, and whether plain http
/// is followed.
///
/// # Errors
/// Where a flag says what the file says of each repository, and where the entry makes no source.
pub(super) fn source(entry: &Repository, flags: &RepositoryArgs, interval: Duration) -> Result<Source, Failure> {
    if let Some(flag) = flags.given() {
        let error = anyhow::anyhow!("{flag} and `repositories` of the configuration say the same thing");
        return Err(Failure::usage(error, "keep one of them"));
    }
    let of_entry = |error: anyhow::Error| error.context(format!("repository {}", entry.name));
    let (branch, path) = (entry.branch.as_deref().unwrap_or(BRANCH), entry.path.as_deref().unwrap_or(FOLDER));
    let (access, interval) =
        (access(&entry.credentials, entry.limits, flags.git.access()), entry.interval.unwrap_or(interval));
    let source = Source::with_access(&entry.url, branch, path, interval, access).map_err(|error| {
        let hint = error.hint();
        Failure::usage(of_entry(error.into()), hint)
    })?;
    if let Some(verify) = &entry.verify {
        check_keys(&verify.keys).map_err(|error| {
            let hint = error.hint();
            Failure::usage(of_entry(error.into()), hint)
        })?;
    }
    let trust = Trust { verify: entry.verify.clone(), ..Trust::default() };
    Ok(source.trusting(trust).named(entry.name.clone()))
}

fn access(own: &Access, limits: Looks, flags: Access) -> Access {
    let limits = Limits {
        look: limits.look.unwrap_or(flags.limits.look),
        fetch: limits.fetch.unwrap_or(flags.limits.fetch),
        bytes: limits.bytes.unwrap_or(flags.limits.bytes),
        objects: limits.objects.unwrap_or(flags.limits.objects),
    };
    Access { limits, allow_http: flags.allow_http, program: flags.program, ..own.clone() }
}
