//! Which labels the variables ask for.

use cnbw_buildpack::{Error, Variables};

/// Names of the variables after `BP_OCI_`, and of the annotations after `org.opencontainers.image.`.
const KNOWN: [(&str, &str); 12] = [
    ("AUTHORS", "authors"),
    ("CREATED", "created"),
    ("DESCRIPTION", "description"),
    ("DOCUMENTATION", "documentation"),
    ("LICENSES", "licenses"),
    ("REF_NAME", "ref.name"),
    ("REVISION", "revision"),
    ("SOURCE", "source"),
    ("TITLE", "title"),
    ("URL", "url"),
    ("VENDOR", "vendor"),
    ("VERSION", "version"),
];

/// The labels in the order in which they are set; of two for one key the later counts.
pub(crate) fn read(variables: &Variables) -> Result<Vec<(String, String)>, Error> {
    let mut labels: Vec<(String, String)> = KNOWN
        .iter()
        .filter_map(|(variable, annotation)| {
            let value = variables.get(&format!("BP_OCI_{variable}"))?;
            Some((
                format!("org.opencontainers.image.{annotation}"),
                value.to_owned(),
            ))
        })
        .collect();
    for pair in pairs(variables.get("BP_IMAGE_LABELS").unwrap_or_default())? {
        let (key, value) = pair.split_once('=').ok_or_else(|| {
            Error::new(format!(
                "`BP_IMAGE_LABELS` has `{}`, which is no `key=value`",
                pair.escape_debug()
            ))
        })?;
        if key.is_empty() {
            return Err(Error::new("`BP_IMAGE_LABELS` has a label without a key"));
        }
        labels.retain(|(known, _)| known != key);
        labels.push((key.to_owned(), value.to_owned()));
    }
    Ok(labels)
}

/// Splits at blanks that are not in quotes. In double quotes a backslash takes the next character as it is.
fn pairs(text: &str) -> Result<Vec<String>, Error> {
    let open = || Error::new("`BP_IMAGE_LABELS` has a quote that is not closed");
    let mut pairs = Vec::new();
    let mut pair: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            blank if blank.is_whitespace() => pairs.extend(pair.take()),
            '\'' | '"' => {
                let pair = pair.get_or_insert_default();
                loop {
                    match characters.next().ok_or_else(open)? {
                        end if end == character => break,
                        '\\' if character == '"' => {
                            pair.push(characters.next().ok_or_else(open)?);
                        }
                        quoted => pair.push(quoted),
                    }
                }
            }
            plain => pair.get_or_insert_default().push(plain),
        }
    }
    pairs.extend(pair);
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        read(&list.iter().copied().collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn known_variables_are_annotations_and_others_are_free() {
        let labels = of(&[
            ("BP_OCI_TITLE", "Shop"),
            ("BP_OCI_REF_NAME", "v1"),
            ("BP_OCI_UNKNOWN", "x"),
            (
                "BP_IMAGE_LABELS",
                r#"a=1  b.c="two words" 'd e=f' g="\"" org.opencontainers.image.title=Other h="#,
            ),
        ])
        .unwrap();
        let expected = [
            ("org.opencontainers.image.ref.name", "v1"),
            ("a", "1"),
            ("b.c", "two words"),
            ("d e", "f"),
            ("g", "\""),
            ("org.opencontainers.image.title", "Other"),
            ("h", ""),
        ];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(labels, expected);
        assert!(of(&[]).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_label_is_named() {
        for (text, words) in [
            ("a=1 b", "`b`, which is no `key=value`"),
            ("=1", "without a key"),
            ("a='1", "not closed"),
            ("a=\"1\\", "not closed"),
        ] {
            let error = of(&[("BP_IMAGE_LABELS", text)]).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
