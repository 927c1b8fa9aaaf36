use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<(), DocumentError> {
    Document::parse("some.toml", text.as_bytes()).map(|_| ())
}

#[test]
fn an_error_names_file_line_column_and_key() {
    let text = "[a]\n[[a.list]]\nx = 1\n[[a.list]]\n  x = \"s\"\n";
    let document = Document::parse("some.toml", text.as_bytes()).unwrap();
    let table = document.root().table("a").unwrap().unwrap();
    let error = table.each("list", |item| item.is("x")).unwrap_err();
    assert_eq!((error.line, error.column), (Some(3), Some(5)));
    assert_eq!(
        error.to_string(),
        "`some.toml`, line 3, key `a.list[0].x`: expected a boolean, found an integer"
    );
}

#[test]
fn broken_toml_is_an_error_with_its_line() {
    let error = parse("a = 1\nb = \"").unwrap_err();
    assert_eq!(error.line, Some(2));
    assert!(error.reason.starts_with("not TOML: "), "{error}");
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_with_their_line() {
    let error = document_text("f", b"a = 1\nb = \"\xff\"").unwrap_err();
    assert_eq!(error.to_string(), "`f`, line 2: not UTF-8");
}

#[test]
fn a_document_at_the_limit_is_read_and_one_byte_more_is_refused() {
    let mut text = "#".repeat(MAX_DOCUMENT_BYTES);
    parse(&text).unwrap();
    text.push('#');
    assert_eq!(
        parse(&text).unwrap_err().to_string(),
        "`some.toml`: longer than the limit of 1048576 bytes"
    );
}

#[test]
fn nesting_at_the_limit_is_read_and_one_level_more_is_refused() {
    for (open, close) in [("[", "]"), ("{a=", "}")] {
        let nested = |levels: usize| {
            format!(
                "a = {}{}{}",
                open.repeat(levels - 1),
                "1",
                close.repeat(levels - 1)
            )
        };
        parse(&nested(MAX_DOCUMENT_DEPTH)).unwrap();
        let error = parse(&nested(MAX_DOCUMENT_DEPTH + 1)).unwrap_err();
        assert_eq!(error.reason, "nested deeper than the limit of 64 levels");
    }
}

#[test]
fn nesting_by_dotted_keys_and_headers_is_bounded_too() {
    let keys = vec!["a"; 40].join(".");
    parse(&format!("{keys} = 1")).unwrap();
    assert!(parse(&format!("[{keys}]\n{keys} = 1")).is_err());
    let long = vec!["a"; 100_000].join(".");
    assert!(parse(&format!("{long} = 1")).is_err());
    assert!(parse(&format!("[{long}]")).is_err());
    assert!(parse(&format!("a = {}", "[".repeat(100_000))).is_err());
    assert!(parse(&format!("a = {}", "{a=".repeat(100_000))).is_err());
}

#[test]
fn as_many_values_as_allowed_are_read_and_one_more_is_refused() {
    let list = |count: usize| format!("a = [{}]", "1,".repeat(count));
    parse(&list(MAX_DOCUMENT_VALUES - 1)).unwrap();
    let error = parse(&list(MAX_DOCUMENT_VALUES)).unwrap_err();
    assert_eq!(error.reason, "more than the limit of 65536 values");
}

#[test]
fn a_key_in_another_case_counts_only_without_the_exact_one() {
    let text = b"ID = \"x\"";
    let document = Document::parse("f", text).unwrap();
    assert_eq!(document.root().text("id").unwrap(), "x");
    let text = b"ID = \"x\"\nid = \"y\"";
    let document = Document::parse("f", text).unwrap();
    assert_eq!(document.root().text("id").unwrap(), "y");
}

#[test]
fn numbers_beyond_their_type_are_refused() {
    for text in ["a = 9223372036854775808", "a = 1e999"] {
        let document = Document::parse("f", text.as_bytes()).unwrap();
        let error = document.root().any("a").unwrap_err();
        assert!(error.reason.ends_with("is out of range"), "{error}");
    }
    let document = Document::parse("f", b"a = -9223372036854775808\nb = 0xff\nc = -inf").unwrap();
    assert_eq!(
        document.root().any("a").unwrap(),
        Some(crate::value::Value::Integer(i64::MIN))
    );
    assert_eq!(
        document.root().any("b").unwrap(),
        Some(crate::value::Value::Integer(255))
    );
}

#[test]
fn foreign_text_in_messages_is_escaped_and_short() {
    let error = DocumentError::at_key("a\n\x1b[31m", &"k".repeat(10_000), "rule");
    let text = error.to_string();
    assert!(!text.contains(['\n', '\x1b']), "{text}");
    assert!(text.len() < 500, "{text}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = Document::parse("f", &bytes).map(|_| ()) {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn any_text_of_toml_signs_is_read_or_refused(text in "[a-c\\[\\]{}=.,\"'#\n 0-9:T-]{0,80}") {
        let _verdict = Document::parse("f", text.as_bytes()).map(|_| ());
    }
}
