use serde_json::json;

use super::*;

fn differences(expected: &Value, actual: &Value) -> Vec<Difference> {
    let mut names = Names::new("c", "127.0.0.1:1", "127.0.0.1:2");
    names.add_run_image("run:base", "sha256:ba5e");
    Comparison::new(&names).compare(std::slice::from_ref(expected), std::slice::from_ref(actual))
}

fn equal(expected: &Value, actual: &Value) -> bool {
    differences(expected, actual).is_empty()
}

fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

#[test]
fn known_placeholders_stand_for_their_values_in_keys_and_values() {
    let expected = json!({"images": {"{image}:1": null}, "d": "{run}@{digest:run:base}"});
    assert!(equal(
        &expected,
        &json!({"images": {"127.0.0.1:1/c:1": null}, "d": "127.0.0.1:1/run@sha256:ba5e"})
    ));
    assert!(!equal(
        &expected,
        &json!({"images": {"127.0.0.1:2/c:1": null}, "d": "127.0.0.1:1/run@sha256:ba5e"})
    ));
    assert!(!equal(
        &expected,
        &json!({"images": {"127.0.0.1:1/c:1": null}, "d": "127.0.0.1:1/run@sha256:ffff"})
    ));
}

#[test]
fn equal_numbers_are_equal_digests_and_different_numbers_are_different_ones() {
    let expected = json!(["{digest:1}", "x@{digest:2}", "{digest:1}"]);
    let (a, b) = (digest('a'), digest('b'));
    assert!(equal(&expected, &json!([a, format!("x@{b}"), a])));
    assert!(
        !equal(&expected, &json!([a, format!("x@{b}"), b])),
        "the first digest has changed"
    );
    assert!(
        !equal(&expected, &json!([a, format!("x@{a}"), a])),
        "the second digest is the first"
    );
    assert!(
        !equal(
            &expected,
            &json!(["sha256:12", format!("x@{b}"), "sha256:12"])
        ),
        "this is no digest"
    );
}

#[test]
fn free_values_may_be_anything_of_their_kind() {
    assert!(equal(
        &json!({"size": "{varies}", "n": "{integer}"}),
        &json!({"size": 7, "n": 8})
    ));
    assert!(!equal(&json!("{integer}"), &json!(1.5)));
    assert!(!equal(&json!("{integer}"), &json!("8")));
    assert!(equal(&json!("{lifecycle-version}"), &json!("1.2.3")));
}

#[test]
fn missing_and_additional_members_are_told() {
    let found = differences(
        &json!({"run": "x", "a": 1, "b": {"c": 2}}),
        &json!({"run": "x", "b": {"c": 2, "d": 3}}),
    );
    let paths: Vec<_> = found
        .iter()
        .map(|difference| difference.path.as_str())
        .collect();
    assert_eq!(paths, ["step 1 (x)/a", "step 1 (x)/b/d"]);
}

#[test]
fn integers_and_floats_are_different() {
    assert!(!equal(&json!({"n": 1}), &json!({"n": 1.0})));
}

#[test]
fn a_label_is_compared_as_the_json_that_it_holds() {
    let expected = json!({"Labels": {"l": {"a": [1]}, "t": "x"}});
    assert!(equal(
        &expected,
        &json!({"Labels": {"l": "{\"a\":[1]}", "t": "x"}})
    ));
    assert!(!equal(
        &expected,
        &json!({"Labels": {"l": "{\"a\":[2]}", "t": "x"}})
    ));
    assert!(!equal(
        &expected,
        &json!({"Labels": {"l": "no json", "t": "x"}})
    ));
}

#[test]
fn the_order_of_plan_entries_is_free_and_their_content_is_not() {
    let entry = |name: &str| json!({"requires": [{"name": name}], "providers": [{"id": "p"}]});
    let plan = |entries: &[Value]| json!({"documents": {"plan.toml": {"entries": entries}}});
    assert!(equal(
        &plan(&[entry("a"), entry("b")]),
        &plan(&[entry("b"), entry("a")])
    ));
    assert!(!equal(
        &plan(&[entry("a"), entry("b")]),
        &plan(&[entry("a"), entry("a")])
    ));
    let group = |ids: &[&str]| json!({"documents": {"group.toml": {"entries": ids}}});
    assert!(!equal(&group(&["a", "b"]), &group(&["b", "a"])));
}

#[test]
fn toml_may_be_formatted_differently_where_its_text_is_shown() {
    let tree =
        |text: &str| json!({"trees": {"/layers": {"a.toml": {"type": "file", "text": text}}}});
    assert!(equal(
        &tree("a = 1\n[b]\n  c = 'x'\n"),
        &tree("a=1\n[b]\nc = \"x\"\n")
    ));
    assert!(!equal(&tree("a = 1\n"), &tree("a = 2\n")));
}

#[test]
fn a_configuration_layer_that_is_formatted_differently_keeps_its_place() {
    let outcome = |id: &str, text: &str, size: usize| {
        json!({"run": "exporter", "label": {"config": {"sha": id}}, "images": {"i": {"layers": [{
            "diff_id": id,
            "entries": [{"name": "/layers/config/metadata.toml", "text": text, "size": size, "sha256": id}],
        }]}}})
    };
    let (a, b) = (digest('a'), digest('b'));
    assert!(equal(&outcome(&a, "x = 1\n", 6), &outcome(&b, "x=1\n", 4)));
    assert!(!equal(&outcome(&a, "x = 1\n", 6), &outcome(&b, "x=2\n", 4)));
    let mut elsewhere = outcome(&b, "x=1\n", 4);
    elsewhere["label"]["config"]["sha"] = json!(a);
    assert!(
        !equal(&outcome(&a, "x = 1\n", 6), &elsewhere),
        "the label names a layer that is not there"
    );
}

#[test]
fn entries_of_archives_are_told_by_name() {
    let layer = |names: &[&str]| {
        let entries: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        json!({"entries": entries})
    };
    let found = differences(&layer(&["/a", "/b"]), &layer(&["/a", "/c"]));
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].expected.as_str(), found[0].actual.as_str()),
        ("/a\n/b", "/a\n/c")
    );
}
