//! HTTPS: whom it trusts, what it shows, and the way through a proxy.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use tidegate::git::{Access, Fault};

use super::support::certificates::Certificates;
use super::support::git_http::GitHttp;
use super::{access, fault, mirror, moved, plans, push, root};

#[test]
fn an_authority_is_trusted_once_it_is_given_and_no_other() {
    let (repository, bare) = plans();
    let certificates = Certificates::make(repository.home(), "good");
    let strangers = Certificates::make(repository.home(), "strangers");
    let server = GitHttp::start_tls(root(&bare), &certificates, false);
    let mut plain = mirror(&repository, &server.url("origin.git"), access());
    assert!(matches!(fault(&mut plain), Fault::Untrusted { .. }));
    let file = repository.home().join("ca.pem");
    std::fs::copy(strangers.file("ca.pem"), &file).unwrap();
    let mut mirror = mirror(&repository, &server.url("origin.git"), Access { ca_file: Some(file.clone()), ..access() });
    assert!(matches!(fault(&mut mirror), Fault::Untrusted { .. }));
    std::fs::write(&file, "no certificate").unwrap();
    assert!(matches!(fault(&mut mirror), Fault::Unusable { .. }));
    std::fs::copy(certificates.file("ca.pem"), &file).unwrap();
    assert_eq!(moved(&mut mirror), repository.tip());
    let tip = push(&repository, "2");
    assert_eq!(moved(&mut mirror), tip);
    assert!(server.requests().iter().all(|request| request.connection == server.requests()[0].connection));
    std::fs::copy(strangers.file("ca.pem"), &file).unwrap();
    assert!(matches!(fault(&mut mirror), Fault::Untrusted { .. }), "trust that was taken away counts at once");
}

#[test]
fn a_server_that_wants_a_certificate_is_shown_one() {
    let (repository, bare) = plans();
    let certificates = Certificates::make(repository.home(), "certificates");
    let strangers = Certificates::make(repository.home(), "strangers");
    let server = GitHttp::start_tls(root(&bare), &certificates, true);
    let trusting = Access { ca_file: Some(certificates.file("ca.pem")), ..access() };
    let url = server.url("origin.git");
    assert!(matches!(fault(&mut mirror(&repository, &url, trusting.clone())), Fault::Tls { .. }));
    let with = |made: &Certificates| Access {
        client_cert: Some(made.file("client.pem")),
        client_key: Some(made.file("client.key")),
        ..trusting.clone()
    };
    assert!(matches!(fault(&mut mirror(&repository, &url, with(&strangers))), Fault::Tls { .. }));
    assert_eq!(moved(&mut mirror(&repository, &url, with(&certificates))), repository.tip());
}

#[test]
fn a_certificate_that_signed_itself_must_not_be_an_authority() {
    let (repository, bare) = plans();
    let certificates = Certificates::make(repository.home(), "certificates");
    let trusting = Access { ca_file: Some(certificates.file("server.pem")), ..access() };
    certificates.sign_itself(false);
    let server = GitHttp::start_tls(root(&bare), &certificates, false);
    assert_eq!(moved(&mut mirror(&repository, &server.url("origin.git"), trusting.clone())), repository.tip());
    certificates.sign_itself(true);
    let server = GitHttp::start_tls(root(&bare), &certificates, false);
    assert!(matches!(fault(&mut mirror(&repository, &server.url("origin.git"), trusting)), Fault::Untrusted { .. }));
}

/// A proxy that tunnels, if it is told who asks.
fn proxy(seen: &Arc<Mutex<Vec<String>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = seen.clone();
    // Ends with the process: it holds nothing but its port.
    std::thread::spawn(move || {
        for client in listener.incoming().map(Result::unwrap) {
            let seen = seen.clone();
            std::thread::spawn(move || tunnel(client, &seen));
        }
    });
    address
}

fn tunnel(mut client: TcpStream, seen: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(client.try_clone().unwrap()).lines().map(Result::unwrap);
    let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    seen.lock().unwrap().push(head.join("\n"));
    // `ann:sesame` in base64.
    if !head.iter().any(|line| line == "Proxy-Authorization: Basic YW5uOnNlc2FtZQ==") {
        client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").unwrap();
        return;
    }
    let mut server = TcpStream::connect(head[0].split(' ').nth(1).unwrap()).unwrap();
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = server.read(&mut buffer) {
        client.write_all(&buffer[..read]).unwrap();
    }
}

#[test]
fn a_proxy_passes_on_what_it_cannot_read() {
    let (repository, bare) = plans();
    let certificates = Certificates::make(repository.home(), "certificates");
    let server = GitHttp::start_tls(root(&bare), &certificates, false);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let auth = repository.home().join("proxy-auth");
    std::fs::write(&auth, "ann:wrong\n").unwrap();
    let token = repository.home().join("token");
    std::fs::write(&token, "sesame-token\n").unwrap();
    let through = Access {
        ca_file: Some(certificates.file("ca.pem")),
        proxy: Some(format!("http://{}", proxy(&seen))),
        proxy_auth_file: Some(auth.clone()),
        token_file: Some(token),
        ..access()
    };
    let mut mirror = mirror(&repository, &server.url("origin.git"), through);
    assert!(matches!(fault(&mut mirror), Fault::Proxy { .. }));
    std::fs::write(&auth, "ann:sesame\n").unwrap();
    assert_eq!(moved(&mut mirror), repository.tip());
    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|head| head.starts_with("CONNECT 127.0.0.1:") && !head.contains("\nAuthorization")));
    assert!(server.requests().iter().all(|request| request.header("proxy-authorization").is_none()));
}
