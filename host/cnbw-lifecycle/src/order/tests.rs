use std::collections::HashMap;

use super::*;

/// `?a` is optional, `a:2` has version 2, `+e` is an extension.
fn element(text: &str) -> Element {
    let (optional, text) = text
        .strip_prefix('?')
        .map_or((false, text), |it| (true, it));
    let (kind, text) = match text.strip_prefix('+') {
        Some(text) => (ModuleKind::Extension, text),
        None => (ModuleKind::Buildpack, text),
    };
    let (id, version) = text.split_once(':').unwrap_or((text, "1"));
    Element {
        kind,
        module: BuildpackRef::parse(id, version).unwrap(),
        optional: optional || kind == ModuleKind::Extension,
    }
}

/// Groups are separated by `|`.
fn groups(text: &str) -> Vec<Vec<Element>> {
    let group = |it: &str| it.split_whitespace().map(element).collect();
    text.split('|').map(group).collect()
}

/// Answers from tables and writes down what it is asked.
#[derive(Default)]
struct Script {
    composites: HashMap<&'static str, &'static str>,
    skipped: Vec<&'static str>,
    /// Candidates that pass, and those that end in an error; all others fail.
    passing: &'static str,
    erroring: Vec<&'static str>,
    attempts: Vec<String>,
}

impl Candidates for Script {
    type Passed = ();
    type Error = OrderError;

    fn look_up(&mut self, element: &Element) -> Result<Looked, OrderError> {
        let id = element.module.id.as_str();
        if self.skipped.contains(&id) {
            return Ok(Looked::Skipped);
        }
        let composite = self.composites.get(id);
        Ok(composite.map_or(Looked::Component, |it| Looked::Composite(groups(it))))
    }

    fn attempt(&mut self, candidate: &[Element]) -> Result<Verdict<()>, OrderError> {
        let names = candidate.iter().map(|it| {
            let version = it.module.version.as_str();
            let version = if version == "1" { "" } else { version };
            format!("{}{version}", it.module.id)
        });
        let candidate = names.collect::<String>();
        let verdict = if candidate == self.passing {
            Verdict::Passed(())
        } else if self.erroring.contains(&candidate.as_str()) {
            Verdict::Errored
        } else {
            Verdict::Failed
        };
        self.attempts.push(candidate);
        Ok(verdict)
    }
}

fn run(order: &str, script: &mut Script) -> Result<Verdict<()>, OrderError> {
    let order = groups(order).into_iter();
    let order = order.map(|it| it.into_iter().map(Item::Element).collect());
    expand(order.collect(), ExpansionLimits::default(), script)
}

fn attempts(order: &str, composites: &[(&'static str, &'static str)]) -> String {
    let mut script = Script {
        composites: composites.iter().copied().collect(),
        passing: "never",
        ..Script::default()
    };
    assert_eq!(run(order, &mut script), Ok(Verdict::Failed));
    script.attempts.join(" ")
}

#[test]
fn candidates_come_depth_first_and_left_to_right() {
    type Case<'a> = (&'a str, &'a [(&'static str, &'static str)], &'a str);
    let p = ("P", "e f | g h");
    let cases: &[Case<'_>] = &[
        ("a b | c", &[], "ab c"),
        ("e O f", &[("O", "a b | c d")], "eabf ecdf"),
        ("O P", &[("O", "a b | c d"), p], "abef abgh cdef cdgh"),
        ("?O b", &[("O", "a | c")], "ab cb b"),
        ("O b", &[("O", "P | c"), p], "efb ghb cb"),
        // The first of an id wins, in whatever version.
        ("a O", &[("O", "a:2 b")], "ab"),
        ("O a:2", &[("O", "a b | b")], "ab ba2"),
        // A composite may come twice, one after the other.
        ("O O", &[("O", "a | b")], "a ab ba b"),
    ];
    for (order, composites, expected) in cases {
        assert_eq!(attempts(order, composites), *expected, "{order}");
    }
}

#[test]
fn the_first_candidate_that_passes_ends_it() {
    let mut script = Script {
        passing: "b",
        ..Script::default()
    };
    assert_eq!(run("a | b | c", &mut script), Ok(Verdict::Passed(())));
    assert_eq!(script.attempts, ["a", "b"]);
}

#[test]
fn errors_of_a_required_order_remain_and_those_of_an_optional_one_do_not() {
    for (order, expected) in [("O b | c", Verdict::Errored), ("?O b | c", Verdict::Failed)] {
        let mut script = Script {
            composites: HashMap::from([("O", "a")]),
            erroring: vec!["ab"],
            passing: "never",
            ..Script::default()
        };
        assert_eq!(run(order, &mut script), Ok(expected), "{order}");
    }
}

#[test]
fn skipped_elements_leave_no_trace() {
    let mut script = Script {
        skipped: vec!["a"],
        passing: "b",
        ..Script::default()
    };
    assert_eq!(run("a b", &mut script), Ok(Verdict::Passed(())));
}

#[test]
fn a_cycle_is_an_error_only_if_it_is_reached() {
    let composites = HashMap::from([("P", "a | Q"), ("Q", "P")]);
    let mut script = Script {
        composites: composites.clone(),
        passing: "a",
        ..Script::default()
    };
    assert_eq!(run("P", &mut script), Ok(Verdict::Passed(())));
    let mut script = Script {
        composites,
        passing: "never",
        ..Script::default()
    };
    let error = run("P", &mut script).unwrap_err();
    assert_eq!(
        error.to_string(),
        "composite buildpacks contain each other without end: P@1 > Q@1 > P@1"
    );
}

#[test]
fn an_order_that_explodes_is_an_error() {
    let names: Vec<String> = (0..40).map(|it| format!("C{it}")).collect();
    let mut script = Script {
        passing: "never",
        ..Script::default()
    };
    for name in &names {
        script
            .composites
            .insert(String::leak(name.clone()), "a | b");
    }
    let error = run(&names.join(" "), &mut script).unwrap_err();
    assert_eq!(error, OrderError::TooManyCandidates { limit: 100_000 });
    let names: Vec<String> = (0..300).map(|it| format!("D{it}")).collect();
    for name in &names {
        script.composites.insert(String::leak(name.clone()), "a");
    }
    let error = run(&names.join(" "), &mut script).unwrap_err();
    assert_eq!(error, OrderError::TooDeep { limit: 200 });
}

fn order(order: &str, extensions: &str, pre: &str, post: &str) -> String {
    let group = |it: Vec<Element>| OrderGroup {
        group: it
            .into_iter()
            .map(|it| OrderElement {
                buildpack: it.module,
                optional: it.optional,
            })
            .collect(),
    };
    let orders = |text: &str| match text {
        "" => Vec::new(),
        text => groups(text).into_iter().map(group).collect(),
    };
    let system = |text: &str| -> Vec<SystemBuildpack> {
        let elements = text.split_whitespace().map(element);
        elements
            .map(|it| SystemBuildpack {
                buildpack: it.module,
                optional: it.optional,
            })
            .collect()
    };
    let complete = complete(
        &Order {
            order: orders(order),
            order_extensions: orders(extensions),
        },
        &System {
            pre: system(pre),
            post: system(post),
        },
    );
    let mut script = Script {
        passing: "never",
        ..Script::default()
    };
    expand(complete, ExpansionLimits::default(), &mut script).unwrap();
    script.attempts.join(" ")
}

#[test]
fn system_buildpacks_surround_each_group_unless_it_names_their_id() {
    assert_eq!(order("a | s b", "", "s", "t"), "sat sbt");
    assert_eq!(order("s a", "", "s:2", ""), "sa");
    assert_eq!(order("a t:3", "", "", "t"), "at3");
}

#[test]
fn each_group_of_extensions_is_tried_with_each_group_and_then_none() {
    assert_eq!(order("a | b", "x | y", "", ""), "xa ya a xb yb b");
    // An extension and a buildpack may share an id.
    assert_eq!(order("a", "a", "", ""), "aa a");
}
