//! Commits that land, on a tip that stands or moves.

use std::convert::Infallible;

use tidegate::git::{Changes, Draft, Files, Published};

use super::bed::{Bed, WEB, landed, options, says};

#[test]
fn a_commit_lands_on_the_tip_with_all_that_was_said() {
    for bed in Bed::all() {
        let mut publisher = bed.publisher();
        let before = bed.tip();
        let published = publisher.publish(&mut says(WEB, "traffic: {v2: 100}\n")).unwrap();
        assert_eq!(published, Published::Landed { commit: bed.tip(), onto: before.clone() }, "{}", bed.name());
        assert_eq!(bed.git(&["rev-parse", "main^"]), before);
        assert_eq!((bed.text(WEB), bed.text("README.md")), ("traffic: {v2: 100}".into(), "plans".into()));
        let said = bed.git(&["log", "-1", "--format=%an <%ae>|%cn <%ce>|%s|%(trailers:key=Tidegate-Plan)", "main"]);
        let tide = "Tide <tide@example.com>";
        assert_eq!(said, format!("{tide}|{tide}|Put {WEB}|Tidegate-Plan: shop/web"));
        let ago: i64 = bed.git(&["log", "-1", "--format=%ct", "main"]).parse().unwrap();
        assert!((jiff::Timestamp::now().as_second() - ago).abs() < 60);
        let again = publisher.publish(&mut says(WEB, "traffic: {v2: 100}\n")).unwrap();
        assert_eq!(again, Published::Nothing { why: "it is there".to_owned() });
        bed.is_linear_and_whole();
        assert!(bed.leftovers().is_empty(), "{}: {:?}", bed.name(), bed.leftovers());
    }
}

#[test]
fn what_another_pushed_meanwhile_stays_and_the_draft_is_asked_anew() {
    for bed in Bed::all() {
        let mut publisher = bed.publisher();
        publisher.prepare().unwrap();
        let mut tips = Vec::new();
        let published = publisher.publish::<Infallible>(&mut |files: &Files<'_>| {
            tips.push(files.tip().to_owned());
            if tips.len() <= 3 {
                bed.push("Meanwhile", &[("plans/other.yaml", &tips.len().to_string())]);
            }
            says(WEB, &format!("asked {} times\n", tips.len()))(files)
        });
        let commit = landed(published);
        assert_eq!((commit, tips.len()), (bed.tip(), 4), "{}", bed.name());
        tips.dedup();
        assert_eq!(tips.len(), 4, "each draft saw another tip");
        assert_eq!((bed.text(WEB), bed.text("plans/other.yaml")), ("asked 4 times".into(), "3".into()));
        bed.is_linear_and_whole();
    }
}

#[test]
fn a_person_s_fix_in_between_is_not_undone() {
    let bed = Bed::file();
    let mut asked = 0;
    let published = bed.publisher().publish::<Infallible>(&mut |files: &Files<'_>| {
        asked += 1;
        if asked == 1 {
            bed.push("Fix", &[(WEB, "fixed\n")]);
            return Ok(says(WEB, "restored\n")(files).unwrap());
        }
        assert_eq!(files.read(files.tip(), WEB).unwrap().unwrap(), b"fixed\n");
        Ok(Draft::Nothing { why: "a person fixed it".to_owned() })
    });
    assert_eq!(published.unwrap(), Published::Nothing { why: "a person fixed it".to_owned() });
    assert_eq!(bed.text(WEB), "fixed");
}

#[test]
fn files_come_go_and_keep_their_mode() {
    let bed = Bed::file();
    bed.repository.write("plans/deep/er/run.yaml", "1\n");
    bed.repository.git(&["add", "--all"]);
    bed.repository.git(&["update-index", "--chmod=+x", "plans/deep/er/run.yaml"]);
    bed.repository.git(&["commit", "--quiet", "-m", "Executable"]);
    bed.repository.push(false);
    let mut publisher = bed.publisher_of(&bed.source(), options());
    let mut change = |changes: &[(&str, Option<&str>)]| {
        let changes: Changes = changes
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.map(|text| text.as_bytes().to_vec())))
            .collect();
        publisher.publish::<Infallible>(&mut |_: &Files<'_>| {
            Ok(Draft::Commit { changes: changes.clone(), message: "Change".to_owned() })
        })
    };
    landed(change(&[("plans/deep/er/run.yaml", Some("2\n")), ("plans/new/a.yaml", Some("new\n"))]));
    let listed = bed.git(&["ls-tree", "-r", "--format=%(objectmode) %(path)", "main"]);
    assert!(listed.contains("100755 plans/deep/er/run.yaml") && listed.contains("100644 plans/new/a.yaml"), "{listed}");
    landed(change(&[("plans/deep/er/run.yaml", None), ("plans/none.yaml", None)]));
    assert!(!bed.git(&["ls-tree", "-r", "-t", "--name-only", "main"]).contains("deep"), "no empty folder is left");
    assert_eq!(
        change(&[("plans/none.yaml", None)]).unwrap(),
        Published::Nothing { why: "the branch says so already".to_owned() }
    );
    bed.is_linear_and_whole();
}

#[test]
fn a_conflict_goes_to_a_branch_of_its_own_and_once() {
    for bed in Bed::all() {
        let (mut publisher, before) = (bed.publisher(), bed.tip());
        let mut draft = |_: &Files<'_>| {
            let changes = Changes::from([(WEB.to_owned(), Some(b"by hand\n".to_vec()))]);
            let message = format!("Restore web\n\nTidegate-Undoes: {}\n", "ab".repeat(20));
            Ok::<_, Infallible>(Draft::Conflict { why: "two say so".to_owned(), changes, message })
        };
        let Published::Branch { name, why } = publisher.publish(&mut draft).unwrap() else { panic!("no branch") };
        assert_eq!((name.as_str(), why.as_str()), ("tidegate/revert-abababababab", "two say so"), "{}", bed.name());
        assert_eq!(bed.git(&["show", &format!("{name}:{WEB}")]), "by hand");
        assert_eq!((bed.tip(), bed.git(&["rev-parse", &format!("{name}^")])), (before.clone(), before));
        let stands = bed.git(&["rev-parse", &name]);
        let Published::Branch { why, .. } = publisher.publish(&mut draft).unwrap() else { panic!("no branch") };
        assert_eq!(why, "two say so; the branch was there already");
        assert_eq!(bed.git(&["rev-parse", &name]), stands);
    }
}
