//! Image configurations. Keys that this version does not know survive.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::descriptor::Platform;
use crate::digest::DiffId;
use crate::manifest::null_as_default;

/// The largest configuration that is read, in bytes.
pub const CONFIG_CAP: u64 = 8 * 1024 * 1024;

/// What an image is, how it starts, and of which layers it consists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// Processor architecture in Go's words.
    #[serde(default, deserialize_with = "null_as_default")]
    pub architecture: String,
    /// Who made the image.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub author: String,
    /// When, in the form of RFC 3339.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub created: String,
    /// How each layer came to be, and steps without a layer between them.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub history: Vec<History>,
    /// Operating system in Go's words.
    #[serde(default, deserialize_with = "null_as_default")]
    pub os: String,
    /// The layers' uncompressed digests.
    #[serde(default, deserialize_with = "null_as_default")]
    pub rootfs: RootFs,
    /// What a container is started with.
    #[serde(default, deserialize_with = "null_as_default")]
    pub config: ContainerConfig,
    /// Version of the operating system.
    #[serde(
        default,
        rename = "os.version",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub os_version: String,
    /// What the operating system must offer.
    #[serde(
        default,
        rename = "os.features",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub os_features: Vec<String>,
    /// Variant of the architecture.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub variant: String,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// The layers' uncompressed digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default = "layers")]
    pub kind: String,
    /// Base layer first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub diff_ids: Vec<DiffId>,
}

fn layers() -> String {
    "layers".to_owned()
}

impl Default for RootFs {
    fn default() -> Self {
        Self {
            kind: layers(),
            diff_ids: Vec::new(),
        }
    }
}

/// One step of an image's history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Who took the step.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub author: String,
    /// When, in the form of RFC 3339.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub created: String,
    /// What the step did.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub created_by: String,
    /// A remark.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub comment: String,
    /// Whether the step made no layer.
    #[serde(
        default,
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "null_as_default"
    )]
    pub empty_layer: bool,
    /// Keys that this version does not know.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// What a container of the image is started with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// Arguments, or the whole command if there is no entrypoint.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub cmd: Vec<String>,
    /// The program and its first arguments.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub entrypoint: Vec<String>,
    /// `NAME=VALUE`, in order.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub env: Vec<String>,
    /// Labels.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub labels: BTreeMap<String, String>,
    /// `USER[:GROUP]`, names or numbers.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub user: String,
    /// Where the program starts.
    #[serde(
        default,
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_as_default"
    )]
    pub working_dir: String,
    /// Everything else: `ExposedPorts`, `Healthcheck`, `Shell`, `StopSignal`, `Volumes`, …
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl ImageConfig {
    /// The platform that the image is for.
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            variant: self.variant.clone(),
        }
    }

    /// A label's value.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.config.labels.get(name).map(String::as_str)
    }

    /// Sets a label, or replaces its value.
    pub fn set_label(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.config.labels.insert(name.into(), value.into());
    }

    /// The value of an environment variable; of several with one name, the first.
    pub fn env(&self, name: &str) -> Option<&str> {
        self.config
            .env
            .iter()
            .find_map(|entry| match entry.split_once('=') {
                Some((found, value)) if found == name => Some(value),
                _ => None,
            })
    }

    /// Sets an environment variable: in its old place if it is there, at the end otherwise.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let entry = format!("{name}={value}");
        let same = |old: &&mut String| old.split('=').next() == Some(name);
        match self.config.env.iter_mut().find(same) {
            Some(old) => *old = entry,
            None => self.config.env.push(entry),
        }
    }
}

/// Writes seconds since 1970 as RFC 3339 in UTC, without fractions.
///
/// ```
/// assert_eq!(cnbw_oci::config::format_time(315_532_801), "1980-01-01T00:00:01Z");
/// ```
pub fn format_time(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days are counted from 0000-03-01, so that the leap day is the last of a year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (i64::from(u32::MAX), "2106-02-07T06:28:15Z"),
        ] {
            assert_eq!(format_time(seconds), text);
        }
    }

    #[test]
    fn unknown_keys_survive_in_every_part() {
        let text = r#"{"architecture":"amd64","history":[{"created_by":"x","odd":1}],"os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{"Env":["A=b"],"Healthcheck":{"Test":["NONE"]},"Shell":["/bin/sh"]},"docker_version":"20"}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&config).unwrap(), text);
    }

    #[test]
    fn null_is_read_as_empty() {
        let text = r#"{"architecture":"amd64","os":"linux","history":null,"config":{"Cmd":null,"Labels":null,"User":null},"rootfs":{"type":"layers","diff_ids":null}}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        assert!(config.history.is_empty() && config.config.labels.is_empty());
    }

    #[test]
    fn a_variable_is_replaced_in_its_place_and_added_at_the_end() {
        let mut config = ImageConfig::default();
        config.set_env("A", "1");
        config.set_env("B", "x=y");
        config.set_env("A", "2");
        assert_eq!(config.config.env, ["A=2", "B=x=y"]);
        assert_eq!(config.env("B"), Some("x=y"));
        assert_eq!(config.env("C"), None);
    }
}
