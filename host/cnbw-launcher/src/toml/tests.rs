use proptest::prelude::*;

use super::*;

/// What the well-kept parser makes of a text, in our types.
fn oracle(text: &str) -> Option<Value> {
    let table: ::toml::Table = text.parse().ok()?;
    Some(converted(&::toml::Value::Table(table)))
}

fn converted(value: &::toml::Value) -> Value {
    match value {
        ::toml::Value::String(text) => Value::String(text.clone()),
        ::toml::Value::Integer(integer) => Value::Integer(*integer),
        ::toml::Value::Boolean(boolean) => Value::Boolean(*boolean),
        ::toml::Value::Float(_) => Value::Float,
        ::toml::Value::Datetime(_) => Value::Datetime,
        ::toml::Value::Array(items) => Value::Array(items.iter().map(converted).collect()),
        ::toml::Value::Table(table) => {
            let mut ours = Table::new(TableKind::Explicit);
            for (key, value) in table {
                ours.insert_dotted(std::slice::from_ref(key), converted(value))
                    .unwrap();
            }
            Value::Table(ours)
        }
    }
}

/// Forgets how tables and lists were written.
fn normalized(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(normalized).collect()),
        Value::Tables(tables) => Value::Array(
            tables
                .iter()
                .map(|table| normalized(&Value::Table(table.clone())))
                .collect(),
        ),
        Value::Table(table) => {
            let mut plain = Table::new(TableKind::Explicit);
            for (key, value) in table.iter() {
                plain
                    .insert_dotted(&[key.to_owned()], normalized(value))
                    .unwrap();
            }
            Value::Table(plain)
        }
        Value::String(_)
        | Value::Integer(_)
        | Value::Boolean(_)
        | Value::Float
        | Value::Datetime => value.clone(),
    }
}

#[track_caller]
fn compare(text: &str) {
    let ours = parse(text.as_bytes())
        .ok()
        .map(|table| normalized(&Value::Table(table)));
    assert_eq!(ours, oracle(text), "{text:?}");
}

/// Numbers, truth values and dates, right and wrong.
const SCALARS: &[&str] = &[
    "1",
    "+1",
    "-0",
    "01",
    "1_000",
    "1__0",
    "_1",
    "1_",
    "0xfF",
    "0XF",
    "+0x1",
    "0o17",
    "0o8",
    "0b101",
    "0b2",
    "0x",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "0x7fffffffffffffff",
    "1.5",
    "1.",
    ".5",
    "1e5",
    "1E+5",
    "1.5e-1_0",
    "1e",
    "1.e5",
    "01.5",
    "-0.0",
    "inf",
    "+inf",
    "-nan",
    "infinity",
    "true",
    "True",
    "1979-05-27",
    "1979-02-29",
    "2000-02-29",
    "1900-02-29",
    "1979-13-01",
    "1979-05-27T07:32:00Z",
    "1979-05-27 07:32:00.999-07:00",
    "1979-05-27t07:32:00z",
    "1979-05-27T07:32",
    "07:32:00",
    "07:32",
    "24:00:00",
    "07:60:00",
    "07:32:61",
    "07:32:00.",
    "1979-05-27T",
    "1979-05-27 ",
    "1979-05-27T07:32:00+25:00",
    "79-05-27",
];

/// Strings, arrays and inline tables, right and wrong.
const STRINGS_AND_COLLECTIONS: &[&str] = &[
    r#""""#,
    r#""\b\t\n\f\r\e\"\\""#,
    r#""\u00fc\U0001F600\x41""#,
    r#""\ud800""#,
    r#""\U00110000""#,
    r#""\u12""#,
    r#""\q""#,
    "\"a\nb\"",
    "\"a\tb\"",
    "\"a\u{7f}b\"",
    "\"a",
    "'a\\b'",
    "'a\nb'",
    "''",
    "\"\"\"\na\nb\"\"\"",
    "\"\"\"a\\\n   b\"\"\"",
    "\"\"\"a\\  \n\n  b\"\"\"",
    "\"\"\"a\\ b\"\"\"",
    "\"\"\"a\"\"b\"\"\"\"\"",
    "\"\"\"\"\"\"\"\"",
    "'''a'b''c'''",
    "'''\n\\'''",
    "\"\"\"a\r\nb\"\"\"",
    "\"\"\"a\rb\"\"\"",
    "[]",
    "[1, 2,]",
    "[1,, 2]",
    "[,]",
    "[1 2]",
    "[1, 'a', [true], {a = 1}]",
    "[ # c\n 1, # d\n 2 # e\n]",
    "[1",
    "{}",
    "{a = 1, b.c = 2}",
    "{a = 1, a = 2}",
    "{a = 1,}",
    "{a = 1\n, b = 2 # c\n}",
    "{a = 1 b = 2}",
    "{a.b = 1, a = 2}",
    "{,}",
    "a",
    "",
    "=",
    "1 2",
    "1 # c",
];

#[test]
fn the_grammar_is_that_of_the_specification() {
    for value in SCALARS.iter().chain(STRINGS_AND_COLLECTIONS) {
        compare(&format!("k = {value}"));
        compare(&format!("k = {value}\n[t]\nx = [{value}]"));
    }
}

#[test]
fn tables_are_extended_by_what_may_extend_them() {
    for text in [
        "",
        "\n\r\n# c\n",
        "# \u{1}",
        "\u{feff}a = 1",
        "a = 1\r\nb = 2\r",
        "a = 1\rb = 2",
        "a = 1\n a = 2",
        "\"a\" = 1\na = 2",
        "a.b = 1\na.c = 2",
        "a.b = 1\na = 2",
        "a = 1\na.b = 2",
        "a . 'b' . \"c\" = 1",
        "a. = 1",
        ".a = 1",
        "a..b = 1",
        "'''a''' = 1",
        "\"\"\"a\"\"\" = 1",
        "\"\" = 1",
        "ü = 1",
        "a b = 1",
        "a\n= 1",
        "a = 1 b = 2",
        "1.2 = 3",
        "-_9 = 1",
        "[a]\n[a]",
        "[a]\n[a.b]\n[a]",
        "[a.b]\n[a]\n[a.c]",
        "[a.b]\n[a]\nb = 1",
        "[a]\nb = 1\n[a.b]",
        "[a] x = 1",
        "[ a . b ] # c\nx = 1",
        "[a",
        "[a]]",
        "[]",
        "[a.]",
        "[[a]]\nx = 1\n[[a]]\nx = 2",
        "[[a]]\n[a]",
        "[a]\n[[a]]",
        "[[a]]\n[a.b]\n[[a]]\n[a.b]",
        "[[a.b]]\n[a]\nx = 1",
        "[[a.b]]\n[[a]]",
        "a = []\n[[a]]",
        "a = [{}]\n[a.b]",
        "a = {}\n[a.b]",
        "a = {b = {}}\na.b.c = 1",
        "a.b = {}\n[a.b.c]",
        "[[ a ]]",
        "[[a] ]",
        "[ [a]]",
        "[a]\nb.c = 1\n[a.b]",
        "[a]\nb.c = 1\n[a.b.d]\nx = 1",
        "[a.b.c]\nz = 9\n[a]\nb.c.t = 1",
        "[a.b.c]\nz = 9\n[a]\nb.t = 1",
        "a.b = 1\n[a]",
        "a.b = 1\n[a.c]",
        "[a]\n[b]\n[a.b]\n[b.a]",
        "[a]\nx = {y.z = 1}\n[a.x.y]",
        "[[a]]\nb.c = 1\n[a.b]",
        "[[a]]\n[a.b.c]\n[a.b]\n[[a]]\n[a.b]",
        "[a]\n[a.b.c]\n[a.b.c.d]\n[a.b]\n",
    ] {
        compare(text);
    }
}

#[test]
fn depth_is_limited() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let nested = |depth: usize| format!("k = {}1{}", open.repeat(depth), close.repeat(depth));
        assert!(parse(nested(70).as_bytes()).is_ok());
        for depth in [MAX_DEPTH + 1, 1_000_000] {
            assert!(parse(nested(depth).as_bytes()).is_err(), "{depth}");
        }
    }
    let key = |parts: usize| vec!["a"; parts].join(".");
    assert!(parse(format!("{} = 1", key(70)).as_bytes()).is_ok());
    assert!(parse(format!("{} = 1", key(1_000_000)).as_bytes()).is_err());
    assert!(parse(format!("[{}]", key(1_000_000)).as_bytes()).is_err());
}

#[test]
fn an_error_names_its_line() {
    for (text, message) in [
        (&b"a = 1\nb = ?\n"[..], "line 2: something that is no value"),
        (b"a = '''\n\n", "line 3: a string that is not closed"),
        (b"a = 1\na = 2", "line 2: a key that is defined already"),
        (b"a = '\xff'", "line 1: text that is not UTF-8"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), message);
    }
}

/// Pieces of documents, so that what is put together at random is often well-formed.
const PIECES: &[&str] = &[
    "[",
    "]",
    "[[a]]\n",
    "[a]\n",
    "[a.b]\n",
    "[b]\n",
    "[[a.b]]\n",
    "a",
    "b",
    "a.b",
    "c",
    "\"",
    "'",
    "'''",
    "\"\"\"",
    "=",
    " ",
    "\n",
    "\r\n",
    "#",
    ",",
    "{",
    "}",
    ".",
    "\\",
    "\\u00e9",
    "\\x41",
    "ü",
    "\t",
    "1",
    "0",
    "_",
    "-",
    "+",
    "e",
    ":",
    "T",
    "Z",
    "x",
    "true",
    "inf",
    "1979-05-27",
    "07:32:00",
    "a = 1\n",
    "b = 'x'\n",
    "a.c = {}\n",
    "c = [1,2]\n",
    "b.c = 1\n",
    "a = {b = 1}\n",
    "c = \"\"\"\n",
];

fn documents() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..14).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn random_documents_are_read_like_the_toml_crate_reads_them(text in documents()) {
        compare(&text);
    }

    #[test]
    fn random_values_are_read_like_the_toml_crate_reads_them(text in "[-+0-9_.eETZ:xinfa \"'\\\\\\[\\]{},=\n]{0,14}") {
        compare(&format!("k = {text}"));
    }

    #[test]
    fn any_bytes_end_in_an_answer(bytes: Vec<u8>) {
        let _answer = parse(&bytes);
    }
}
