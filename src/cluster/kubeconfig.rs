//! Chooses the one kubeconfig file that holds the wanted context; files are never merged.
//!
//! Merging goes by name, and k3s names everything `default`: two such files merged would point one context at the other
//! cluster's credentials without an error.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use kube::config::{Kubeconfig, KubeconfigError};

use super::ConnectError;

const FILE_BYTES_MAX: u64 = 4 << 20;

/// Where kubeconfigs are looked for: the file asked for, else those of `KUBECONFIG`, else the home folder's.
pub(super) fn candidates(asked: Option<&Path>, variable: Option<OsString>, home: Option<OsString>) -> Vec<PathBuf> {
    if let Some(path) = asked {
        return vec![path.to_owned()];
    }
    if let Some(variable) = variable.filter(|variable| !variable.is_empty()) {
        return std::env::split_paths(&variable).filter(|path| !path.as_os_str().is_empty()).collect();
    }
    home.map(|home| Path::new(&home).join(".kube/config")).into_iter().collect()
}

/// The first file that holds the context, and the context's name: the one asked for, else the first current one.
///
/// Errs when a file can't be read (one of several may be absent), and when no file holds the context.
pub(super) fn choose(paths: &[PathBuf], context: Option<&str>) -> Result<(Kubeconfig, String), ConnectError> {
    let mut files = Vec::new();
    for path in paths {
        if paths.len() > 1 && !path.exists() {
            continue;
        }
        files.push(read(path)?);
    }
    if files.is_empty() {
        return Err(ConnectError::NoKubeconfig);
    }
    let known = || files.iter().flat_map(|file| file.contexts.iter().map(|context| context.name.clone())).collect();
    let current = || files.iter().find_map(|file| file.current_context.clone().filter(|name| !name.is_empty()));
    let Some(wanted) = context.map(str::to_owned).or_else(current) else {
        return Err(ConnectError::NoContext { known: known() });
    };
    match files.iter().position(|file| file.contexts.iter().any(|context| context.name == wanted)) {
        Some(index) => Ok((files.swap_remove(index), wanted)),
        None => Err(ConnectError::UnknownContext { context: wanted, known: known() }),
    }
}

fn read(path: &Path) -> Result<Kubeconfig, ConnectError> {
    let unreadable = |why: String| ConnectError::Unreadable { path: path.to_owned(), why };
    let bytes = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(unreadable(format!("file is {bytes} bytes, the limit is {FILE_BYTES_MAX}")));
    }
    Kubeconfig::read_from(path).map_err(|error| unreadable(words(&error)))
}

/// What is wrong with a file, without its words: the parser's own text quotes lines of it, and they hold credentials.
fn words(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        KubeconfigError::Parse(error) => match error.location() {
            Some(at) => format!("it is no kubeconfig, see line {}, column {}", at.line(), at.column()),
            None => "it is no kubeconfig".to_owned(),
        },
        _ => "it is no kubeconfig".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &Path, name: &str, server: &str, contexts: &[&str], current: Option<&str>) -> PathBuf {
        let contexts: Vec<_> = contexts
            .iter()
            .map(|name| format!("{{name: {name}, context: {{cluster: default, user: default}}}}"))
            .collect();
        let current = current.map(|name| format!("current-context: {name}\n")).unwrap_or_default();
        let text = format!(
            "apiVersion: v1\nkind: Config\n{current}clusters: [{{name: default, cluster: {{server: \"{server}\"}}}}]\n\
             users: [{{name: default, user: {{}}}}]\ncontexts: [{}]\n",
            contexts.join(", ")
        );
        std::fs::write(dir.join(name), text).unwrap();
        dir.join(name)
    }

    fn server(config: &Kubeconfig) -> &str {
        config.clusters[0].cluster.as_ref().unwrap().server.as_deref().unwrap()
    }

    #[test]
    fn files_with_equal_names_inside_are_not_mixed_up() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [
            file(dir.path(), "a", "https://a", &["east"], Some("east")),
            file(dir.path(), "b", "https://b", &["west"], Some("west")),
        ];
        assert_eq!(server(&choose(&paths, Some("west")).unwrap().0), "https://b");
        let (config, context) = choose(&paths, None).unwrap();
        assert_eq!((server(&config), context.as_str()), ("https://a", "east"));
    }

    #[test]
    fn an_unknown_context_lists_the_known_ones() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [file(dir.path(), "a", "https://a", &["east", "west"], None)];
        match choose(&paths, Some("north")).unwrap_err() {
            ConnectError::UnknownContext { context, known } => {
                assert_eq!((context.as_str(), known), ("north", vec!["east".to_owned(), "west".to_owned()]));
            }
            other => panic!("{other}"),
        }
        assert!(matches!(choose(&paths, None).unwrap_err(), ConnectError::NoContext { .. }));
    }

    #[test]
    fn one_absent_file_is_an_error_and_an_absent_one_of_several_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (absent, there) = (dir.path().join("none"), file(dir.path(), "a", "https://a", &["east"], Some("east")));
        assert!(matches!(choose(std::slice::from_ref(&absent), None).unwrap_err(), ConnectError::Unreadable { .. }));
        assert!(choose(&[absent.clone(), there], None).is_ok());
        assert!(matches!(choose(&[absent.clone(), absent], None).unwrap_err(), ConnectError::NoKubeconfig));
    }

    #[test]
    fn a_file_that_is_no_kubeconfig_is_named_by_its_place_and_not_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broken");
        for (text, place) in [
            ("kind: Config\nusers: [{name: a, user: kept-secret}]\n", "line 2, column"),
            ("kind: Config\n  token: kept-secret\n", "line 2, column"),
            ("users:\n- name: a\n  user: {token: [kept-secret]}\n", "line 3, column"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = choose(std::slice::from_ref(&path), None).unwrap_err();
            let words = format!("{error} {error:?} {}", error.hint());
            assert!(words.contains(place) && !words.contains("kept-secret"), "{words}");
        }
    }

    #[test]
    fn the_file_asked_for_wins_over_the_variable_and_the_variable_over_the_home_folder() {
        let (variable, home) = (Some(OsString::from("/a:/b")), Some(OsString::from("/home/eve")));
        assert_eq!(candidates(Some(Path::new("/c")), variable.clone(), home.clone()), [PathBuf::from("/c")]);
        assert_eq!(candidates(None, variable, home.clone()), [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(candidates(None, None, home), [PathBuf::from("/home/eve/.kube/config")]);
    }
}
