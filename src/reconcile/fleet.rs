//! Which clusters there are: makes a client for each, again where that fails or its credentials are others now, and takes
//! over what the configuration changes while everything else goes on.
//!
//! ```text
//!  configuration ─► configure ─► link (task, back-off) ─► linked ─► watches ─► Synced: it takes part
//!                                      └─► unlinked: it is away ◄─── Away ─► renew (task) ─► linked
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::mpsc::{self, UnboundedSender},
    task::{AbortHandle, JoinSet},
};

use crate::{
    cluster::{self, Announcer, Cluster, Credentials, Member, ProxyNews, Role, Seen},
    plan::{Known, ObjectKey},
    rollout::ClusterName,
};

use super::{
    Event,
    engine::{Engine, Incoming},
    meshes::Meshes,
    view::{Place, Remote},
};

/// The first pause before a client is made again, which doubles up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A cluster, and which of its clients is meant.
pub(super) type Link = (ClusterName, u64);

/// The clusters of the configuration.
pub(super) struct Fleet {
    members: BTreeMap<ClusterName, Linked>,
    known: Known,
    links: u64,
    sights: mpsc::Sender<(Link, Seen)>,
    news: mpsc::Sender<(Link, ProxyNews)>,
    instance: Option<String>,
    /// Those that were there at the start and were not read yet: the process is ready once there are none.
    first: BTreeSet<ClusterName>,
    /// Those whose present client has not read everything yet.
    new: BTreeSet<ClusterName>,
    /// The file that says which there are.
    pub(super) file: Option<FileReport>,
}

/// How the configuration file stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// Its path.
    pub path: String,
    /// When it was last taken into force.
    pub taken: Timestamp,
    /// Why what it says now is not in force; none: it is.
    pub error: Option<String>,
}

struct Linked {
    member: Member,
    link: u64,
    /// What feeds the loop from this cluster; ends when dropped.
    tasks: JoinSet<()>,
    renewing: Option<AbortHandle>,
}

impl Fleet {
    pub(super) fn new(
        sights: mpsc::Sender<(Link, Seen)>,
        news: mpsc::Sender<(Link, ProxyNews)>,
        instance: Option<String>,
    ) -> Self {
        let (first, new) = (BTreeSet::new(), BTreeSet::new());
        Self { members: BTreeMap::new(), known: Known::new(), links: 0, sights, news, instance, first, new, file: None }
    }

    /// The clusters, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &ClusterName> {
        self.members.keys()
    }

    /// Those whose first reading the start of the process waits for.
    pub(super) fn awaited(&self) -> impl Iterator<Item = &ClusterName> {
        self.members.keys().filter(|name| self.first.contains(*name))
    }

    /// The clusters as the configuration has them, in order.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values().map(|linked| &linked.member)
    }

    /// The clusters that plans may go to, with their labels.
    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// The cluster of a link, where that is the present one.
    pub(super) fn current(&self, (name, link): &Link) -> Option<ClusterName> {
        self.members.get(name).filter(|linked| linked.link == *link).map(|_| name.clone())
    }

    /// Which client a cluster has at present.
    #[cfg(test)]
    pub(super) fn link_of(&self, name: &str) -> u64 {
        self.members[name].link
    }

    /// Whether a cluster's present client has not read everything yet.
    pub(super) fn is_new(&self, name: &str) -> bool {
        self.new.contains(name)
    }

    /// A cluster answers: its credentials are not looked at any more.
    pub(super) fn rest(&mut self, name: &str) {
        if let Some(renewing) = self.members.get_mut(name).and_then(|linked| linked.renewing.take()) {
            renewing.abort();
        }
    }

    fn next(&mut self) -> u64 {
        self.links += 1;
        self.links
    }
}

impl Engine {
    /// Takes over which clusters there are; `made` are clients that were made already. Those that stay as they are go on
    /// as they are.
    pub(super) fn configure(&mut self, members: Vec<Member>, made: Vec<Cluster>) {
        let stays = |name: &ClusterName| members.iter().any(|member| member.name == *name);
        let gone: Vec<ClusterName> = self.fleet.names().filter(|name| !stays(name)).cloned().collect();
        for name in &gone {
            tracing::info!(cluster = %name, "the configuration has it no more; its objects stay as they are");
            self.forget(name);
        }
        let first = self.fleet.members.is_empty() && gone.is_empty();
        let mut made: BTreeMap<ClusterName, Cluster> =
            made.into_iter().map(|cluster| (cluster.name().to_owned(), cluster)).collect();
        for member in members {
            let name = member.name.clone();
            match self.fleet.members.get_mut(&name) {
                Some(linked) if linked.member.is_reached_as(&member) => {
                    linked.member = member;
                    continue;
                }
                Some(linked) if linked.member.role != member.role => {
                    tracing::info!(cluster = %name, role = member.role.name(), "the configuration gives it another role");
                    self.forget(&name);
                }
                Some(_) => {
                    tracing::info!(cluster = %name, "the configuration reaches it in another way");
                    self.view.local.remove(&name);
                }
                None if first => drop(self.fleet.first.insert(name.clone())),
                None => tracing::info!(cluster = %name, "the configuration has a new cluster"),
            }
            let link = self.fleet.next();
            let linked = Linked { member: member.clone(), link, tasks: JoinSet::new(), renewing: None };
            self.fleet.members.insert(name.clone(), linked);
            match made.remove(&name) {
                Some(cluster) => self.start(cluster),
                None => {
                    let sender = self.sender.clone();
                    self.fleet.new.insert(name.clone());
                    self.leave(&name, "it is being connected".to_owned());
                    if let Some(linked) = self.fleet.members.get_mut(&name) {
                        linked.tasks.spawn(connect(member, link, sender));
                    }
                }
            }
        }
        self.asks_proxies(self.fleet.members.values().any(|linked| linked.member.proxies.is_some()));
        let members = || self.fleet.members.iter().map(|(name, linked)| (name, &linked.member));
        let known = members().filter(|(_, member)| member.role == Role::Primary);
        self.fleet.known = known.map(|(name, member)| (name.clone(), member.labels.clone())).collect();
        self.view.meshes = Meshes::of(members().map(|(name, member)| (name, member.mesh.as_deref())));
        let touched = self.catalog.know(self.fleet.known.clone());
        self.touched(touched, std::time::Instant::now());
        for key in self.workers.keys().cloned().collect::<Vec<_>>() {
            let unknown = self.choose(&key);
            self.hand(&key, Event::Look);
            self.meet(&key, unknown);
        }
    }

    /// Takes in what the configuration file says now; `Err` where that is not taken.
    pub(super) fn configured(&mut self, seen: Result<Vec<Member>, String>) {
        let now = self.clock.now();
        let Some(file) = &mut self.fleet.file else { return };
        match seen {
            Ok(members) => {
                if file.error.take().is_some() {
                    tracing::info!(file = file.path, "the configuration is in force again as the file has it");
                }
                let same = members.len() == self.fleet.members.len()
                    && members.iter().all(|member| {
                        self.fleet.members.get(&member.name).is_some_and(|linked| linked.member == *member)
                    });
                if !same {
                    file.taken = now;
                    self.configure(members, Vec::new());
                }
            }
            Err(error) => {
                self.tally.error("configuration");
                tracing::warn!(file = file.path, "the configuration stays as it was: {error}");
                file.error = Some(error);
            }
        }
    }

    /// The clusters that a route's plan is for, of those that there are; all of them where no plan is known.
    pub(super) fn chosen(&self, key: &ObjectKey) -> BTreeSet<ClusterName> {
        match self.catalog.entry(key) {
            Some(entry) => entry.plan.clusters.of(self.fleet.known()),
            None => self.fleet.known().keys().cloned().collect(),
        }
    }

    /// Tells a worker which clusters its plan is for, and returns those that it knows nothing of.
    pub(super) fn choose(&mut self, key: &ObjectKey) -> Vec<ClusterName> {
        let chosen = self.chosen(key);
        let (known, repository) = (&self.fleet.known, &self.repository);
        let Some(worker) = self.workers.get_mut(key) else { return Vec::new() };
        worker.choose(&chosen, repository, |name| known.contains_key(name))
    }

    /// Shows a worker the clusters that it knows nothing of, and those that its plan was taken out of while nobody looked.
    pub(super) fn meet(&mut self, key: &ObjectKey, unknown: Vec<ClusterName>) {
        let away = unknown.iter().filter_map(|name| Some((name.clone(), self.view.away.get(name)?.since)));
        for (cluster, since) in away.collect::<Vec<_>>() {
            self.hand(key, Event::Reach { cluster, away_since: Some(since) });
        }
        let Some(worker) = self.workers.get(key) else { return };
        let is_news = |name: &&ClusterName| unknown.contains(name) || !worker.holds(name);
        for cluster in self.synced.iter().filter(is_news).cloned().collect::<Vec<_>>() {
            self.show(key, &cluster);
        }
    }

    /// A client was made: a first one, or one with the credentials that hold now.
    pub(super) fn linked(&mut self, link: u64, cluster: Cluster) {
        let name = cluster.name().to_owned();
        if self.fleet.current(&(name.clone(), link)).is_none() {
            return;
        }
        let another = self.view.client(&name).is_some_and(|client| client.url() != cluster.url());
        if another {
            tracing::warn!(cluster = %name, url = cluster.url(), "its API server is another one; what is there is read anew");
            self.workers.values_mut().for_each(|worker| worker.lose(&name));
            self.forget_namespaces(&name);
            self.view.local.remove(&name);
        }
        let link = self.fleet.next();
        if let Some(linked) = self.fleet.members.get_mut(&name) {
            (linked.link, linked.tasks, linked.renewing) = (link, JoinSet::new(), None);
        }
        self.synced.remove(&name);
        self.objects.forget(&name);
        self.fleet.new.insert(name.clone());
        self.leave(&name, "it is being read".to_owned());
        self.start(cluster);
        self.apply_all_plain_in(&name);
    }

    /// No client can be made: the cluster is away, and it is tried again.
    pub(super) fn unlinked(&mut self, link: u64, cluster: &ClusterName, error: String) {
        if self.fleet.current(&(cluster.clone(), link)).is_none() {
            return;
        }
        if self.view.away.get(cluster).is_none_or(|away| away.why != error) {
            tracing::warn!(%cluster, "the cluster is away: {error}");
        }
        self.tally.error("cluster_away");
        self.is_away(cluster, error, self.clock.now());
    }

    /// The cluster is away until its client has read everything.
    fn leave(&mut self, name: &ClusterName, why: String) {
        let since = self.clock.now();
        if self.is_away(name, why, since) {
            self.reach(name, Some(since));
        }
    }

    /// Everything was read: the cluster takes part, for each worker once it is shown what is there.
    pub(super) fn arrived(&mut self, cluster: &ClusterName) {
        self.fleet.first.remove(cluster);
        if self.fleet.new.remove(cluster) {
            self.fleet.rest(cluster);
            self.view.away.remove(cluster);
            self.retry_plain_in(cluster);
        }
    }

    /// Watches a cluster.
    fn start(&mut self, cluster: Cluster) {
        let name = cluster.name().to_owned();
        let now = self.clock.now();
        let Some(linked) = self.fleet.members.get_mut(&name) else { return };
        let link = (name.clone(), linked.link);
        if linked.member.role == Role::Remote {
            cluster.keep_vigil(!self.restless.is_empty());
            let (seen, endpoints) = cluster::watch_endpoints(&cluster);
            linked.tasks.spawn(pass_on(link, seen, self.fleet.sights.clone()));
            self.view.remotes.insert(name, Remote { cluster, endpoints });
            return;
        }
        if linked.member.mesh.is_some() {
            let settings = cluster::watch_cluster_local(&cluster);
            linked.tasks.spawn(pass_on(link.clone(), settings, self.fleet.sights.clone()));
        }
        let (seen, endpoints) = cluster::watch(&cluster);
        linked.tasks.spawn(pass_on(link.clone(), seen, self.fleet.sights.clone()));
        self.announcers.insert(name.clone(), Announcer::start(&cluster, self.fleet.instance.clone()));
        let before = self.view.places.get(&name).filter(|place| place.cluster.url() == cluster.url());
        let server = before.map_or(linked.link, |place| place.server);
        let mut place = Place::new(cluster, server, endpoints);
        place.cluster.keep_vigil(!self.restless.is_empty());
        if let Some(access) = linked.member.proxies.clone() {
            let (watch, news) = cluster::watch_proxies(&place.cluster, access);
            place.proxies.watch = Some(watch);
            linked.tasks.spawn(pass_on(link, news, self.fleet.news.clone()));
        }
        self.view.places.insert(name.clone(), place);
        self.mirror_join(&name, now);
    }

    /// Looks, as long as a cluster is away, whether its credentials are others by now.
    pub(super) fn renew(&mut self, name: &ClusterName) {
        let Some(linked) = self.fleet.members.get_mut(name).filter(|linked| linked.renewing.is_none()) else { return };
        let Some(client) = self.view.client(name) else { return };
        let (made_of, ends) = (client.credentials(), client.valid_until());
        let (member, link, sender) = (linked.member.clone(), linked.link, self.sender.clone());
        // What has ended is kept until it is asked for.
        while linked.tasks.try_join_next().is_some() {}
        linked.renewing = Some(linked.tasks.spawn(renew(member, link, sender, made_of, ends)));
    }

    fn forget(&mut self, name: &ClusterName) {
        self.fleet.members.remove(name);
        self.fleet.first.remove(name);
        self.fleet.new.remove(name);
        self.view.places.remove(name);
        self.view.remotes.remove(name);
        self.view.local.remove(name);
        self.view.pending.retain(|(cluster, ..), _| cluster != name);
        self.forget_namespaces(name);
        self.announcers.remove(name);
        self.synced.remove(name);
        self.view.away.remove(name);
        self.objects.forget(name);
        if let Some(resources) = &mut self.resources {
            resources.part(name);
        }
    }
}

/// Makes a client, again and again until there is one.
async fn connect(member: Member, link: u64, sender: UnboundedSender<Incoming>) {
    let mut pause = PAUSE;
    loop {
        let sent = match member.connect().await {
            Ok(cluster) => return drop(sender.send(Incoming::Linked { link, cluster })),
            Err(error) => {
                let error = format!("{error}; {}", error.hint());
                sender.send(Incoming::Unlinked { link, cluster: member.name.clone(), error })
            }
        };
        if sent.is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Makes a client once its credentials are others than those of the present one, or those have ended.
async fn renew(
    member: Member,
    link: u64,
    sender: UnboundedSender<Incoming>,
    made_of: Credentials,
    ends: Option<Timestamp>,
) {
    let mut pause = PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
        let ended = ends.is_some_and(|ends| ends <= Timestamp::now());
        // What cannot be read now may be read later; meanwhile the client that there is goes on trying.
        let others = Cluster::credentials_now(&member.name, &member.access).await.is_ok_and(|now| now != made_of);
        if (others || ended)
            && let Ok(cluster) = member.connect().await
        {
            tracing::info!(cluster = member.name, "its credentials are others now");
            return drop(sender.send(Incoming::Linked { link, cluster }));
        }
    }
}

/// Hands on what comes from a cluster, until either side ends.
async fn pass_on<T>(link: Link, mut from: mpsc::Receiver<T>, to: mpsc::Sender<(Link, T)>) {
    while let Some(news) = from.recv().await {
        if to.send((link.clone(), news)).await.is_err() {
            return;
        }
    }
}
