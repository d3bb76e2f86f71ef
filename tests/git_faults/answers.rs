//! Servers that refuse, send elsewhere, or are not who they should be; credentials that change.

use std::net::SocketAddr;
use std::sync::Arc;

use tidegate::git::{Access, Fault};

use super::followed::{Case, Followed, access, suffer_and_heal};
use super::neighbour::Neighbour;
use super::relay::{Fault as Cut, Relay};
use super::support::certificates::Certificates;
use super::support::git_http::GitHttp;
use super::support::repository::Repository;
use super::support::sshd::Sshd;
use super::{ALONE, Held};

/// A small repository, with its bare one beside it.
fn small() -> Repository {
    let repository = Repository::with(&[("plans/web.yaml", "1")]);
    repository.bare();
    repository
}

#[tokio::test(flavor = "multi_thread")]
async fn http_refusals_are_told_apart_and_no_redirect_is_followed() {
    let _alone = ALONE.lock().await;
    let before = Held::now();
    let repository = small();
    let elsewhere = GitHttp::start(repository.home());
    let leads = format!("Location: {}/info/refs?service=git-upload-pack\r\n", elsewhere.url("origin.git"));
    let neighbour = Neighbour::start().await;
    let answers: [(&str, &str, fn(&Fault) -> bool); 10] = [
        ("401 Unauthorized", "", |fault| matches!(fault, Fault::Refused)),
        ("403 Forbidden", "", |fault| matches!(fault, Fault::Forbidden { .. })),
        ("403 Forbidden", "X-RateLimit-Remaining: 0\r\n", |fault| matches!(fault, Fault::Busy { status: 403, .. })),
        ("404 Not Found", "", |fault| matches!(fault, Fault::NotFound { .. })),
        ("429 Too Many Requests", "Retry-After: 5\r\n", |fault| matches!(fault, Fault::Busy { status: 429, .. })),
        ("500 Internal Server Error", "", |fault| matches!(fault, Fault::Server { .. })),
        ("503 Service Unavailable", "", |fault| matches!(fault, Fault::Busy { status: 503, .. })),
        ("200 OK", "Content-Type: text/html\r\n", |fault| matches!(fault, Fault::Server { .. })),
        ("302 Found", &leads, |fault| matches!(fault, Fault::Redirected { .. })),
        ("307 Temporary Redirect", &leads, |fault| matches!(fault, Fault::Redirected { .. })),
    ];
    let token = repository.home().join("token");
    std::fs::write(&token, "sesame").unwrap();
    let mut cases = Vec::new();
    for (status, headers, is) in answers {
        let server = GitHttp::start(repository.home());
        let answer = (status.to_owned(), headers.to_owned(), "no".to_owned());
        server.rule(|rules| rules.instead = Some(answer));
        let access = Access { token_file: Some(token.clone()), ..access() };
        let followed = Followed::start(&repository, &server.url("origin.git"), access);
        let heal = move || -> Box<dyn Send> {
            server.rule(|rules| rules.instead = None);
            Box::new(server)
        };
        cases.push(Case { what: status.to_owned(), followed, is, heal: Box::new(heal) });
    }
    suffer_and_heal(cases, &repository.tip()).await;
    assert!(elsewhere.requests().is_empty(), "nothing goes where a redirect leads");
    neighbour.end().await;
    drop(elsewhere);
    Held::until_no_more_than(before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_nobody_of_another_or_of_yesterday_is_not_trusted() {
    let _alone = ALONE.lock().await;
    let before = Held::now();
    let repository = small();
    let made = |name: &str| Certificates::make(repository.home(), name);
    let good = made("good");
    let server = Arc::new(GitHttp::start_tls(repository.home(), &good, false));
    let neighbour = Neighbour::start().await;
    let (other, expired, itself, name) = (made("other"), made("expired"), made("itself"), made("name"));
    expired.sign("IP:127.0.0.1", -1);
    itself.sign_itself(false);
    name.sign("DNS:git.example.com", 2);
    let mut cases = Vec::new();
    for (what, shown) in [("another authority", other), ("expired", expired), ("self-signed", itself), ("name", name)] {
        let bad = GitHttp::start_tls(repository.home(), &shown, false);
        let relay = Relay::start(bad.address(), Cut::Nothing).await;
        let url = relay.through(&server.url("origin.git"), server.address());
        // Both authorities are trusted, but for the case that is about that.
        let ca = repository.home().join(format!("{what}.pem"));
        let read = |from: &Certificates| std::fs::read_to_string(from.file("ca.pem")).unwrap();
        let more = if what == "another authority" { String::new() } else { read(&shown) };
        std::fs::write(&ca, read(&good) + &more).unwrap();
        let followed = Followed::start(&repository, &url, Access { ca_file: Some(ca), ..access() });
        let address = server.address();
        let heal = move || -> Box<dyn Send> {
            relay.turn(address);
            Box::new((relay, bad))
        };
        let is = |fault: &Fault| matches!(fault, Fault::Untrusted { .. });
        cases.push(Case { what: what.to_owned(), followed, is, heal: Box::new(heal) });
    }
    suffer_and_heal(cases, &repository.tip()).await;
    neighbour.end().await;
    drop(server);
    Held::until_no_more_than(before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_key_that_changed_and_a_key_that_is_not_let_in() {
    let _alone = ALONE.lock().await;
    let before = Held::now();
    let repository = small();
    let bare = repository.home().join("origin.git");
    let (trusted, stranger) = (repository.home().join("trusted"), repository.home().join("stranger"));
    let (trusted, stranger) = (Sshd::start(&trusted), Sshd::start(&stranger));
    std::fs::write(stranger.authorized_keys(), std::fs::read(trusted.authorized_keys()).unwrap()).unwrap();
    let address = |server: &Sshd| SocketAddr::from(([127, 0, 0, 1], server.port()));
    let neighbour = Neighbour::start().await;
    let relay = Relay::start(address(&stranger), Cut::Nothing).await;
    let known = repository.home().join("known");
    let line = |port: u16| format!("[127.0.0.1]:{port} {}\n", trusted.host_key("ed25519"));
    std::fs::write(&known, line(relay.port()) + &line(trusted.port())).unwrap();
    let url = trusted.url(&bare).replace(&format!(":{}/", trusted.port()), &format!(":{}/", relay.port()));
    let access = || Access { ssh_key: Some(trusted.client_key()), known_hosts: Some(known.clone()), ..access() };
    let (good, let_in) = (address(&trusted), trusted.authorized_keys());
    let keys = std::fs::read(&let_in).unwrap();
    let changed = Case {
        what: "another host key".to_owned(),
        followed: Followed::start(&repository, &url, access()),
        is: |fault| matches!(fault, Fault::HostKeyChanged { .. }),
        heal: Box::new(move || {
            relay.turn(good);
            Box::new(relay)
        }),
    };
    suffer_and_heal(vec![changed], &repository.tip()).await;
    std::fs::write(&let_in, "").unwrap();
    let refused = Case {
        what: "a key that is not let in".to_owned(),
        followed: Followed::start(&repository, &trusted.url(&bare), access()),
        is: |fault| matches!(fault, Fault::Refused),
        heal: Box::new(move || {
            std::fs::write(let_in, keys).unwrap();
            Box::new(())
        }),
    };
    suffer_and_heal(vec![refused], &repository.tip()).await;
    neighbour.end().await;
    drop((trusted, stranger));
    Held::until_no_more_than(before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_rotated_is_used_without_a_restart_and_the_old_one_no_more() {
    let _alone = ALONE.lock().await;
    let before = Held::now();
    let repository = small();
    let token = repository.home().join("token");
    std::fs::write(&token, "old\n").unwrap();
    let server = GitHttp::start(repository.home());
    let user = || "x-access-token".to_owned();
    server.rule(|rules| rules.basic = Some((user(), "old".to_owned())));
    let access = Access { token_file: Some(token.clone()), ..access() };
    let mut followed = Followed::start(&repository, &server.url("origin.git"), access);
    followed.tip("the old token", &repository.tip()).await;
    server.rule(|rules| rules.basic = Some((user(), "new".to_owned())));
    let tip = repository.commit("Change", &[("plans/web.yaml", "2")]);
    repository.push(false);
    followed.fault("the old token after the rotation", |fault| matches!(fault, Fault::Refused)).await;
    std::fs::remove_file(&token).unwrap();
    let unread = |fault: &Fault| matches!(fault, Fault::Credentials { .. });
    followed.fault("no token while it is replaced", unread).await;
    let asked = server.requests().len();
    std::fs::write(&token, "new\n").unwrap();
    followed.tip("the new token", &tip).await;
    let old = "Basic eC1hY2Nlc3MtdG9rZW46b2xk";
    let sent = server.requests().split_off(asked);
    assert!(sent.iter().all(|request| request.header("authorization").is_some_and(|sent| sent != old)));
    followed.end("the new token");
    drop(server);
    Held::until_no_more_than(before).await;
}
