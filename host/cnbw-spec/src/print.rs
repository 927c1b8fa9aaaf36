//! Prints TOML as the reference lifecycle's encoder does.
