use proptest::prelude::*;

use super::*;

/// `"x y > z; > q"`: provides x and y, requires z; or requires q. A leading `?` makes it optional.
fn member(text: &str) -> Member<'_> {
    let (optional, text) = match text.strip_prefix('?') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let alternatives = text.split(';').map(|section| {
        let (provides, requires) = section.split_once('>').unwrap_or((section, ""));
        Alternative {
            provides: provides.split_whitespace().collect(),
            requires: requires.split_whitespace().collect(),
        }
    });
    Member {
        optional,
        alternatives: alternatives.collect(),
    }
}

fn picks(texts: &[&str]) -> Option<Vec<Option<usize>>> {
    let members: Vec<Member<'_>> = texts.iter().map(|it| member(it)).collect();
    match resolve(&members, WorkLimit::default()).unwrap() {
        Resolution::Resolved { settled, .. } => Some(settled.picked),
        Resolution::Unresolved(_) => None,
    }
}

#[test]
fn the_rules_of_one_trial_hold() {
    type Case<'a> = (&'a [&'a str], Option<Vec<Option<usize>>>);
    let p = Some(0);
    let cases: &[Case<'_>] = &[
        (&[], None),
        (&[""], Some(vec![p])),
        (&["?"], Some(vec![p])),
        (&["x"], None),
        (&["> x"], None),
        (&["x", "> x"], Some(vec![p, p])),
        (&["> x", "x"], None),
        // Own provides come before own requires.
        (&["x > x"], Some(vec![p])),
        // A provide after the last require is unused.
        (&["x", "> x", "x"], None),
        (&["x", "x", "> x"], Some(vec![p, p, p])),
        (&["x", "> x", "?x"], Some(vec![p, p, None])),
        // An early require stays unmet.
        (&["?> x", "x", "> x"], Some(vec![None, p, p])),
        (&["> x", "x", "> x"], None),
        // Dropping one makes another unused.
        (&["?x", "?> x y", ""], Some(vec![None, None, p])),
        (&["?x", "?> x y"], None),
        (&["?x"], None),
    ];
    for (members, expected) in cases {
        assert_eq!(&picks(members), expected, "{members:?}");
    }
}

#[test]
fn an_optional_member_is_required_until_its_last_alternative() {
    assert_eq!(picks(&["?x; y", "> y"]), Some(vec![Some(1), Some(0)]));
    assert_eq!(picks(&["?x; y", ""]), Some(vec![None, Some(0)]));
    assert_eq!(picks(&["?x; y; ", ""]), Some(vec![Some(2), Some(0)]));
}

#[test]
fn the_last_member_varies_fastest() {
    assert_eq!(picks(&["x; y", "> y; > x"]), Some(vec![Some(0), Some(1)]));
    assert_eq!(picks(&["x; y", "> z; > y"]), Some(vec![Some(1), Some(1)]));
}

#[test]
fn entries_list_every_provide_and_require_in_order() {
    let members = [
        member("x x"),
        member("x > x x"),
        member("> y x"),
        member("y > y"),
    ];
    let Err(Refusal::Broken(loose)) = settle(&members, &[0; 4]) else {
        panic!("y is required too early");
    };
    assert_eq!(loose, [(2, Cause::Unmet("y".into()))]);
    let settled = settle(&members[..2], &[0; 2]).unwrap();
    assert_eq!(
        settled.entries,
        [Entry {
            name: "x".into(),
            providers: vec![0, 0, 1],
            requires: vec![(1, 0), (1, 1)],
        }]
    );
}

#[test]
fn the_number_of_the_trial_is_told() {
    let members = [member("a; b; > q"), member("; c"), member("> b; > c")];
    let Resolution::Resolved { number, .. } = resolve(&members, WorkLimit::default()).unwrap()
    else {
        panic!("b and > b hold");
    };
    assert_eq!(number, 5);
}

/// Members with three alternatives each of which only the last combination holds.
fn tangle(size: usize) -> Vec<String> {
    let all = |alternative: usize| -> String {
        let names = (1..size).map(|it| format!("m{it}a{alternative}"));
        names.collect::<Vec<_>>().join(" ")
    };
    let mut texts: Vec<String> = (1..size)
        .map(|it| format!("m{it}a0; m{it}a1; m{it}a2"))
        .collect();
    texts.push(format!(
        "> {} never; > {} never; > {}",
        all(0),
        all(1),
        all(2)
    ));
    texts
}

#[test]
fn twelve_members_with_three_alternatives_take_few_steps() {
    let texts = tangle(12);
    let members: Vec<Member<'_>> = texts.iter().map(|it| member(it)).collect();
    let Resolution::Resolved { number, settled } = resolve(&members, WorkLimit(20_000)).unwrap()
    else {
        panic!("the last combination holds");
    };
    assert_eq!(number, 3_u128.pow(12));
    assert_eq!(settled.picked, vec![Some(2); 12]);
}

#[test]
fn hundreds_of_independent_members_take_few_steps() {
    let texts: Vec<String> = (0..300)
        .map(|it| format!("x{it}; > x{it}; y{it} > y{it}"))
        .collect();
    let members: Vec<Member<'_>> = texts.iter().map(|it| member(it)).collect();
    let resolution = resolve(&members, WorkLimit(100_000)).unwrap();
    assert!(matches!(resolution, Resolution::Resolved { settled, .. }
        if settled.picked == vec![Some(2); 300]));
}

#[test]
fn an_entangled_plan_is_an_error_and_not_a_search_without_end() {
    // Each pair of members has to differ: a pigeonhole puzzle, hard for every search of this kind.
    let (pigeons, holes) = (16, 15);
    let mut texts = Vec::new();
    for pigeon in 0..pigeons {
        let place = |hole: usize| -> String {
            let others = (0..pigeons).filter(|it| *it != pigeon);
            let taken: Vec<String> = others
                .map(|it| format!("h{hole}p{}q{}", pigeon.min(it), pigeon.max(it)))
                .collect();
            let taken = taken.join(" ");
            format!("{taken} in{pigeon} > in{pigeon}")
        };
        texts.push((0..holes).map(place).collect::<Vec<_>>().join(";"));
    }
    for hole in 0..holes {
        for one in 0..pigeons {
            for two in one + 1..pigeons {
                texts.push(format!("?> h{hole}p{one}q{two}"));
            }
        }
    }
    let members: Vec<Member<'_>> = texts.iter().map(|it| member(it)).collect();
    // Whatever the answer is, it comes within the limit.
    let answer = resolve(&members, WorkLimit(300_000));
    assert!(matches!(
        answer,
        Ok(_) | Err(ResolveError::TooMuchWork { .. })
    ));
    let tiny = resolve(&[member("x; y"), member("> y")], WorkLimit(1));
    assert_eq!(
        tiny,
        Err(ResolveError::TooMuchWork {
            members: 2,
            limit: 1
        })
    );
}

/// Every trial, one after the other.
fn brute_force(members: &[Member<'_>]) -> Option<(u128, Settled)> {
    let mut trial = vec![0; members.len()];
    let mut number = 1;
    loop {
        if let Ok(settled) = settle(members, &trial) {
            return Some((number, settled));
        }
        number += 1;
        let mut at = members.len();
        loop {
            at = at.checked_sub(1)?;
            trial[at] += 1;
            if trial[at] < members[at].alternatives.len() {
                break;
            }
            trial[at] = 0;
        }
    }
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn arbitrary_member() -> impl Strategy<Value = Member<'static>> {
    let names = || prop::collection::vec(prop::sample::select(&NAMES[..]), 0..3);
    let alternative =
        (names(), names()).prop_map(|(provides, requires)| Alternative { provides, requires });
    (any::<bool>(), prop::collection::vec(alternative, 1..4)).prop_map(
        |(optional, alternatives)| Member {
            optional,
            alternatives,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn the_search_answers_as_trying_everything_does(
        members in prop::collection::vec(arbitrary_member(), 0..6),
    ) {
        let expected = brute_force(&members);
        let found = match resolve(&members, WorkLimit::default()).unwrap() {
            Resolution::Resolved { number, settled } => Some((number, settled)),
            Resolution::Unresolved(_) => None,
        };
        prop_assert_eq!(found, expected);
    }
}
