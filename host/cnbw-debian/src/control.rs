//! Paragraphs of `Field: value`, the form of all of Debian's documents.
//!
//! <https://www.debian.org/doc/debian-policy/ch-controlfields.html#syntax-of-control-files>

/// One paragraph: fields in their order. Values keep their line ends; continued lines lose the blank that marks them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paragraph<'a> {
    fields: Vec<(&'a str, String)>,
}

impl Paragraph<'_> {
    /// A field's value. Names are compared without regard to case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Splits a document into paragraphs. Lines that are neither a field nor its continuation are passed over, as Debian's own
/// tools do with comments; what matters is asked for by name and missed then.
pub fn paragraphs(text: &str) -> impl Iterator<Item = Paragraph<'_>> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let mut paragraph = Paragraph::default();
        for line in lines.by_ref() {
            if line.trim().is_empty() {
                if paragraph.fields.is_empty() {
                    continue;
                }
                break;
            }
            if let Some(continued) = line.strip_prefix([' ', '\t']) {
                if let Some((_, value)) = paragraph.fields.last_mut() {
                    value.push('\n');
                    value.push_str(continued);
                }
            } else if let Some((name, value)) = line.split_once(':')
                && !line.starts_with('#')
            {
                paragraph.fields.push((name, value.trim().to_owned()));
            }
        }
        (!paragraph.fields.is_empty()).then_some(paragraph)
    })
}

/// The names in a `Depends` or `Provides` field: for each position the alternatives, without versions and architectures.
pub fn relations(value: &str) -> Vec<Vec<&str>> {
    value
        .split(',')
        .map(|position| position.split('|').filter_map(package_name).collect())
        .filter(|alternatives: &Vec<&str>| !alternatives.is_empty())
        .collect()
}

fn package_name(relation: &str) -> Option<&str> {
    let name = relation
        .trim()
        .split([' ', '(', '[', '<', ':', '\n'])
        .next()?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_end_at_blank_lines_and_values_go_on_after_a_blank() {
        let text = "\n# a comment: here\nPackage: one\nDescription: short\n long\n .\n\n\nPackage:two\nDEPENDS: a\n";
        let found: Vec<_> = paragraphs(text).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].get("package"), Some("one"));
        assert_eq!(found[0].get("Description"), Some("short\nlong\n."));
        assert_eq!(found[1].get("Package"), Some("two"));
        assert_eq!(found[1].get("Depends"), Some("a"));
        assert_eq!(found[1].get("Version"), None);
        assert_eq!(paragraphs("").count(), 0);
        assert_eq!(paragraphs(" stray\n:\n").count(), 1);
    }

    #[test]
    fn relations_are_names_and_nothing_else() {
        assert_eq!(
            relations("libc6 (>= 2.38), debconf (>= 0.5) | debconf-2.0,python3:any, x [amd64] , "),
            [
                vec!["libc6"],
                vec!["debconf", "debconf-2.0"],
                vec!["python3"],
                vec!["x"]
            ]
        );
        assert!(relations(" , | ").is_empty());
    }
}
