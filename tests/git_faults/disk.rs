//! Disks that are full, mirrors that break, and children that are killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tidegate::git::{Fault, Sight};

use super::followed::{Followed, access};
use super::neighbour::Neighbour;
use super::relay::{Fault as Cut, Relay, Then};
use super::support::git_http::GitHttp;
use super::{ALONE, Held, children, leftovers, plans};

/// A file system in memory; dropped, it is unmounted.
struct Small(PathBuf);

impl Small {
    /// None where this user may not mount.
    fn mount(folder: PathBuf) -> Option<Self> {
        fs::create_dir_all(&folder).unwrap();
        let mounted = mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"], &folder);
        mounted.then_some(Self(folder))
    }

    fn grow(&self) {
        assert!(mount(&["-o", "remount,size=32m"], &self.0));
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str], folder: &Path) -> bool {
    Command::new("mount").args(arguments).arg(folder).output().is_ok_and(|out| out.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_its_repository_alone_until_there_is_room() {
    let _alone = ALONE.lock().await;
    let before = Held::now();
    let (repository, _) = plans();
    let Some(disk) = Small::mount(repository.home().join("disk")) else {
        println!("only root may mount a small disk");
        return;
    };
    let server = GitHttp::start(repository.home());
    let neighbour = Neighbour::start().await;
    let mut followed = Followed::start_in(disk.0.join("state"), &server.url("origin.git"), access());
    for _ in 0..2 {
        let said =
            followed.next("a full disk", |outcome| outcome.err().filter(|error| error.category() == "disk")).await;
        println!("{said}; {}", said.hint());
        assert!(said.to_string().contains(&followed.url) || said.to_string().contains("state"), "{said}");
        assert!(said.hint().contains("make room"), "{}", said.hint());
    }
    disk.grow();
    followed.tip("room", &repository.tip()).await;
    followed.end("a full disk");
    neighbour.end().await;
    drop((server, disk));
    Held::until_no_more_than(before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_killed_in_the_midst_of_a_fetch_leaves_nothing_and_another_goes_on() {
    let _alone = ALONE.lock().await;
    let before = Held::now();
    let (repository, _) = plans();
    let server = GitHttp::start(repository.home());
    let neighbour = Neighbour::start().await;
    let relay = Relay::start(server.address(), Cut::After(300_000, Then::Silence)).await;
    let url = relay.through(&server.url("origin.git"), server.address());
    let mut followed = Followed::start(&repository, &url, access());
    let end = Instant::now() + Duration::from_secs(30);
    let child = loop {
        // Half a pack is there: it is in the midst.
        let child = children().into_iter().find(|(_, folder)| folder.starts_with(&followed.dir));
        if let Some((child, _)) = child.filter(|_| !leftovers(&followed.dir).is_empty()) {
            break child;
        }
        assert!(Instant::now() < end, "no fetch began");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let killed = Command::new("sh").args(["-c", "kill -9 \"$0\"", &child.to_string()]).status().unwrap();
    assert!(killed.success());
    followed.fault("a killed child", |fault| matches!(fault, Fault::Died { how } if how.contains("signal 9"))).await;
    relay.heal();
    followed.tip("another child", &repository.tip()).await;
    followed.end("a killed child");
    neighbour.end().await;
    drop((server, relay));
    Held::until_no_more_than(before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_breaks_is_set_aside_and_leftovers_of_a_killed_process_are_swept() {
    let _alone = ALONE.lock().await;
    let before = Held::now();
    let (repository, _) = plans();
    let server = GitHttp::start(repository.home());
    let neighbour = Neighbour::start().await;
    let mut followed = Followed::start(&repository, &server.url("origin.git"), access());
    followed.tip("whole", &repository.tip()).await;
    let (dir, url) = (followed.dir.clone(), followed.url.clone());
    followed.end("whole");

    // As a process that was killed leaves it, and a disk that lost what was written.
    let mirror = dir.join("mirror.git");
    let stale = ["refs/tidegate/heads/main.lock", "packed-refs.lock", "objects/pack/pack_git2_x", "objects/pack/tmp_y"];
    stale.iter().for_each(|path| fs::write(mirror.join(path), "").unwrap());
    garble(&mirror);
    let mut again = Followed::start_in(dir.clone(), &url, access());
    again.tip("garbled at rest", &repository.tip()).await;
    assert!(dir.join("broken.git").exists());

    fs::remove_dir_all(&mirror).unwrap();
    let tip = repository.commit("Meanwhile", &[("plans/web.yaml", "2")]);
    repository.push(false);
    again.ask();
    let file = again
        .next("lost while followed", |outcome| match outcome {
            Ok(Sight::Moved(snapshot)) if snapshot.tip == tip => Some(snapshot.changes.contains_key("plans/web.yaml")),
            _ => None,
        })
        .await;
    assert!(file, "what changed is told, though the mirror is a new one");
    again.end("a mirror that broke");
    neighbour.end().await;
    drop(server);
    Held::until_no_more_than(before).await;
}

fn garble(mirror: &Path) {
    for entry in fs::read_dir(mirror.join("objects/pack")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "pack") {
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
            fs::write(path, "garbled").unwrap();
        }
    }
}
