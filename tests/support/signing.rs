//! Signs commits with keys that `ssh-keygen` and `gpg` make, each in a folder that goes with the repository.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::repository::Repository;

/// An SSH key pair.
pub struct SshKey(PathBuf);

impl SshKey {
    /// A new pair of a type, and of a size where the type has several.
    pub fn new(repository: &Repository, name: &str, kind: &[&str]) -> Self {
        let path = repository.home().join(name);
        let text = path.to_str().unwrap().to_owned();
        let mut arguments = vec!["-q", "-N", "", "-C", name, "-f", &text, "-t"];
        arguments.extend(kind);
        tool(repository.home(), "ssh-keygen", &arguments, "");
        Self(path)
    }

    /// The public key as one line.
    pub fn public(&self) -> String {
        std::fs::read_to_string(self.0.with_extension("pub")).unwrap().trim().to_owned()
    }

    /// Its fingerprint, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        let listed = tool(self.0.parent().unwrap(), "ssh-keygen", &["-l", "-f", self.0.to_str().unwrap()], "");
        listed.split(' ').nth(1).unwrap().to_owned()
    }

    /// A line of allowed_signers with these options.
    pub fn line(&self, options: &str) -> String {
        format!("ada@example.com {options} {}\n", self.public())
    }

    /// Signs any text for a namespace.
    pub fn sign(&self, namespace: &str, text: &str) -> String {
        let home = self.0.parent().unwrap();
        tool(home, "ssh-keygen", &["-q", "-Y", "sign", "-n", namespace, "-f", self.0.to_str().unwrap()], text)
    }

    /// Commits these files, signed.
    pub fn commit(&self, repository: &Repository, message: &str, files: &[(&str, &str)]) -> String {
        let key = format!("user.signingkey={}", self.0.display());
        signed(repository, &["-c", "gpg.format=ssh", "-c", &key], message, files)
    }

    /// Merges a branch with a signed merge commit.
    pub fn merge(&self, repository: &Repository, branch: &str) -> String {
        let key = format!("user.signingkey={}", self.0.display());
        repository.git(&[
            "-c",
            "gpg.format=ssh",
            "-c",
            &key,
            "merge",
            "--quiet",
            "--no-ff",
            "-S",
            "-m",
            "Merge",
            branch,
        ]);
        repository.tip()
    }
}

/// A GnuPG home with its agent, which ends with it.
pub struct Gpg<'a>(&'a Repository);

impl<'a> Gpg<'a> {
    pub fn new(repository: &'a Repository) -> Self {
        std::fs::create_dir(repository.home().join(".gnupg")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(repository.home().join(".gnupg"), mode).unwrap();
        Self(repository)
    }

    /// Runs `gpg` without asking anybody anything and returns what it prints.
    pub fn run(&self, arguments: &[&str], input: &str) -> String {
        let mut all = vec!["--batch", "--yes", "--quiet", "--pinentry-mode=loopback", "--passphrase="];
        all.extend(arguments);
        tool(self.0.home(), "gpg", &all, input)
    }

    /// Makes a key and returns its fingerprint; `more` are options before the command.
    pub fn key(&self, user: &str, kind: &str, expires: &str, more: &[&str]) -> String {
        let mut arguments = more.to_vec();
        arguments.extend(["--quick-gen-key", user, kind, "sign", expires]);
        self.run(&arguments, "");
        let listing = self.run(&["--with-colons", "--list-keys", user], "");
        listing.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned()
    }

    /// The public key as text.
    pub fn export(&self, user: &str) -> String {
        self.run(&["--armor", "--export", user], "")
    }

    /// Commits these files, signed by a key or subkey; `more` are options for `gpg`.
    pub fn commit(&self, key: &str, more: &str, message: &str, files: &[(&str, &str)]) -> String {
        let program = self.0.home().join("sign");
        std::fs::write(&program, format!("#!/bin/sh\nexec gpg --batch --quiet {more} \"$@\"\n")).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let (program, key) = (format!("gpg.program={}", program.display()), format!("user.signingkey={key}"));
        signed(self.0, &["-c", &program, "-c", &key], message, files)
    }
}

impl Drop for Gpg<'_> {
    fn drop(&mut self) {
        tool(self.0.home(), "gpgconf", &["--kill", "all"], "");
    }
}

/// A commit of the given headers and message with any text in the place of its signature; the branch moves to it.
pub fn commit_with_signature(repository: &Repository, signature: impl FnOnce(&str) -> String, message: &str) -> String {
    let tree = repository.git(&["write-tree"]);
    let person = "Ada <ada@example.com> 1763700000 +0000";
    let head = format!("tree {tree}\nparent {}\nauthor {person}\ncommitter {person}", repository.tip());
    let signed = format!("{head}\n\n{message}\n");
    let signature = signature(&signed).trim_end().replace('\n', "\n ");
    let object = format!("{head}\ngpgsig {signature}\n\n{message}\n");
    let mut command = repository.command(&["hash-object", "-t", "commit", "-w", "--stdin"]);
    let id = feed(&mut command, &object);
    repository.force(&id);
    id
}

fn signed(repository: &Repository, configuration: &[&str], message: &str, files: &[(&str, &str)]) -> String {
    for (path, text) in files {
        repository.write(path, text);
    }
    repository.git(&["add", "--all"]);
    let mut arguments = configuration.to_vec();
    arguments.extend(["commit", "--quiet", "--allow-empty", "-S", "-m", message]);
    repository.git(&arguments);
    repository.tip()
}

fn tool(home: &Path, program: &str, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home);
    feed(&mut command, input)
}

fn feed(command: &mut Command, input: &str) -> String {
    use std::io::Write;
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool runs");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}
