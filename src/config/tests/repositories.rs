use std::path::{Path, PathBuf};

use super::{HEAD, clusters, read, wrong};
use crate::{
    config::{Broken, Repository, look},
    git::{Verify, VerifyMode},
    plan::{Allow, render},
};

/// A file with these repositories, of one line each.
fn with(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("  - {{{line}}}\n")).collect();
    format!("{HEAD}repositories:\n{lines}clusters: [{{name: here, inCluster: true}}]\n")
}

#[test]
fn every_field_of_a_repository_is_read_and_its_files_are_seen_from_the_folder() {
    let text = with(
        "url: 'https://git.example.com/shop/plans.git', name: shop, branch: live, path: canary, interval: 1m30s, \
         username: ann, passwordFile: ann, caFile: ca.pem, clientCert: c.pem, clientKey: k.pem, proxy: 'http://p:1', \
         proxyAuthFile: /p, pushTokenFile: push, pushUser: bot, verify: every, verifyKeys: [ops, /dev], allow: \
         {namespaces: [shop, team-*], hosts: ['*.example.com'], gateways: [mesh, 'istio-system/*'], kinds: [CanaryPlan]}\n\
         url: 'git@git.example.com:web/rollouts.git', sshKey: id, sshPassphraseFile: word, knownHosts: hosts, \
         pushSshKey: id2, limits: {look: 5s, fetch: 1m, fetchMiB: 64, fetchObjects: 1000}, allow: {hosts: []}\n\
         url: /srv/plans, tokenFile: token, verify: tip, verifyKeys: [a]",
    );
    let [shop, web, local] = &read(&text).unwrap().repositories[..] else { panic!("not three") };
    let at = |file: &str| Some(PathBuf::from(format!("/etc/tidegate/{file}")));
    assert_eq!((shop.url.as_str(), shop.name.as_str()), ("https://git.example.com/shop/plans.git", "shop"));
    assert_eq!((shop.branch.as_deref(), shop.path.as_deref()), (Some("live"), Some("canary")));
    assert_eq!(shop.interval.unwrap().as_secs(), 90);
    let reached = &shop.credentials;
    assert_eq!((reached.username.as_deref(), &reached.password_file), (Some("ann"), &at("ann")));
    assert_eq!(
        (&reached.ca_file, &reached.client_cert, &reached.client_key),
        (&at("ca.pem"), &at("c.pem"), &at("k.pem"))
    );
    assert_eq!(
        (reached.proxy.as_deref(), reached.proxy_auth_file.as_deref()),
        (Some("http://p:1"), Some(Path::new("/p")))
    );
    assert_eq!((&shop.push.token_file, shop.push.user.as_deref()), (&at("push"), Some("bot")));
    let keys = vec![at("ops").unwrap(), "/dev".into()];
    assert_eq!(shop.verify, Some(Verify { mode: VerifyMode::Every, keys }));
    assert_eq!(shop.allow.namespaces.as_ref().unwrap().len(), 2);
    assert_eq!(shop.allow.kinds, Some(vec!["CanaryPlan".parse().unwrap()]));
    assert_eq!(web.name, "rollouts");
    assert_eq!((&web.credentials.ssh_key, &web.credentials.known_hosts), (&at("id"), &at("hosts")));
    assert_eq!((&web.credentials.ssh_passphrase_file, &web.push.ssh_key), (&at("word"), &at("id2")));
    assert_eq!(web.allow, Allow { hosts: Some(Vec::new()), ..Allow::default() });
    let looks = [web.limits.look, web.limits.fetch].map(|limit| limit.unwrap().as_secs());
    assert_eq!((looks, web.limits.bytes, web.limits.objects), ([5, 60], Some(64 << 20), Some(1_000)));
    assert_eq!(local.limits, Default::default());
    let Repository { name, credentials, verify, allow, .. } = local;
    assert_eq!((name.as_str(), &credentials.token_file, allow), ("plans", &at("token"), &Allow::default()));
    assert_eq!(verify.as_ref().unwrap().mode, VerifyMode::Tip);
}

#[test]
fn what_is_wrong_with_a_repository_is_found_where_it_stands() {
    let here = "url: /srv/plans";
    let but = |more: &str| with(&format!("{here}, {more}"));
    let cases = [
        (format!("{}repositories: []\n", clusters("name: a, inCluster: true")), vec![("PL04", "repositories")]),
        (with("name: plans"), vec![("PL04", "{")]),
        (with("url: 5"), vec![("PL03", "5")]),
        (but("interval: soon"), vec![("PL03", "soon")]),
        (but("interval: 0s"), vec![("PL17", "0s")]),
        (but("limits: {fetch: 0s, fetchMiB: 0}"), vec![("PL17", "0s"), ("PL17", "0")]),
        (but("tokn: a"), vec![("PL01", "tokn")]),
        (but("name: a/b"), vec![("PL06", "a/b")]),
        (but("name: ''"), vec![("PL06", "''")]),
        (with(&format!("{here}\n{here}")), vec![("CF01", "/srv/plans")]),
        (with(&format!("{here}\nurl: /srv/b, name: plans")), vec![("CF01", "plans")]),
        (with("url: 'ext::sh -c id'"), vec![("CF05", "'ext::sh -c id'")]),
        (with("url: /"), vec![("CF05", "/")]),
        (but("tokenFile: a, username: u, passwordFile: b"), vec![("CF06", "passwordFile")]),
        (but("passwordFile: b"), vec![("CF06", "passwordFile")]),
        (but("clientCert: b"), vec![("CF06", "clientCert")]),
        (but("clientKey: b"), vec![("CF06", "clientKey")]),
        (but("pushTokenFile: a, pushUser: u, pushPasswordFile: b"), vec![("CF06", "pushPasswordFile")]),
        (but("pushPasswordFile: b"), vec![("CF06", "pushPasswordFile")]),
        (but("verify: tip"), vec![("CF06", "verify")]),
        (but("verifyKeys: [a]"), vec![("CF06", "verifyKeys")]),
        (but("verify: tip, verifyKeys: []"), vec![("PL04", "[")]),
        (but("verify: all, verifyKeys: [a]"), vec![("PL03", "all")]),
        (but("allow: {namespaces: [Shop]}"), vec![("CF07", "Shop")]),
        (but("allow: {hosts: [web, '*']}"), vec![("CF07", "web"), ("CF07", "'*'")]),
        (but("allow: {gateways: [public]}"), vec![("CF07", "public")]),
        (but("allow: {kinds: [VirtualService]}"), vec![("CF07", "VirtualService")]),
        (but("allow: {kinds: Gateway}"), vec![("PL03", "Gateway")]),
        (but("allow: {hosts: }"), vec![("PL04", "hosts")]),
        (but("allow: "), vec![("PL04", "allow")]),
        (but("allow: {paths: []}"), vec![("PL01", "paths")]),
    ];
    for (text, expected) in cases {
        let expected: Vec<_> = expected.into_iter().map(|(code, at)| (code, at.to_owned())).collect();
        assert_eq!(wrong(&text), expected, "{text}");
    }
}

#[test]
fn the_one_repository_of_before_is_shown_as_the_list_that_it_is_now() {
    let text = format!("{}repository: {{url: /srv/plans}}\n", clusters("name: a, inCluster: true"));
    let [finding] = &read(&text).unwrap_err()[..] else { panic!("not one finding") };
    assert_eq!((finding.code, finding.message.as_str()), ("PL01", "unknown field `repository`"));
    assert_eq!(finding.hints, ["did you mean `repositories`?"]);
}

#[test]
fn a_secret_in_a_url_is_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.yaml");
    let secret = "https://ann:sesame@git.example.com/plans.git";
    for text in [
        with(&format!("url: '{secret}'")),
        with(&format!("url: '{secret}', nme: x")),
        with(&format!("url: /srv/plans, proxy: '{secret}', nme: x")),
        with(&format!("url: /srv/plans, verify: '{secret}', verifyKeys: [a]")),
        with(&format!("url: /srv/plans, '{secret}': x")),
        with(&format!("url: /srv/plans, allow: {{hosts: ['{secret}']}}")),
        format!("{HEAD}repositories: ['{secret}']\nclusters: []\n"),
        format!("{HEAD}repository: '{secret}'\nclusters: [\n"),
    ] {
        std::fs::write(&file, &text).unwrap();
        let broken = look(&file).unwrap_err();
        let Broken::Wrong { findings, .. } = &broken else { panic!("{broken}") };
        let shown = format!("{}{broken}{broken:?}", broken.render(false));
        assert!(!shown.contains("sesame") && !findings.is_empty(), "{shown}");
    }
    std::fs::write(&file, with(&format!("url: '{secret}'"))).unwrap();
    let shown = look(&file).unwrap_err().render(false).replace(&file.display().to_string(), "tidegate.yaml");
    insta::assert_snapshot!(shown, @r"
    error[CF05]: the URL of the repository on git.example.com carries a user or a password
     --> tidegate.yaml:4:11
      |
    4 |   - {url: 'https://**********@git.example.com/plans.git'}
      |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write it without, take the secret back, and give it by `tokenFile`
    ");
}

#[test]
fn a_pattern_that_is_none_is_shown_with_what_to_write() {
    let text = with("url: /srv/plans, allow: {hosts: [web]}");
    let found: Vec<String> = read(&text).unwrap_err().iter().map(|found| render(found, Some(&text), false)).collect();
    insta::assert_snapshot!(found.join("\n"), @r"
    error[CF07]: `web` is no pattern of `hosts`
     --> /etc/tidegate/tidegate.yaml:4:39
      |
    4 |   - {url: /srv/plans, allow: {hosts: [web]}}
      |                                       ^^^
      |
      = help: write the full name, of a Service `<name>.<namespace>.svc.cluster.local`
    ");
}
