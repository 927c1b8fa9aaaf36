//! `order.toml`, and the `[[order]]` tables of composite buildpacks: groups to try, in order.

use crate::document::DocumentError;
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
    crate::document::unfinished(file, bytes)
}
