//! A server on loopback that answers every request in one way: with a status, never, or by hanging up.
#![allow(dead_code, reason = "each test binary uses its part of the test bed")]
#![allow(clippy::unwrap_used, reason = "a test bed that fails is a failed test")]

use std::net::TcpListener;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// The server; it must be made inside a runtime and ends when dropped.
pub struct Stub {
    dir: TempDir,
    port: u16,
    manner: Manner,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy)]
enum Manner {
    Answer { code: u16, ahead_s: i64 },
    Hang,
    Tear,
}

impl Stub {
    /// Answers with this status and the words `the stub says <code>`.
    pub fn answering(code: u16) -> Self {
        Self::start(Manner::Answer { code, ahead_s: 0 })
    }

    /// Takes requests and never answers.
    pub fn hanging() -> Self {
        Self::start(Manner::Hang)
    }

    /// Takes a request and closes the connection.
    pub fn tearing() -> Self {
        Self::start(Manner::Tear)
    }

    /// The same server with a clock that is ahead of ours.
    pub fn ahead_s(self, ahead_s: i64) -> Self {
        match self.manner {
            Manner::Answer { code, .. } => Self::start(Manner::Answer { code, ahead_s }),
            manner => Self::start(manner),
        }
    }

    /// A kubeconfig of this server.
    pub fn kubeconfig(&self) -> PathBuf {
        let path = self.dir.path().join("kubeconfig");
        let server = format!("http://127.0.0.1:{}", self.port);
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: stub\n\
             clusters: [{{name: stub, cluster: {{server: \"{server}\"}}}}]\nusers: [{{name: stub, user: {{}}}}]\n\
             contexts: [{{name: stub, context: {{cluster: stub, user: stub}}}}]\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, manner));
            }
        });
        Self { dir: tempfile::tempdir().unwrap(), port, manner, task }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Takes one request per connection.
async fn serve(mut stream: TcpStream, manner: Manner) {
    let mut request = vec![0; 65_536];
    let _ = stream.read(&mut request).await;
    let Manner::Answer { code, ahead_s } = manner else {
        if matches!(manner, Manner::Hang) {
            std::future::pending::<()>().await;
        }
        return;
    };
    let date = Timestamp::now() + SignedDuration::from_secs(ahead_s);
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT");
    let body = format!(
        r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","message":"the stub says {code}","reason":"Stub","code":{code}}}"#
    );
    let head =
        format!("HTTP/1.1 {code} Stub\r\nDate: {date}\r\nContent-Type: application/json\r\nConnection: close\r\n");
    let _ = stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
}
