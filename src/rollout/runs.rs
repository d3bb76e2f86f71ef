//! What other images behind the same labels do to the position: proof goes, and what is being raised begins anew.
//!
//! | the version | then |
//! |---|---|
//! | is being raised by an open walk | the way-back state, and the walk again from there |
//! | is being raised and has nothing of it yet, or no walk led to what it has | its hold counts from now |
//! | has traffic beside an open walk, or after a way back | takes over: going back to it stays as free as it was |
//! | has traffic at rest | keeps it, unproven until it has stood the hold of `settle` again |
//! | has no traffic | is unproven, until the images are what they were |
//!
//! Unknown images, pods that are gone and journals without images cost nothing (law 3): what is not known is no change.

use jiff::Timestamp;

use crate::plan::{Span, Version, VersionName};

use super::{
    Cause, ClusterName, ClusterView, ImageChange, Images, Journal, Phase, Proof, Reason, UnderTest, What, World,
    accept, converge, gates,
};

/// The longest text of a change that goes into a journal, in characters: each transition may have one.
const TEXT_CHARS_MAX: usize = 400;

/// What the pods of a version run in the clusters that answer, as far as it is known.
pub(super) fn seen(world: &World, name: &VersionName) -> Option<Images> {
    let answering = world.clusters.values().filter(|view| view.away_since.is_none());
    let known = answering.filter_map(|view| view.images.get(name));
    let mut known = known.peekable();
    let first = known.next()?;
    if known.peek().is_none() {
        return Some(first.clone());
    }
    Images::of(std::iter::once(first).chain(known).flat_map(Images::iter).cloned())
}

/// What runs in every cluster; none where that is not known of all.
fn seen_everywhere(world: &World, name: &VersionName) -> Option<Images> {
    let known = |view: &super::ClusterView| view.away_since.is_none() && view.images.contains_key(name);
    seen(world, name).filter(|_| world.clusters.values().all(known))
}

/// The versions with traffic at which other images run than those that have proven it.
pub(super) fn doubted(journal: &Journal) -> impl Iterator<Item = (&VersionName, ImageChange)> {
    let has = |name: &VersionName| journal.state.traffic.weight(name) > 0;
    let defined = |name: &VersionName| journal.state.routing.version(name).map(Version::digest);
    journal
        .proof
        .iter()
        .filter(move |(name, proof)| proof.seen.is_some() && has(name) && defined(name).as_ref() == Some(&proof.digest))
        .filter_map(|(name, proof)| Some((name, proof.change()?)))
}

fn told<'a>(changes: impl IntoIterator<Item = &'a (VersionName, ImageChange)>) -> String {
    let texts = changes.into_iter().map(|(name, change)| format!("the images of {name} changed {change}"));
    let text = texts.collect::<Vec<_>>().join("; ");
    text.chars().take(TEXT_CHARS_MAX).collect()
}

/// The hold of the present position counts from now: what has converged stays so, as nothing is written.
fn hold_anew(journal: &mut Journal, hold: Span, now: Timestamp) {
    journal.hold = hold;
    journal.elapsed_ms = 0;
    journal.converged = journal.converged.map(|_| now);
}

/// Takes down what runs behind the labels, before anything is decided.
pub(super) fn take_down(journal: &mut Journal, world: &World, now: Timestamp) {
    put_to_test(journal, world);
    if matches!(journal.phase, Phase::Released { .. }) {
        return;
    }
    let names: Vec<VersionName> = journal.proof.keys().cloned().collect();
    let (mut replaced, mut shaken) = (Vec::new(), Vec::new());
    for name in names {
        // Mostly nothing is new: what costs more is asked after that.
        let Some(seen) = seen(world, &name).filter(|seen| journal.proof.get(&name).is_some_and(|it| it.heeds(seen)))
        else {
            continue;
        };
        let routings = [&*journal.state.routing, &journal.plan.routing];
        let digest = routings.into_iter().find_map(|routing| routing.version(&name)).map(Version::digest);
        let has = journal.state.traffic.weight(&name) > 0;
        let takes_over = match journal.phase {
            Phase::Starting | Phase::Walking { .. } | Phase::Target => has && !journal.rising.contains(&name),
            Phase::WentBack { .. } => has,
            Phase::Settled | Phase::Released { .. } => false,
        };
        let settled = matches!(journal.phase, Phase::Settled);
        let Some(proof) = journal.proof.get_mut(&name).filter(|proof| digest.as_ref() == Some(&proof.digest)) else {
            continue;
        };
        let Some(images) = &proof.images else {
            proof.images = Some(seen);
            continue;
        };
        if images.cover(&seen) {
            let refined = images.refined(&seen);
            proof.images = refined.or(proof.images.take());
            proof.seen = None;
        } else if takes_over {
            replaced.push((name.clone(), images.change(&seen)));
            *proof = Proof { images: Some(seen), seen: None, ..proof.clone() };
        } else if proof.seen.as_ref().is_none_or(|known| !known.cover(&seen)) {
            proof.seen = Some(seen);
            shaken.extend(proof.change().filter(|_| has && settled).map(|change| (name.clone(), change)));
        }
    }
    if !replaced.is_empty() {
        if journal.is_raised() {
            hold_anew(journal, journal.hold, now);
        }
        accept::note(journal, now, What::Accepted, told(&replaced));
    }
    if !shaken.is_empty() {
        journal.converged = Some(now);
        hold_anew(journal, journal.plan.settle, now);
        let text = format!("{}: unproven until it has stood `settle` again", told(&shaken));
        accept::note(journal, now, What::Accepted, text);
    }
}

/// Notes what the rising versions run, where that is not known yet.
fn put_to_test(journal: &mut Journal, world: &World) {
    let open = !journal.is_settled();
    let Journal { tested, rising, proof, .. } = journal;
    tested.retain(|name, _| open && rising.contains(name));
    for name in rising.iter().filter(|_| open) {
        let Some(seen) = seen(world, name) else { continue };
        match tested.get_mut(name) {
            Some(test) => test.images = test.images.refined(&seen).unwrap_or_else(|| test.images.clone()),
            None => {
                let was = proof.get(name).and_then(|proof| proof.images.clone()).filter(|images| !images.cover(&seen));
                tested.insert(name.clone(), UnderTest { images: seen, was });
            }
        }
    }
}

/// Begins the test anew where a rising version runs other images than those that were put to it.
///
/// # Errors
/// Where it has to go back for that and no settled state can serve.
pub(super) fn doubt(journal: &mut Journal, world: &World, now: Timestamp) -> Result<(), Reason> {
    #[cfg(test)]
    if crate::sabotage::is(crate::sabotage::Sabotage::ImagesIgnored) {
        return Ok(());
    }
    // Where a failure is held, a person looks at it.
    if journal.is_settled() || journal.failure.is_some() {
        return Ok(());
    }
    put_to_test(journal, world);
    let other = |(name, test): (&VersionName, &UnderTest)| {
        let seen = seen(world, name).filter(|seen| !test.images.cover(seen))?;
        Some((name.clone(), UnderTest { was: Some(test.images.clone()), images: seen }))
    };
    let changed: Vec<(VersionName, UnderTest)> = journal.tested.iter().filter_map(other).collect();
    if changed.is_empty() {
        return Ok(());
    }
    let change =
        |(name, test): &(VersionName, UnderTest)| Some((name.clone(), test.was.as_ref()?.change(&test.images)));
    let text = told(&changed.iter().filter_map(change).collect::<Vec<_>>());
    let has = changed.iter().any(|(name, _)| journal.state.traffic.weight(name) > 0);
    let starts = matches!(journal.phase, Phase::Starting);
    let refuge = gates::refuge(world, journal).cloned();
    let leads_here = refuge.as_ref().is_some_and(|refuge| refuge.state.traffic == journal.state.traffic);
    let arrived = matches!(journal.phase, Phase::Target);
    if starts && !has {
        journal.tested.extend(changed);
        return Ok(());
    }
    if starts || (arrived && (leads_here || journal.origin == journal.state.traffic)) {
        // No walk has raised it.
        journal.tested.extend(changed);
        hold_anew(journal, journal.plan.settle, now);
        accept::note(journal, now, What::Accepted, format!("{text}: its hold counts from now"));
        return Ok(());
    }
    if refuge.is_none() {
        return Err(Reason::NoWayBack { cause: text });
    }
    accept::begin_anew(journal, refuge, &format!("{text}: it walks again"), world, now);
    let walks = !matches!(journal.phase, Phase::WentBack { cause: Cause::FailedBefore });
    let rising = journal.rising.clone();
    journal.tested.extend(changed.into_iter().filter(|(name, _)| walks && rising.contains(name)));
    Ok(())
}

/// What has passed its gates is what runs now: what has gone meanwhile did not pass them.
pub(super) fn passed(journal: &mut Journal, world: &World) {
    for (name, test) in &mut journal.tested {
        if let Some(seen) = seen_everywhere(world, name).filter(|seen| test.images.cover(seen)) {
            test.images = seen;
        }
    }
}

/// The cluster in which other images run than were proven, where it is one of several.
fn changed_in<'a>(journal: &Journal, world: &'a World, name: &VersionName) -> Option<&'a ClusterName> {
    let proven = journal.proof.get(name)?.images.as_ref()?;
    let others = |(_, view): &(&ClusterName, &ClusterView)| {
        view.away_since.is_none() && view.images.get(name).is_some_and(|seen| !proven.cover(seen))
    };
    let mut there = world.clusters.iter().filter(others);
    there.next().filter(|_| there.next().is_none()).map(|(cluster, _)| cluster)
}

/// At rest, proves what runs now once it has stood the hold of `settle` at the weight that it has, and says what that waits
/// for; none where there is nothing to prove. While somebody says `stop`, it waits.
pub(super) fn prove_again(journal: &mut Journal, world: &World, stopped: bool, now: Timestamp) -> Option<Reason> {
    let (version, change) = doubted(journal).next().map(|(name, change)| (name.clone(), change))?;
    if journal.converged.is_none() {
        // It got there by going back, a moment ago.
        journal.converged = converge::all(world, journal).map(|at| at.max(now));
    }
    let opens = journal.hold_opens().filter(|_| !stopped);
    let unproven = |until| {
        let cluster = changed_in(journal, world, &version);
        let reason = Reason::ImagesChanged { version: version.clone(), change: Box::new(change.clone()), until };
        if let Some(cluster) = cluster { reason.of(cluster) } else { reason }
    };
    if opens.is_none_or(|opens| opens > now) {
        return Some(unproven(opens));
    }
    if gates::known_gone(world, &journal.state.traffic).is_some() {
        return Some(unproven(None));
    }
    let names: Vec<VersionName> = doubted(journal).map(|(name, _)| name.clone()).collect();
    for name in &names {
        let now_seen = seen_everywhere(world, name);
        let Some(proof) = journal.proof.get_mut(name) else { continue };
        let Some(seen) = proof.seen.take() else { continue };
        // What it stood for before it stands for again: other versions may have to go back to it.
        proof.images = Some(now_seen.filter(|now| seen.cover(now)).unwrap_or(seen));
    }
    let names: Vec<&str> = names.iter().map(VersionName::as_str).collect();
    accept::note(journal, now, What::Settled, format!("the images of {} have stood `settle`", names.join(", ")));
    None
}
