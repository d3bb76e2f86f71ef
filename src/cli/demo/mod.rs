//! `tidegate demo`: the whole story within a minute, without a cluster.

mod shop;
mod view;

use std::time::Duration;

use clap::Args;

use crate::{
    cluster::{Access, Cluster, Member, Role},
    git::Source,
    reconcile::{self, Followed, Options},
    rollout::Settings,
};

use super::{DONE, Failure, UNREACHED, terminal, terminal::say};
use shop::Shop;
use view::View;

/// How long the story waits for traffic to get where it should.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tell the whole story on embedded parts: commit, walk, advance, revert
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Keep the plan repository and the kubeconfig, and the sandbox running, until interrupted
    #[arg(long)]
    keep: bool,
}

impl Demo {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let shop = Shop::open().await?;
        let color = terminal::colored();
        say!("tidegate keeps a cluster as the canary plans of a Git repository say.");
        say!("This is a sandbox: an in-memory Kubernetes API server with Istio's resources, two versions of a service");
        say!("`reviews`, and an empty plan repository. Everything below is real but the cluster.\n");
        let view = View::open(&shop, color).await?;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let engine = tokio::spawn(reconcile::run(options(&shop).await?, async {
            // Dropped without a word is an end, too.
            let _ = stopped.await;
        }));
        let told = tell(&shop, &view, color).await;
        if self.keep && told.is_ok() {
            let (repository, kubeconfig) = (shop.repository(), shop.kubeconfig());
            let (folder, kubeconfig) = (repository.display(), kubeconfig.display());
            say!("\nThe sandbox goes on until you press Ctrl-C. In another terminal, try:");
            say!("  cd {folder}     # edit plans/reviews.yaml, git commit, git revert");
            say!("  tidegate status --watch --kubeconfig {kubeconfig} --context sandbox");
            // Without a signal there is nothing to wait for.
            let _ = tokio::signal::ctrl_c().await;
        }
        // The engine may have ended by itself already.
        let _ = stop.send(());
        let _ = tokio::time::timeout(Duration::from_secs(5), engine).await;
        match told {
            Ok(()) => {
                end();
                Ok(DONE)
            }
            Err(failure) => Err(failure),
        }
    }
}

async fn options(shop: &Shop) -> Result<Options, Failure> {
    let repository = shop.repository().display().to_string();
    let source = Source::new(&repository, "main", "plans", Duration::from_secs(30))
        .map_err(|error| Failure::usage(error, "this is a fault of the demo"))?;
    let access =
        Access { kubeconfig: Some(shop.kubeconfig()), context: Some("sandbox".to_owned()), ..Access::default() };
    let cluster = Cluster::connect("sandbox", &access)
        .await
        .map_err(|error| Failure::usage(error, "this is a fault of the demo"))?;
    Ok(Options {
        repositories: vec![Followed {
            source,
            mirror: shop.folder().join("mirror"),
            publish: None,
            allow: Default::default(),
        }],
        listed: false,
        asked: tokio::sync::watch::channel(0).1,
        members: vec![Member {
            name: cluster.name().to_owned(),
            labels: Default::default(),
            access,
            mesh: None,
            role: Role::Primary,
            writes_max: None,
            proxies: None,
        }],
        clusters: vec![cluster],
        file: None,
        configured: None,
        settings: Settings { convergence_wait_ms: 500, ..Settings::default() },
        max_git_age_s: 300,
        instance: None,
        once: false,
        canaryplans: false,
        lease: None,
        asks: None,
    })
}

async fn tell(shop: &Shop, view: &View, color: bool) -> Result<(), Failure> {
    chapter("1. A plan: all traffic on v1", color);
    shop.write_plan("traffic: {v1: 100}", "All of reviews on v1")?;
    wait(view, &[("v1", 100)]).await?;
    chapter("2. A commit asks for v2; traffic walks there step by step, each step held for 2 s", color);
    shop.write_plan("traffic: {v1: 50, v2: 50}", "Give v2 half of the traffic")?;
    wait(view, &[("v1", 50), ("v2", 50)]).await?;
    view.settled().await;
    chapter("3. Another commit advances: all of it", color);
    shop.write_plan("traffic: {v2: 100}", "Give v2 everything")?;
    wait(view, &[("v1", 25), ("v2", 75)]).await?;
    chapter("4. v2 misbehaves at 75 %. `git revert`, and traffic is back at once: going back has no gates", color);
    let back = shop.revert(view).await?;
    say!("  back {} ms after `git revert` had returned", back.as_millis());
    chapter("5. What was reverted is not proven any more. A revert of the revert has to walk again", color);
    shop.revert_again()?;
    wait(view, &[("v1", 25), ("v2", 75)]).await?;
    wait(view, &[("v2", 100)]).await?;
    Ok(())
}

async fn wait(view: &View, wanted: &[(&str, u8)]) -> Result<(), Failure> {
    match tokio::time::timeout(PATIENCE, view.until(wanted)).await {
        Ok(()) => Ok(()),
        Err(_) => Err(Failure {
            code: UNREACHED,
            error: anyhow::anyhow!("traffic did not get to {wanted:?} within {} s", PATIENCE.as_secs()),
            hint: Some("run it again with TIDEGATE_LOG=debug, and report what it prints".to_owned()),
        }),
    }
}

fn chapter(title: &str, color: bool) {
    if color {
        say!("\n\x1b[1m{title}\x1b[0m");
    } else {
        say!("\n{title}");
    }
}

fn end() {
    say!("\nThat is all of it: Git is where people ask, the cluster holds what was reached.");
    say!("On your own cluster, with Istio and a repository of plans:");
    say!("  tidegate check plans/");
    say!("  tidegate diff --repo . --context my-cluster");
    say!("  tidegate run  --repo . --branch main --path plans --context my-cluster");
    say!("  tidegate status --watch --context my-cluster");
    say!("`tidegate demo --keep` leaves this sandbox running for you to play with. README.md has the first plan.");
}
