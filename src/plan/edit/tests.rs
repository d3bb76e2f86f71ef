//! Edits of generated files, and of the forms that people write.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::plan::Traffic;

fn key(name: &str) -> PlanKey {
    PlanKey { namespace: "shop".into(), name: name.into() }
}

fn texts<const N: usize>(files: [(&str, &str); N]) -> Texts {
    let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
    Texts { commit: "main@sha1:4f2c".into(), files: BTreeMap::from(files) }
}

fn traffic(weights: &[(&str, u8)]) -> Traffic {
    Traffic::new(weights.iter().map(|(name, weight)| (VersionName::new(*name), *weight))).unwrap()
}

fn plan(name: &str, rest: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  \
         service: {name} # the shop's\n  versions: {{v1: {{labels: {{v: a}}}}, v2: {{labels: {{v: b}}}}}}\n{rest}"
    )
}

fn web(rest: &str) -> Texts {
    texts([("plans/web.yaml", &plan("web", rest))])
}

/// What the only file says after the change.
fn text(change: Result<Option<Change>, Conflict>) -> String {
    change.unwrap().expect("something changes").text
}

/// The lines that differ, as `-old` and `+new`.
fn lines(before: &Texts, after: &str) -> Vec<String> {
    let before = std::str::from_utf8(before.files.values().next().unwrap()).unwrap();
    let diff = similar::TextDiff::from_lines(before, after);
    let changed = diff.iter_all_changes().filter(|change| change.tag() != similar::ChangeTag::Equal);
    changed.map(|change| format!("{}{}", change.tag(), change.value().trim_end())).collect()
}

#[test]
fn traffic_is_set_in_place_in_every_form_and_comments_stay() {
    for (written, to, changed) in [
        ("  traffic: {v1: 100} # all\n", [("v1", 90), ("v2", 10)], vec!["+  traffic: {v1: 90, v2: 10} # all"]),
        (
            "  traffic: {v1: 50, # a\n    v2: 50}\n",
            [("v1", 100), ("v2", 0)],
            vec!["+  traffic: {v1: 100, # a", "+    v2: 0}"],
        ),
        (
            "  traffic:\n    # most\n    v1: 100 # all\n\n  prune: true\n",
            [("v1", 99), ("v2", 1)],
            vec!["+    v1: 99 # all", "+    v2: 1"],
        ),
        ("  traffic:\n    v1: 100", [("v1", 99), ("v2", 1)], vec!["+    v1: 99", "+    v2: 1"]),
        (
            "  \"traffic\": { 'v1' : 100 , }\n",
            [("v1", 0), ("v2", 100)],
            vec!["+  \"traffic\": { 'v1' : 0, v2: 100 , }"],
        ),
    ] {
        let before = web(written);
        let after = text(set_traffic(&before, &key("web"), &traffic(&to)));
        let added: Vec<String> = lines(&before, &after).into_iter().filter(|line| line.starts_with('+')).collect();
        assert_eq!(added, changed, "{after}");
        let again = texts([("plans/web.yaml", &after)]);
        assert_eq!(set_traffic(&again, &key("web"), &traffic(&to)), Ok(None));
    }
}

#[test]
fn traffic_that_cannot_be_set_is_a_conflict_and_no_guess() {
    let before = web("  traffic: {v1: 100}\n");
    let undeclared = set_traffic(&before, &key("web"), &traffic(&[("v9", 100)])).unwrap_err();
    assert_eq!(undeclared.to_string(), "shop/web does not declare the version v9 at main@sha1:4f2c");
    let missing = set_traffic(&before, &key("api"), &traffic(&[("v1", 100)])).unwrap_err();
    assert_eq!(missing.to_string(), "no file has the plan shop/api at main@sha1:4f2c");
    let bad = web("  traffic: {v1: 100}\n  steps: [{weight: 10}]\n");
    let invalid = set_traffic(&bad, &key("web"), &traffic(&[("v2", 100)])).unwrap_err();
    assert!(invalid.to_string().starts_with("plans/web.yaml would not be accepted: PL09, "), "{invalid}");
}

#[test]
fn pause_comes_as_a_line_and_goes_as_one() {
    for rest in ["  traffic: {v1: 100}\n", "  traffic:\n    v1: 100"] {
        for end in ["\n", "\r\n"] {
            let written = plan("web", rest).replace('\n', end);
            let before = texts([("plans/web.yaml", &written)]);
            let paused = text(set_pause(&before, &key("web"), true));
            assert_eq!(lines(&before, &paused), ["+  pause: true"], "{paused:?}");
            assert_eq!(paused.matches(end).count(), written.matches(end).count() + 1);
            let paused = texts([("plans/web.yaml", &paused)]);
            assert_eq!(set_pause(&paused, &key("web"), true), Ok(None));
            assert_eq!(text(set_pause(&paused, &key("web"), false)), written);
        }
    }
    let said = web("  pause: true # until Monday\n  traffic: {v1: 100}\n");
    assert!(text(set_pause(&said, &key("web"), false)).contains("pause: false # until Monday"));
    let last = web("  traffic: {v1: 100}\n  pause: true");
    assert_eq!(text(set_pause(&last, &key("web"), false)), plan("web", "  traffic: {v1: 100}"));
    let flow = "{apiVersion: tidegate.dev/v1alpha1, kind: CanaryPlan, metadata: {name: web, namespace: shop}, spec: {service: \
                web, versions: {v1: {labels: {v: a}}}, traffic: {v1: 100}}}";
    let paused = text(set_pause(&texts([("p.yaml", flow)]), &key("web"), true));
    assert!(paused.contains("{service: web, pause: true, versions"), "{paused}");
    assert_eq!(text(set_pause(&texts([("p.yaml", &paused)]), &key("web"), false)), flow);
    assert_eq!(set_pause(&web("  traffic: {v1: 100}\n"), &key("web"), false), Ok(None));
}

#[test]
fn the_hold_of_a_step_or_of_the_target_is_ended() {
    let steps = "  steps:\n    - weight: 5\n      hold: \"10m\" # careful\n    - {weight: 25, hold: 1h}\n  traffic: {v2: 100}\n";
    let before = web(steps);
    let first = text(end_hold(&before, &key("web"), Hold::Step(5)));
    assert_eq!(lines(&before, &first), ["-      hold: \"10m\" # careful", "+      hold: 0s # careful"]);
    let second = text(end_hold(&before, &key("web"), Hold::Step(25)));
    // Without `settle`, what the target holds is what the last step says.
    let added = ["+  settle: {hold: 1h}", "-    - {weight: 25, hold: 1h}", "+    - {weight: 25, hold: 0s}"];
    assert_eq!(lines(&before, &second), added);
    let target = text(end_hold(&before, &key("web"), Hold::Settle));
    assert_eq!(lines(&before, &target), ["+  settle: {hold: 0s}"]);
    assert_eq!(end_hold(&texts([("plans/web.yaml", &target)]), &key("web"), Hold::Settle), Ok(None));
    let none = end_hold(&before, &key("web"), Hold::Step(10)).unwrap_err();
    assert_eq!(none.to_string(), "shop/web has no step of weight 10 at main@sha1:4f2c");
}

#[test]
fn a_plan_that_moved_is_restored_where_it_is_and_one_that_is_gone_where_it_was() {
    let (old, new) = (plan("web", "  traffic: {v1: 100}\n"), plan("web", "  traffic: {v2: 100}\n"));
    let api = plan("api", "  traffic: {v1: 100}\n");
    let then = texts([("plans/web.yaml", &old)]);
    let moved = texts([("plans/all.yaml", &format!("{api}---\n{new}"))]);
    let change = restore(&moved, &then, &key("web")).unwrap().unwrap();
    assert_eq!((change.path.as_str(), change.text), ("plans/all.yaml", format!("{api}---\n{old}")));
    let gone = texts([("plans/web.yaml", &api)]);
    assert_eq!(text(restore(&gone, &then, &key("web"))), format!("{api}---\n{old}"));
    let bare = texts([("plans/web.yaml", api.trim_end())]);
    assert_eq!(text(restore(&bare, &then, &key("web"))), format!("{api}---\n{old}"));
    // A file of its own comes back with all that stood around the document.
    let framed = texts([("plans/web.yaml", &format!("\u{feff}# Shop\n---\n{old}---\n"))]);
    assert_eq!(text(restore(&texts([]), &framed, &key("web"))), format!("\u{feff}# Shop\n---\n{old}---\n"));
    let shared = texts([("plans/all.yaml", &format!("{api}--- # ours\n{old}"))]);
    assert_eq!(text(restore(&texts([]), &shared, &key("web"))), format!("--- # ours\n{old}"));
    assert_eq!(restore(&then, &then, &key("web")), Ok(None));
}

#[test]
fn what_is_not_clear_is_not_restored() {
    let old = plan("web", "  traffic: {v1: 100}\n");
    let then = texts([("plans/web.yaml", &old)]);
    let refused = |tip: Texts, then: &Texts| restore(&tip, then, &key("web")).unwrap_err().to_string();
    let twice = refused(texts([("a.yaml", &old), ("b.yaml", &old)]), &then);
    assert_eq!(twice, "shop/web stands twice at main@sha1:4f2c: in a.yaml and in b.yaml");
    let broken = refused(texts([("plans/web.yaml", &old.replace("{v1: 100}", "{v1: 100"))]), &then);
    assert_eq!(broken, "plans/web.yaml cannot be read at main@sha1:4f2c, and it may hold the plan shop/web");
    let never = refused(then.clone(), &texts([("plans/api.yaml", &plan("api", "  traffic: {v1: 100}\n"))]));
    assert_eq!(never, "no file has the plan shop/web at main@sha1:4f2c");
    let invalid = refused(texts([]), &texts([("plans/web.yaml", &plan("web", "  traffic: {v1: 9}\n"))]));
    assert!(invalid.starts_with("plans/web.yaml would not be accepted: TG05, "), "{invalid}");
    let anchor = old.replace("name: web", "name: &n web");
    assert!(refused(texts([]), &texts([("plans/web.yaml", &anchor)])).contains("cannot be read"));
    let latin = [old.as_bytes(), b"# \xe9\n"].concat();
    let tip = Texts { files: BTreeMap::from([("plans/web.yaml".into(), latin)]), ..Texts::default() };
    assert!(refused(tip, &then).contains("cannot be read"));
}

#[test]
fn a_hidden_name_is_found_and_another_plans_broken_file_is_left_alone() {
    let hidden = plan("web", "  traffic: {v1: 100}\n").replace("name: web", r#"name: "w\x65b""#);
    assert!(may_hold(hidden.as_bytes(), "web"));
    let found = locate(&texts([("a.yaml", &hidden), ("b.yaml", "kind: CanaryPlan\n: {")]), &key("web")).unwrap();
    assert_eq!(found.unwrap().path, "a.yaml");
    let other = PlanKey { namespace: "bank".into(), name: "web".into() };
    let tip = texts([("a.yaml", &hidden)]);
    assert_eq!(locate(&tip, &other), Ok(None));
    assert_eq!(named(&tip, "web"), BTreeSet::from([key("web")]));
}

/// One document as somebody may write it, and whether it may stand behind `--- ` on the same line.
fn document(name: &'static str) -> impl Strategy<Value = (String, bool)> {
    let weights = prop_oneof![
        Just("traffic: {v1: 100}"),
        Just("traffic: {v1: 60, v2: 40} # é"),
        Just("traffic:\n    v1: 1 # one\n    v2: 99"),
        Just("traffic: {\"v2\": 100,}"),
    ];
    let extra = prop_oneof![Just(""), Just("# a word\n"), Just("  prune: true # 'quoted'\n"), Just("\n\n")];
    let end = prop_oneof![Just(""), Just("...\n"), Just("# the end\n"), Just("...\n# after\n")];
    let lead = prop_oneof![Just(""), Just("# before\n"), Just("\n# é\n")];
    (weights, extra, end, lead, any::<bool>()).prop_map(move |(weights, extra, end, lead, flow)| {
        if flow {
            let traffic = if weights.contains("v1: 1 ") { "traffic: {v1: 1, v2: 99}" } else { weights };
            let traffic = traffic.trim_end_matches(" # é");
            let text = format!(
                "{{apiVersion: tidegate.dev/v1alpha1, kind: CanaryPlan, metadata: {{name: '{name}', namespace: shop}},\n  \
                 spec: {{service: {name}, versions: {{v1: {{labels: {{v: a}}}}, v2: {{labels: {{v: b}}}}}}, {traffic}}}}}\n{end}"
            );
            return (text, true);
        }
        (format!("{lead}{}{extra}{end}", plan(name, &format!("  {weights}\n"))), false)
    })
}

/// A file with the plan `web` among others, in the style of one person.
fn file() -> impl Strategy<Value = String> {
    let separator = prop_oneof![
        Just("---\n"),
        Just("--- \n"),
        Just("--- # next\n"),
        Just("---\n---\n"),
        Just("---\n# only a comment\n---\n")
    ];
    let head = prop_oneof![Just(""), Just("---\n"), Just("# License\n---\n"), Just("--- # first\n")];
    let others = prop::collection::vec(prop_oneof![document("api").boxed(), document("cart").boxed()], 0..1);
    let after = prop::collection::vec(document("pay"), 0..2);
    (others, document("web"), after, head, prop::collection::vec(separator, 3), any::<[bool; 4]>()).prop_map(
        |(before, web, after, head, separators, [crlf, bom, cut, same_line])| {
            let documents = before.into_iter().chain([web]).chain(after.into_iter().take(1));
            let mut text = head.to_owned();
            for (place, (document, is_flow)) in documents.enumerate() {
                let separator = separators[place];
                match place {
                    0 => {}
                    _ if is_flow && same_line => text.push_str("--- "),
                    _ => text.push_str(separator),
                }
                text.push_str(&document);
            }
            if crlf {
                text = text.replace('\n', "\r\n");
            }
            if cut {
                text.truncate(text.trim_end().len());
            }
            if bom { format!("\u{feff}{text}") } else { text }
        },
    )
}

/// The parts of a file beside the plan's document.
fn around(text: &str) -> (String, String) {
    let found = locate(&texts([("plans/web.yaml", text)]), &key("web")).unwrap().unwrap();
    (text[..found.bytes.start].to_owned(), text[found.bytes.end..].to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Restored and restored back, a file is what it was, byte for byte; and nothing beside the document ever changes.
    #[test]
    fn a_restore_touches_one_document_and_can_be_undone(now in file(), old in file()) {
        let (tip, then) = (texts([("plans/web.yaml", &now)]), texts([("plans/web.yaml", &old)]));
        let digest = |text: &str| locate(&texts([("plans/web.yaml", text)]), &key("web")).unwrap().unwrap().digest;
        let Some(change) = restore(&tip, &then, &key("web")).unwrap() else {
            prop_assert_eq!(digest(&now), digest(&old));
            return Ok(());
        };
        prop_assert_eq!(digest(&change.text), digest(&old));
        prop_assert_eq!(around(&change.text), around(&now));
        let restored = texts([("plans/web.yaml", &change.text)]);
        prop_assert_eq!(restore(&restored, &then, &key("web")), Ok(None));
        let back = restore(&restored, &tip, &key("web")).unwrap().unwrap();
        prop_assert_eq!(back.text, now);
    }

    /// Values set and set back leave what was said, and each edit says just what was meant in any style.
    #[test]
    fn values_are_set_in_any_style(now in file(), weight in 0_u8..=100) {
        let before = texts([("plans/web.yaml", &now)]);
        let wanted = traffic(&[("v1", 100 - weight), ("v2", weight)]);
        if let Some(change) = set_traffic(&before, &key("web"), &wanted).unwrap() {
            let found = locate(&texts([("plans/web.yaml", &change.text)]), &key("web")).unwrap().unwrap();
            prop_assert_eq!(found.plan.unwrap().traffic.clone(), wanted);
            prop_assert_eq!(around(&change.text), around(&now));
        }
        let paused = set_pause(&before, &key("web"), true).unwrap().unwrap();
        let back = set_pause(&texts([("plans/web.yaml", &paused.text)]), &key("web"), false).unwrap().unwrap();
        prop_assert_eq!(back.text, now);
    }
}
