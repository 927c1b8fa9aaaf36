//! TOML as JSON.

use serde_json::{Map, Value};

/// Turns a TOML value into JSON. Dates become strings; floats stay floats.
pub(crate) fn from_toml(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text.clone()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::from(*number),
        toml::Value::Boolean(flag) => Value::Bool(*flag),
        toml::Value::Datetime(date) => Value::String(iso_date(&date.to_string())),
        toml::Value::Array(items) => items.iter().map(from_toml).collect(),
        toml::Value::Table(table) => Value::Object(object(table)),
    }
}

/// The form in which outcomes hold dates: UTC as an offset, fractions of a second with six digits.
fn iso_date(date: &str) -> String {
    let date = date.replace(['z', 'Z'], "+00:00").replace(' ', "T");
    let Some((seconds, rest)) = date.split_once('.') else {
        return date;
    };
    let digits = rest
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(rest.len());
    let (fraction, offset) = rest.split_at(digits);
    format!("{seconds}.{fraction:0<6.6}{offset}")
}

fn object(table: &toml::Table) -> Map<String, Value> {
    table
        .iter()
        .map(|(key, value)| (key.clone(), from_toml(value)))
        .collect()
}

/// Parses a TOML document into JSON, if it is one.
pub(crate) fn parse_toml(text: &str) -> Option<Value> {
    let table: toml::Table = toml::from_str(text).ok()?;
    Some(Value::Object(object(&table)))
}

/// Applies a JSON merge patch (RFC 7396), where an array can also be patched by an object of indices.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if let Value::Array(items) = target {
        for (index, change) in changes {
            if let Some(item) = index
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get_mut(index))
            {
                merge(item, change);
            }
        }
        return;
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(members) = target {
        for (key, change) in changes {
            if change.is_null() {
                members.remove(key);
            } else {
                merge(members.entry(key.clone()).or_insert(Value::Null), change);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn integers_and_floats_of_toml_stay_apart() {
        assert_eq!(
            parse_toml("a = 1\nb = 1.0").unwrap(),
            json!({"a": 1, "b": 1.0})
        );
        assert_ne!(json!(1), json!(1.0));
    }

    #[test]
    fn dates_have_one_form() {
        let cases = [
            ("2020-01-02T03:04:05Z", "2020-01-02T03:04:05+00:00"),
            (
                "2020-01-02T03:04:05.5-01:30",
                "2020-01-02T03:04:05.500000-01:30",
            ),
            ("2020-01-02", "2020-01-02"),
        ];
        for (date, expected) in cases {
            assert_eq!(
                parse_toml(&format!("d = {date}")).unwrap(),
                json!({"d": expected})
            );
        }
    }

    #[test]
    fn a_patch_changes_adds_and_removes() {
        let mut value = json!({"steps": [{"exit": 2, "fault": "x"}, {"exit": 0}]});
        merge(
            &mut value,
            &json!({"steps": {"0": {"exit": 3, "fault": null}, "1": {"out": {"a": "b"}}}}),
        );
        assert_eq!(
            value,
            json!({"steps": [{"exit": 3}, {"exit": 0, "out": {"a": "b"}}]})
        );
    }
}
