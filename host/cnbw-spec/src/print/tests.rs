use proptest::prelude::*;

use super::*;

fn table(text: &str) -> Table {
    text.parse().unwrap()
}

/// Recorded from the reference's encoder, or read off its rules.
#[test]
fn free_form_values_are_printed_as_the_reference_prints_them() {
    let cases = [
        ("", ""),
        ("b = 1\na = 2", "a = 2\nb = 1\n"),
        (
            "a = 1.0\nb = 1e6\nc = -0.0",
            "a = 1.0\nb = 1e+06\nc = -0.0\n",
        ),
        ("a = nan\nb = inf\nc = -inf", "a = nan\nb = inf\nc = -inf\n"),
        ("a = []", "a = []\n"),
        ("a = [1, [2, 'x']]", "a = [1, [2, \"x\"]]\n"),
        ("t = {}\na = 1", "a = 1\n\n[t]\n"),
        ("t.u.v = 1", "[t]\n  [t.u]\n    v = 1\n"),
        ("[t]\nx = 1\n[u]\ny = 2", "[t]\n  x = 1\n\n[u]\n  y = 2\n"),
        (
            "[[t]]\nx = 1\n[[t]]\n[t.u]\ny = 1",
            "[[t]]\n  x = 1\n\n[[t]]\n  [t.u]\n    y = 1\n",
        ),
        ("[t]\n[[t.u]]\nx = 1", "[t]\n\n  [[t.u]]\n    x = 1\n"),
        (
            "a = [{b = 1, a = {c = 2}}, 3]",
            "a = [{b = 1, a = {c = 2}}, 3]\n",
        ),
        ("a = [{b = 1}]", "[[a]]\n  b = 1\n"),
        ("\"a b\" = 1\n\"\" = 2", "\"\" = 2\n\"a b\" = 1\n"),
        ("[\"a.b\".c]", "[\"a.b\"]\n  [\"a.b\".c]\n"),
        ("a = 'q\"\\é'", "a = \"q\\\"\\\\é\"\n"),
        ("a = \"\\t\\b\\u0001\"", "a = \"\\t\\b\\u0001\"\n"),
        (
            "a = 1979-05-27 07:32:00.500Z",
            "a = 1979-05-27T07:32:00.5Z\n",
        ),
        (
            "a = 1979-05-27T07:32:00-07:30",
            "a = 1979-05-27T07:32:00-07:30\n",
        ),
        (
            "a = 1979-05-27\nb = 07:32:00",
            "a = 1979-05-27\nb = 07:32:00\n",
        ),
    ];
    for (input, expected) in cases {
        assert_eq!(
            Fields::from_table(&table(input)).print(),
            expected,
            "{input}"
        );
    }
}

#[test]
fn absent_and_empty_fields_are_left_out_where_asked() {
    let mut fields = Fields::new();
    fields
        .filled("a", None)
        .filled("b", Some(""))
        .set_flag("c", false);
    fields
        .filled_texts("d", &[])
        .tables("e", Vec::new())
        .free_table("f", None);
    assert_eq!(fields.print(), "");
    fields
        .texts("d", &[])
        .filled("b", Some("x"))
        .set_flag("c", true);
    assert_eq!(fields.print(), "d = []\nb = \"x\"\nc = true\n");
}

#[test]
fn plain_values_come_before_tables_whatever_the_order() {
    let mut fields = Fields::new();
    fields
        .table("t", Fields::new())
        .text("a", "x")
        .free_table("u", Some(&table("z = 1")));
    assert_eq!(fields.print(), "a = \"x\"\n\n[t]\n\n[u]\n  z = 1\n");
}

#[expect(
    clippy::redundant_pub_crate,
    reason = "shared by the tests of other modules"
)]
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Value::String),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>()
            .prop_filter("a NaN is not equal to itself", |float| !float.is_nan())
            .prop_map(Value::Float),
        any::<bool>().prop_map(Value::Boolean),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((any::<String>(), inner), 0..4)
                .prop_map(|entries| Value::Table(entries.into_iter().collect())),
        ]
    })
}

#[expect(
    clippy::redundant_pub_crate,
    reason = "shared by the tests of other modules"
)]
pub(crate) fn any_table() -> impl Strategy<Value = Table> {
    proptest::collection::vec((any::<String>(), any_value()), 0..4)
        .prop_map(|entries| entries.into_iter().collect())
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(table in any_table()) {
        let printed = Fields::from_table(&table).print();
        let read: Table = printed.parse().map_err(|error| {
            TestCaseError::fail(format!("{error}\n{printed}"))
        })?;
        prop_assert_eq!(read, table);
    }
}
