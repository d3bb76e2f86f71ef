//! Makes certificates with the `openssl` command.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An authority, a certificate for this machine, and one for a client; all in one folder.
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes them in a folder of their own below `home`.
    pub fn make(home: &Path, name: &str) -> Self {
        let folder = home.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let made = Self { folder };
        made.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
        std::fs::write(made.folder.join("server.ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n").unwrap();
        std::fs::write(made.folder.join("client.ext"), "extendedKeyUsage=clientAuth\n").unwrap();
        for name in ["server", "client"] {
            made.openssl(&format!("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"));
            made.openssl(&format!("x509 -req -days 2 -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile {name}.ext -out {name}.pem"));
        }
        made
    }

    /// Signs the server's certificate anew, for other names or for days that may be over.
    pub fn sign(&self, names: &str, days: i32) {
        std::fs::write(self.folder.join("server.ext"), format!("subjectAltName={names}\n")).unwrap();
        self.openssl(&format!("x509 -req -days {days} -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile server.ext -out server.pem"));
    }

    /// A client certificate for this subject (`/O=…/CN=…`) that is good for so many seconds, with its key; both as PEM.
    pub fn client_for(&self, subject: &str, seconds: i64) -> (String, String) {
        let name = "brief";
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj {subject} -keyout {name}.key -out {name}.csr"
        ));
        let settings = "[ca]\ndefault_ca=own\n[own]\nnew_certs_dir=.\ndatabase=index\nrand_serial=yes\ndefault_md=sha256\n\
                        policy=any\nunique_subject=no\nx509_extensions=client\n[any]\norganizationName=optional\n\
                        commonName=supplied\n[client]\nextendedKeyUsage=clientAuth\n";
        std::fs::write(self.folder.join("ca.cnf"), settings).unwrap();
        std::fs::write(self.folder.join("index"), "").unwrap();
        let at = |seconds: i64| {
            let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
            at.strftime("%Y%m%d%H%M%SZ").to_string()
        };
        let (from, to) = (at(-60), at(seconds));
        self.openssl(&format!("ca -config ca.cnf -batch -notext -in {name}.csr -cert ca.pem -keyfile ca.key -startdate {from} -enddate {to} -out {name}.pem"));
        let text = |file: &str| std::fs::read_to_string(self.file(file)).unwrap();
        (text("brief.pem"), text("brief.key"))
    }

    /// Lets the server's certificate sign itself; an authority may be one, too.
    pub fn sign_itself(&self, authority: bool) {
        let extensions = format!(
            "-addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:{}",
            if authority { "TRUE" } else { "FALSE" }
        );
        self.openssl(&format!("req -x509 -key server.key -days 2 -subj /CN=self {extensions} -out server.pem"));
    }

    /// One of `ca.pem`, `server.pem`, `server.key`, `client.pem`, `client.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(&self.folder).stdin(Stdio::null());
        let out = command.output().expect("openssl is installed");
        assert!(out.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&out.stderr));
    }
}
