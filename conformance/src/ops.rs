//! Writes a program's operations in the form that the fixture reads.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use base64::Engine as _;

use crate::names::Names;

/// One field per line, `do` first in each operation.
pub(crate) fn write(ops: &[toml::Table], names: &Names) -> Result<String> {
    let mut out = String::new();
    for op in ops {
        let Some(verb) = op.get("do").and_then(toml::Value::as_str) else {
            bail!("an operation has no `do`: `{op}`");
        };
        field(&mut out, "do", verb.as_bytes());
        for (key, value) in op {
            match (key.as_str(), value) {
                ("do", _) => {}
                ("b64", toml::Value::String(text)) => {
                    let bytes = base64::engine::general_purpose::STANDARD.decode(text)?;
                    field(&mut out, "text", &bytes);
                }
                (_, toml::Value::String(text)) => {
                    field(&mut out, key, names.expand(text).as_bytes());
                }
                (_, toml::Value::Integer(number)) => {
                    field(&mut out, key, number.to_string().as_bytes());
                }
                (_, toml::Value::Array(items)) => {
                    for item in items {
                        let Some(text) = item.as_str() else {
                            bail!("`{key}` holds more than texts: `{op}`")
                        };
                        field(&mut out, key, names.expand(text).as_bytes());
                    }
                }
                _ => bail!("`{key}` is neither text, number nor list: `{op}`"),
            }
        }
    }
    Ok(out)
}

fn field(out: &mut String, key: &str, value: &[u8]) {
    out.push_str(key);
    out.push(' ');
    for chunk in value.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' => out.push_str("\\n"),
                '\\' => out.push_str("\\\\"),
                '\r' => out.push_str("\\x0d"),
                other => out.push(other),
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string cannot go wrong.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_lines_and_control_characters_are_escaped() {
        let ops: toml::Table = toml::from_str(
            "ops = [{path = 'p', do = 'write', text = \"a\\\\b\\nc\\r\"}, {do = 'dump-env', names = ['A', 'B']}, \
             {do = 'exit', code = 3}, {do = 'write', b64 = '/w=='}]",
        )
        .unwrap();
        let ops: Vec<toml::Table> = ops["ops"].clone().try_into().unwrap();
        let text = write(&ops, &Names::default()).unwrap();
        let expected = "do write\npath p\ntext a\\\\b\\nc\\x0d\ndo dump-env\nnames A\nnames B\ndo exit\ncode 3\n\
                        do write\ntext \\xff\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_operation_without_a_verb_is_refused() {
        assert!(write(&[toml::Table::new()], &Names::default()).is_err());
    }
}
