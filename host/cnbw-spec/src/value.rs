//! Free-form values: metadata of layers, plans and stores, of which the lifecycle knows no keys.

pub use toml::Table;
pub use toml::Value;
