//! A real sshd on a free loopback port, with host keys and a client's key of its own.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The kinds of host keys that it may be given.
pub const KINDS: [&str; 3] = ["ed25519", "ecdsa", "rsa"];

/// The server; dropped, it is killed.
pub struct Sshd {
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl Sshd {
    /// Starts it with one host key, of kind ed25519; its files are in `home`.
    pub fn start(home: &Path) -> Self {
        Self::with(home, &["ed25519"])
    }

    /// Starts it with host keys of these kinds. Keys that are in `home` already are kept.
    pub fn with(home: &Path, kinds: &[&str]) -> Self {
        let folder = home.join("sshd");
        std::fs::create_dir_all(&folder).unwrap();
        for kind in kinds {
            key(&folder.join(format!("host_{kind}")), kind, "");
        }
        key(&folder.join("client"), "ed25519", "");
        let public = std::fs::read_to_string(folder.join("client.pub")).unwrap();
        std::fs::write(folder.join("authorized_keys"), public).unwrap();
        // What sshd gives up its rights in; missing where no service was ever started.
        let _ = std::fs::create_dir_all("/run/sshd");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let host_keys: String =
            kinds.iter().map(|kind| format!("HostKey {}\n", folder.join(format!("host_{kind}")).display())).collect();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\n{host_keys}AuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nPidFile none\n",
            folder.join("authorized_keys").display()
        );
        std::fs::write(folder.join("config"), config).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(folder.join("config"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("openssh-server is installed");
        let server = Self { folder, port, child };
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "sshd does not listen: {}", server.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a repository by its absolute path.
    pub fn url(&self, path: &Path) -> String {
        format!("ssh://{}@127.0.0.1:{}{}", user(), self.port, path.display())
    }

    /// The private key that it lets in.
    pub fn client_key(&self) -> PathBuf {
        self.folder.join("client")
    }

    /// What it lets in, one public key a line.
    pub fn authorized_keys(&self) -> PathBuf {
        self.folder.join("authorized_keys")
    }

    /// The public host key of a kind: kind and base64.
    pub fn host_key(&self, kind: &str) -> String {
        let text = std::fs::read_to_string(self.folder.join(format!("host_{kind}.pub"))).unwrap();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// A file of known hosts with these lines.
    pub fn known_hosts(&self, lines: &[String]) -> PathBuf {
        let path = self.folder.join("known_hosts");
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        path
    }

    /// How OpenSSH names this server.
    pub fn name(&self) -> String {
        format!("[127.0.0.1]:{}", self.port)
    }

    /// What it said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes a key, if it is not there yet.
pub fn key(path: &Path, kind: &str, passphrase: &str) {
    if path.exists() {
        return;
    }
    let mut command = Command::new("ssh-keygen");
    command
        .args((kind == "rsa").then_some("-b2048"))
        .args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"])
        .arg(path)
        .stdin(Stdio::null());
    assert!(command.status().expect("openssh-client is installed").success());
}

/// Who runs this.
pub fn user() -> String {
    let out = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}
