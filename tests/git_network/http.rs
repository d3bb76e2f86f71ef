//! Plain HTTP: looks, fetches, credentials, redirects, refusals, and a connection that is used again.

use tidegate::git::{Look, Operation};

use super::support::git_http::GitHttp;
use super::{access, mirror, moved, plans, push, root};

#[test]
fn a_push_is_seen_and_only_what_is_new_is_fetched() {
    let (repository, bare) = plans();
    let server = GitHttp::start(root(&bare));
    let mut mirror = mirror(&repository, &server.url("origin.git"), access());
    assert_eq!(moved(&mut mirror), repository.tip());
    assert_eq!(mirror.look().unwrap(), Look::Unchanged(repository.tip()));
    for text in ["2", "3", "4"] {
        let tip = push(&repository, text);
        assert_eq!(moved(&mut mirror), tip);
        assert_eq!(mirror.look().unwrap(), Look::Unchanged(tip));
    }
    let requests = server.requests();
    let posts = requests.iter().filter(|request| request.method == "POST").count();
    assert_eq!((requests.len() - posts, posts), (8, 4), "one listing a look, one request a fetch");
    assert!(requests.iter().all(|request| request.connection == 0), "one connection for all");
    let counted = mirror.source().meter.requests();
    assert_eq!(counted, [(Operation::Look, "ok", 8), (Operation::Fetch, "ok", 4)]);
}
