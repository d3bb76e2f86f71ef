//! Connections that die, hang, drip or never end, at each stage.

use std::net::SocketAddr;

use tidegate::git::{Access, Fault, Limits};

use super::followed::{Case, Followed, access, suffer_and_heal};
use super::liars::{Liar, Lie};
use super::neighbour::Neighbour;
use super::relay::{Fault as Cut, Relay, Then};
use super::support::certificates::Certificates;
use super::support::git_http::GitHttp;
use super::support::repository::Repository;
use super::support::sshd::Sshd;
use super::{ALONE, Held, children, plans};

/// In the midst of the first pack: behind the listing and the first objects.
const IN_PACK: usize = 300_000;

/// A repository behind a relay, whose fault ends when the relay passes everything on to `good`.
fn case(what: &str, followed: Followed, is: fn(&Fault) -> bool, relay: Relay, good: SocketAddr) -> Case {
    let heal = move || -> Box<dyn Send> {
        relay.turn(good);
        relay.heal();
        Box::new(relay)
    };
    Case { what: what.to_owned(), followed, is, heal: Box::new(heal) }
}

fn timeout(fault: &Fault) -> bool {
    matches!(fault, Fault::Timeout { .. })
}

fn unreachable(fault: &Fault) -> bool {
    matches!(fault, Fault::Unreachable { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn http_that_hangs_drips_or_breaks_at_any_stage() {
    let _alone = ALONE.lock().await;
    let before = Held::now();
    let (repository, _) = plans();
    let server = GitHttp::start(repository.home());
    let neighbour = Neighbour::start().await;
    let cuts: [(&str, Cut, fn(&Fault) -> bool); 9] = [
        ("nobody reads after the connection", Cut::Silence, timeout),
        ("silence in the headers", Cut::After(20, Then::Silence), timeout),
        ("a byte a second in the headers", Cut::After(20, Then::Drip), timeout),
        ("the end in the headers", Cut::After(20, Then::Close), unreachable),
        ("a reset before the answer", Cut::After(0, Then::Reset), unreachable),
        ("silence in the pack", Cut::After(IN_PACK, Then::Silence), timeout),
        ("a byte a second in the pack", Cut::After(IN_PACK, Then::Drip), timeout),
        ("the end in the pack", Cut::After(IN_PACK, Then::Close), unreachable),
        ("a reset in the pack", Cut::After(IN_PACK, Then::Reset), unreachable),
    ];
    let mut cases = Vec::new();
    for (what, cut, is) in cuts {
        let relay = Relay::start(server.address(), cut).await;
        let url = relay.through(&server.url("origin.git"), server.address());
        let followed = Followed::start(&repository, &url, access());
        cases.push(case(what, followed, is, relay, server.address()));
    }
    suffer_and_heal(cases, &repository.tip()).await;
    neighbour.end().await;
    drop(server);
    Held::until_no_more_than(before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn https_that_hangs_before_and_after_its_handshake() {
    let _alone = ALONE.lock().await;
    let before = Held::now();
    let (repository, _) = plans();
    let certificates = Certificates::make(repository.home(), "tls");
    let server = GitHttp::start_tls(repository.home(), &certificates, false);
    let silent = Liar::silent_after_tls(&certificates);
    let neighbour = Neighbour::start().await;
    let cuts: [(&str, SocketAddr, Cut, fn(&Fault) -> bool); 4] = [
        ("silence in the handshake", server.address(), Cut::After(100, Then::Silence), timeout),
        ("the end in the handshake", server.address(), Cut::After(100, Then::Close), unreachable),
        ("silence after the handshake", silent.address(), Cut::Nothing, timeout),
        ("silence in the pack", server.address(), Cut::After(IN_PACK, Then::Silence), timeout),
    ];
    let mut cases = Vec::new();
    for (what, target, cut, is) in cuts {
        let relay = Relay::start(target, cut).await;
        let url = relay.through(&server.url("origin.git"), server.address());
        let access = Access { ca_file: Some(certificates.file("ca.pem")), ..access() };
        let followed = Followed::start(&repository, &url, access);
        cases.push(case(what, followed, is, relay, server.address()));
    }
    suffer_and_heal(cases, &repository.tip()).await;
    neighbour.end().await;
    drop((server, silent));
    Held::until_no_more_than(before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ssh_that_hangs_drips_or_breaks_at_any_stage() {
    let _alone = ALONE.lock().await;
    let before = Held::now();
    let (repository, bare) = plans();
    let sshd = Sshd::start(repository.home());
    let address = SocketAddr::from(([127, 0, 0, 1], sshd.port()));
    let neighbour = Neighbour::start().await;
    let any_end = |fault: &Fault| matches!(fault, Fault::Unreachable { .. } | Fault::Server { .. });
    let cuts: [(&str, Cut, fn(&Fault) -> bool); 8] = [
        ("nobody reads after the connection", Cut::Silence, timeout),
        ("silence after the version", Cut::After(10, Then::Silence), timeout),
        ("silence after the keys", Cut::AfterSshKeys(Then::Silence), timeout),
        ("a byte a second after the keys", Cut::AfterSshKeys(Then::Drip), timeout),
        ("the end after the keys", Cut::AfterSshKeys(Then::Close), any_end),
        ("silence in the pack", Cut::After(IN_PACK, Then::Silence), timeout),
        ("the end in the pack", Cut::After(IN_PACK, Then::Close), any_end),
        ("a reset in the pack", Cut::After(IN_PACK, Then::Reset), any_end),
    ];
    let mut cases = Vec::new();
    for (number, (what, cut, is)) in cuts.into_iter().enumerate() {
        let relay = Relay::start(address, cut).await;
        let url = sshd.url(&bare).replace(&format!(":{}/", sshd.port()), &format!(":{}/", relay.port()));
        let known = repository.home().join(format!("known_hosts.{number}"));
        std::fs::write(&known, format!("[127.0.0.1]:{} {}\n", relay.port(), sshd.host_key("ed25519"))).unwrap();
        let access = Access { ssh_key: Some(sshd.client_key()), known_hosts: Some(known), ..access() };
        let followed = Followed::start(&repository, &url, access);
        cases.push(case(what, followed, is, relay, address));
    }
    suffer_and_heal(cases, &repository.tip()).await;
    neighbour.end().await;
    drop(sshd);
    Held::until_no_more_than(before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sends_without_end_or_sense_fills_neither_memory_nor_disk() {
    let _alone = ALONE.lock().await;
    let before = Held::now();
    let (repository, _) = plans();
    let server = GitHttp::start(repository.home());
    let neighbour = Neighbour::start().await;
    let quota = |fault: &Fault| matches!(fault, Fault::Quota { .. });
    let too_much = |fault: &Fault| matches!(fault, Fault::Quota { .. } | Fault::Timeout { .. });
    let odd = |fault: &Fault| matches!(fault, Fault::Garbled { .. });
    let lies: [(Lie, fn(&Fault) -> bool); 6] = [
        (Lie::EndlessReferences, too_much),
        (Lie::EndlessHeaders, |fault| matches!(fault, Fault::Server { .. })),
        (Lie::TooManyObjects, quota),
        (Lie::EndlessPack, quota),
        // Unpacked as a stream, it costs time alone: the deadline, or the end that never came, ends it.
        (Lie::HugeObject, |fault| !matches!(fault, Fault::Died { .. })),
        (Lie::Nonsense, odd),
    ];
    let mut cases = Vec::new();
    let mut liars = Vec::new();
    for (lie, is) in lies {
        let liar = Liar::start(lie);
        let relay = Relay::start(liar.address(), Cut::Nothing).await;
        let url = relay.through(&server.url("origin.git"), server.address());
        let limits = Limits { bytes: 8 << 20, ..access().limits };
        let followed = Followed::start(&repository, &url, Access { limits, ..access() });
        cases.push(case(&format!("{lie:?}"), followed, is, relay, server.address()));
        liars.push(liar);
    }
    let mirrors: Vec<_> = cases.iter().map(|case| case.followed.dir.clone()).collect();
    let folder = repository.home().to_owned();
    let watched = tokio::task::spawn(async move {
        let mut most = [0, 0];
        loop {
            most[0] = most[0].max(mirrors.iter().map(|mirror| size(mirror)).max().unwrap_or(0));
            most[1] = most[1].max(children().into_iter().map(|(id, _)| memory(id)).max().unwrap_or(0));
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            if !folder.exists() || folder.join("done").exists() {
                return most;
            }
        }
    });
    suffer_and_heal(cases, &repository.tip()).await;
    repository.write("../done", "");
    let [disk, memory] = watched.await.unwrap();
    println!("the largest mirror was {} KiB, the largest child {} KiB", disk >> 10, memory >> 10);
    assert!(disk < 80 << 20 && memory < 1 << 30, "{disk} bytes on disk, {memory} in memory");
    neighbour.end().await;
    drop((server, liars));
    Held::until_no_more_than(before).await;
}

/// The most memory that a process has had, in bytes.
fn memory(process: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    most.unwrap_or(0_u64) << 10
}

/// The bytes below a folder.
fn size(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_waited_for() {
    let _alone = ALONE.lock().await;
    let before = Held::now();
    let repository = Repository::with(&[("plans/web.yaml", "1")]);
    repository.bare();
    let server = GitHttp::start(repository.home());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut followed = Followed::start(&repository, &format!("http://{nobody}/origin.git"), access());
    followed.fault("nobody listens", unreachable).await;
    let relay = Relay::start_at(nobody, server.address(), Cut::Nothing).await;
    followed.tip("nobody listened", &repository.tip()).await;
    followed.end("nobody listened");
    drop((server, relay));
    Held::until_no_more_than(before).await;
}
