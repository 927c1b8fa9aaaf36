//! What the environment says about the server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// The port if `PORT` is not set.
const DEFAULT_PORT: u16 = 8080;

/// Where to listen and what to serve.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Addresses to try, in order; the first that can be had is used.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The directory to serve.
    pub(crate) root: PathBuf,
}

/// Why the environment cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum SettingsError {
    /// `PORT` is no port.
    #[error("`PORT` is `{0}`, which is no number from 0 to 65535")]
    Port(String),
    /// `HOST` is no address.
    #[error("`HOST` is `{0}`, which is neither an IP address nor `localhost`")]
    Host(String),
}

impl Settings {
    /// Reads the variables; those that are unset or empty have defaults.
    pub(crate) fn from_variables(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let port = match set("PORT") {
            None => DEFAULT_PORT,
            Some(text) => text
                .parse()
                .map_err(|_| SettingsError::Port(text.escape_debug().to_string()))?,
        };
        let hosts = match set("HOST").as_deref() {
            // Both families at once; on hosts without IPv6 the second.
            None => vec![
                IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            ],
            Some("localhost") => vec![
                IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(Ipv6Addr::LOCALHOST),
            ],
            Some(text) => {
                vec![
                    text.parse()
                        .map_err(|_| SettingsError::Host(text.escape_debug().to_string()))?,
                ]
            }
        };
        let addresses = hosts
            .into_iter()
            .map(|host| SocketAddr::new(host, port))
            .collect();
        Ok(Self {
            addresses,
            root: set("WEB_ROOT").map_or_else(|| PathBuf::from("."), PathBuf::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::from_variables(|name| {
            variables
                .iter()
                .find(|(found, _)| *found == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn unset_and_empty_variables_have_defaults() {
        let default = settings(&[]).unwrap();
        assert_eq!(default.root, PathBuf::from("."));
        assert_eq!(
            default.addresses,
            [
                "[::]:8080".parse().unwrap(),
                "0.0.0.0:8080".parse().unwrap()
            ]
        );
        assert_eq!(
            settings(&[("PORT", ""), ("HOST", ""), ("WEB_ROOT", "")]).unwrap(),
            default
        );
    }

    #[test]
    fn port_host_and_root_are_honored() {
        let found =
            settings(&[("PORT", "0"), ("HOST", "127.0.0.1"), ("WEB_ROOT", "/srv")]).unwrap();
        assert_eq!(found.addresses, ["127.0.0.1:0".parse().unwrap()]);
        assert_eq!(found.root, PathBuf::from("/srv"));
        assert_eq!(
            settings(&[("HOST", "localhost")]).unwrap().addresses.len(),
            2
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for port in ["x", "65536", "-1", " 80"] {
            assert_eq!(
                settings(&[("PORT", port)]),
                Err(SettingsError::Port(port.to_owned()))
            );
        }
        assert_eq!(
            settings(&[("HOST", "my-laptop")]),
            Err(SettingsError::Host("my-laptop".to_owned()))
        );
    }
}
