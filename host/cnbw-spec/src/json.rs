//! Prints JSON as Go's encoder does, so that labels are the reference's to the byte.

use crate::value::{
    Datetime, Table, Value, printed_date, printed_offset, printed_time, push_escape, shortest_float,
};

/// A value on its way into a label.
pub(crate) enum Json {
    Null,
    Bool(bool),
    Text(String),
    List(Vec<Self>),
    /// In the order in which it is to be printed.
    Object(Vec<(&'static str, Self)>),
    /// With keys that are sorted when printed.
    Map(Vec<(String, Self)>),
    Free(Value),
}

/// A float that JSON cannot hold, and the path that leads to it.
pub(crate) struct NoSuchNumber {
    pub(crate) key: String,
    pub(crate) value: f64,
}

impl Json {
    pub(crate) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(crate) fn texts(texts: &[String]) -> Self {
        Self::List(texts.iter().map(|text| Self::text(text)).collect())
    }

    pub(crate) fn free(value: Option<&Value>) -> Self {
        value.map_or(Self::Null, |value| Self::Free(value.clone()))
    }

    pub(crate) fn free_table(table: Option<&Table>) -> Self {
        table.map_or(Self::Null, |table| Self::Free(Value::Table(table.clone())))
    }

    pub(crate) fn print(&self) -> Result<String, NoSuchNumber> {
        let mut out = String::new();
        self.print_to(&mut String::new(), &mut out)?;
        Ok(out)
    }

    fn print_to(&self, path: &mut String, out: &mut String) -> Result<(), NoSuchNumber> {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Text(text) => push_quoted(text, out),
            Self::Free(value) => print_free(value, path, out)?,
            Self::List(items) => {
                print_list(items, path, out, Self::print_to)?;
            }
            Self::Object(entries) => {
                let entries = entries.iter().map(|(key, value)| (*key, value));
                print_object(entries, path, out, Self::print_to)?;
            }
            Self::Map(entries) => {
                let mut entries: Vec<_> = entries
                    .iter()
                    .map(|(key, value)| (key.as_str(), value))
                    .collect();
                entries.sort_by_key(|(key, _)| key.as_bytes());
                print_object(entries, path, out, Self::print_to)?;
            }
        }
        Ok(())
    }
}

type Print<T> = fn(&T, &mut String, &mut String) -> Result<(), NoSuchNumber>;

fn print_list<T>(
    items: &[T],
    path: &mut String,
    out: &mut String,
    print: Print<T>,
) -> Result<(), NoSuchNumber> {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let length = path.len();
        path.push('[');
        path.push_str(&index.to_string());
        path.push(']');
        print(item, path, out)?;
        path.truncate(length);
    }
    out.push(']');
    Ok(())
}

fn print_object<'v, T: 'v>(
    entries: impl IntoIterator<Item = (&'v str, &'v T)>,
    path: &mut String,
    out: &mut String,
    print: Print<T>,
) -> Result<(), NoSuchNumber> {
    out.push('{');
    for (index, (key, value)) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_quoted(key, out);
        out.push(':');
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(key);
        print(value, path, out)?;
        path.truncate(length);
    }
    out.push('}');
    Ok(())
}

fn print_free(value: &Value, path: &mut String, out: &mut String) -> Result<(), NoSuchNumber> {
    match value {
        Value::String(text) => push_quoted(text, out),
        Value::Integer(integer) => out.push_str(&integer.to_string()),
        Value::Float(float) if float.is_finite() => out.push_str(&printed_float(*float)),
        Value::Float(float) => {
            return Err(NoSuchNumber {
                key: path.clone(),
                value: *float,
            });
        }
        Value::Boolean(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Datetime(datetime) => push_quoted(&printed_datetime(datetime), out),
        Value::Array(items) => print_list(items, path, out, print_free)?,
        Value::Table(table) => {
            let mut entries: Vec<_> = table
                .iter()
                .map(|(key, value)| (key.as_str(), value))
                .collect();
            entries.sort_by_key(|(key, _)| key.as_bytes());
            print_object(entries, path, out, print_free)?;
        }
    }
    Ok(())
}

/// Plain up to 21 digits, so that whole floats look like integers; small exponents have one digit.
fn printed_float(float: f64) -> String {
    let text = shortest_float(float, -6..21);
    text.replace("e-0", "e-")
}

/// Dates and times are points in time for the reference: what is missing becomes year 0 and UTC.
fn printed_datetime(datetime: &Datetime) -> String {
    let date = datetime
        .date
        .map_or_else(|| "0000-01-01".to_owned(), printed_date);
    let time = datetime
        .time
        .map_or_else(|| "00:00:00".to_owned(), printed_time);
    let offset = datetime
        .offset
        .map_or_else(|| "Z".to_owned(), printed_offset);
    format!("{date}T{time}{offset}")
}

/// A JSON string with the escapes of Go's encoder, which also keeps HTML out of trouble.
pub(crate) fn push_quoted(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                push_escape(character, out);
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::print::tests::any_value;

    fn printed(toml: &str) -> String {
        let table: Table = toml.parse().unwrap();
        Json::free_table(Some(&table)).print().ok().unwrap()
    }

    #[test]
    fn values_are_printed_as_go_prints_them() {
        let cases = [
            ("b = 1\na = true", r#"{"a":true,"b":1}"#),
            (
                "a = 1.0\nb = 1.5e21\nc = 1e-7\nd = 100000000.0",
                r#"{"a":1,"b":1.5e+21,"c":1e-7,"d":100000000}"#,
            ),
            ("a = 0.000001", r#"{"a":0.000001}"#),
            ("a = \"<\\u2028&\\b\"", r#"{"a":"\u003c\u2028\u0026\b"}"#),
            ("a = 1979-05-27", r#"{"a":"1979-05-27T00:00:00Z"}"#),
            ("a = 07:32:00.25", r#"{"a":"0000-01-01T07:32:00.25Z"}"#),
            (
                "a = 1979-05-27T07:32:00+01:00",
                r#"{"a":"1979-05-27T07:32:00+01:00"}"#,
            ),
            ("a = [1, {}]", r#"{"a":[1,{}]}"#),
        ];
        for (toml, json) in cases {
            assert_eq!(printed(toml), json, "{toml}");
        }
    }

    #[test]
    fn a_float_that_is_no_number_is_named_with_its_path() {
        let table: Table = "a = [{b = nan}]".parse().unwrap();
        let error = Json::Object(vec![("top", Json::free_table(Some(&table)))]).print();
        assert_eq!(
            error.err().map(|error| error.key).as_deref(),
            Some("top.a[0].b")
        );
    }

    proptest! {
        #[test]
        fn what_is_printed_is_json_of_the_same_value(value in any_value()) {
            if let Ok(json) = Json::Free(value.clone()).print() {
                let read: serde_json::Value = serde_json::from_str(&json)
                    .map_err(|error| TestCaseError::fail(format!("{error}: {json}")))?;
                let same = match (&value, &read) {
                    (Value::String(one), serde_json::Value::String(other)) => one == other,
                    (Value::Integer(one), other) => other.as_i64() == Some(*one),
                    (Value::Float(one), other) => other.as_f64() == Some(*one),
                    (Value::Array(one), serde_json::Value::Array(other)) => one.len() == other.len(),
                    (Value::Table(one), serde_json::Value::Object(other)) => one.len() == other.len(),
                    (Value::Boolean(one), serde_json::Value::Bool(other)) => one == other,
                    _ => false,
                };
                prop_assert!(same, "{json}");
            }
        }
    }
}
