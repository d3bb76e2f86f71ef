//! Asks istiod's webhook, over connections that stay.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

/// What Istio says of an object.
pub struct Verdict {
    pub is_allowed: bool,
    /// Why not, where it is refused.
    pub message: String,
    pub warnings: Vec<String>,
}

/// Asks about all objects, in their order, over a few connections.
pub fn ask(url: &str, objects: &[Value]) -> Vec<Verdict> {
    const CONNECTIONS: usize = 4;
    let address = url.trim_start_matches("http://");
    std::thread::scope(|scope| {
        let parts = objects.chunks(objects.len().div_ceil(CONNECTIONS).max(1));
        let parts: Vec<_> = parts
            .map(|part| {
                scope.spawn(move || {
                    let mut connection = Connection::open(address);
                    part.iter().map(|object| connection.ask(object)).collect::<Vec<_>>()
                })
            })
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

struct Connection {
    address: String,
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { address: address.to_owned(), stream: BufReader::new(stream) }
    }

    fn ask(&mut self, object: &Value) -> Verdict {
        let kind = object["kind"].as_str().unwrap();
        let (group, version) = object["apiVersion"].as_str().unwrap().split_once('/').unwrap();
        let resource =
            if kind == "ServiceEntry" { "serviceentries".to_owned() } else { format!("{}s", kind.to_lowercase()) };
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
            "uid": "1", "kind": {"group": group, "version": version, "kind": kind},
            "resource": {"group": group, "version": version, "resource": resource},
            "namespace": "shop", "name": "web", "operation": "CREATE", "userInfo": {}, "object": object}});
        let answer = self.post(&review.to_string());
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let response = &answer["response"];
        let warnings = response["warnings"].as_array().cloned().unwrap_or_default();
        Verdict {
            is_allowed: response["allowed"].as_bool().unwrap_or_else(|| panic!("no verdict: {answer}")),
            message: response["status"]["message"].as_str().unwrap_or_default().to_owned(),
            warnings: warnings.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        }
    }

    fn post(&mut self, body: &str) -> Vec<u8> {
        let head = format!(
            "POST /validate HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.stream.get_mut().write_all((head + body).as_bytes()).unwrap();
        assert!(self.line().contains(" 200 "), "istiod's webhook does not answer as one");
        let mut length = None;
        loop {
            let line = self.line().to_ascii_lowercase();
            match line.split_once(": ") {
                None => break,
                Some(("content-length", number)) => length = Some(number.parse().unwrap()),
                Some(_) => {}
            }
        }
        match length {
            Some(length) => self.bytes(length),
            None => self.chunks(),
        }
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut whole = Vec::new();
        loop {
            let length = usize::from_str_radix(&self.line(), 16).unwrap();
            whole.extend(self.bytes(length));
            self.line();
            if length == 0 {
                return whole;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }
}
