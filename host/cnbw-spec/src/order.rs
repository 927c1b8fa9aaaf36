//! `order.toml`, and the `[[order]]` tables of composite buildpacks: groups to try, in order.
//!
//! <https://github.com/buildpacks/spec/blob/main/platform.md#ordertoml-toml>

use crate::document::{Document, DocumentError, Reader};
use crate::id::BuildpackRef;

/// The groups of an order, as written.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Order {
    /// Groups of buildpacks.
    pub order: Vec<OrderGroup>,
    /// Groups of image extensions; their elements are always optional.
    pub order_extensions: Vec<OrderGroup>,
}

/// One group of an order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OrderGroup {
    /// The elements, in order.
    pub group: Vec<OrderElement>,
}

/// One element of a group of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderElement {
    /// Which buildpack.
    pub buildpack: BuildpackRef,
    /// Whether the group passes without it.
    pub optional: bool,
}

/// Parses `order.toml`.
pub fn parse_order(file: &str, bytes: &[u8]) -> Result<Order, DocumentError> {
    let document = Document::parse(file, bytes)?;
    let root = document.root();
    let mut order = Order {
        order: read_order_groups(&root, "order")?,
        order_extensions: read_order_groups(&root, "order-extensions")?,
    };
    for group in &mut order.order_extensions {
        for element in &mut group.group {
            element.optional = true;
        }
    }
    Ok(order)
}

/// Reads `[[<name>.group]]`.
pub(crate) fn read_order_groups(
    reader: &Reader<'_>,
    name: &str,
) -> Result<Vec<OrderGroup>, DocumentError> {
    reader.each(name, |group| {
        Ok(OrderGroup {
            group: group.each("group", read_element)?,
        })
    })
}

fn read_element(reader: &Reader<'_>) -> Result<OrderElement, DocumentError> {
    Ok(OrderElement {
        buildpack: reader.buildpack_ref()?,
        optional: reader.is("optional")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Order, DocumentError> {
        parse_order("order.toml", text.as_bytes())
    }

    #[test]
    fn groups_and_elements_keep_their_order() {
        let order = parse(
            "[[order]]\n[[order.group]]\nid = \"b\"\nversion = \"1\"\noptional = true\n\
             [[order.group]]\nid = \"a/c\"\nversion = \"2\"\n[[order]]\n",
        )
        .unwrap();
        let shown: Vec<Vec<String>> = order
            .order
            .iter()
            .map(|group| {
                let show =
                    |element: &OrderElement| format!("{} {}", element.buildpack, element.optional);
                group.group.iter().map(show).collect()
            })
            .collect();
        assert_eq!(
            shown,
            [
                vec!["b@1 true".to_owned(), "a/c@2 false".to_owned()],
                vec![]
            ]
        );
    }

    #[test]
    fn extensions_are_always_optional() {
        let order = parse("[[order-extensions]]\n[[order-extensions.group]]\nid = \"e\"").unwrap();
        let element = order
            .order_extensions
            .first()
            .and_then(|group| group.group.first())
            .unwrap();
        assert!(element.optional);
        assert_eq!(element.buildpack.to_string(), "e@");
    }

    #[test]
    fn a_bad_id_is_named_with_its_line() {
        let error = parse("[[order]]\n[[order.group]]\nid = \"..\"\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`order.toml`, line 3, key `order[0].group[0].id`: \
             buildpack id `..` is not a single path component"
        );
        let error = parse("[[order]]\n[[order.group]]\nversion = \"1\"\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`order.toml`, line 2, key `order[0].group[0].id`: buildpack id is empty"
        );
    }

    #[test]
    fn a_table_in_place_of_an_array_is_refused() {
        let error = parse("[order]\n").unwrap_err();
        assert_eq!(error.reason, "expected an array, found a table");
    }
}
