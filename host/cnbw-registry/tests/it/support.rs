//! Images to push, clients that do not wait long, and what both need.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::Duration;

use cnbw_oci::compress::Compression;
use cnbw_oci::config::{ImageConfig, RootFs};
use cnbw_oci::descriptor::{Descriptor, Platform};
use cnbw_oci::digest::DiffId;
use cnbw_oci::image::{Image, ImageSource, LayerContent, NewImage, NewLayer};
use cnbw_oci::manifest::Family;
use cnbw_registry::keychain::{Credential, CredentialSource, Keychain, KeychainError};
use cnbw_registry::{Client, Options, Retries, Timeouts};
use cnbw_testkit::Registry;

/// Bytes that do not repeat, the same ones for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A layer in a file. Its content is no tar: nothing on the way looks inside.
pub(crate) fn layer(bytes: &[u8]) -> NewLayer {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    NewLayer {
        diff_id: DiffId::of(bytes),
        content: LayerContent::File {
            descriptor: Descriptor::of(Family::Oci.layer(Compression::None).unwrap(), bytes),
            file,
        },
    }
}

/// An image of some layers for a platform.
pub(crate) fn image_for(platform: &str, layers: Vec<NewLayer>) -> NewImage {
    let platform: Platform = platform.parse().unwrap();
    let diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    NewImage {
        family: Family::Oci,
        config: ImageConfig {
            architecture: platform.architecture,
            os: platform.os,
            rootfs: RootFs {
                diff_ids,
                ..RootFs::default()
            },
            ..ImageConfig::default()
        },
        layers,
        annotations: BTreeMap::new(),
    }
}

pub(crate) fn image(layers: &[&[u8]]) -> NewImage {
    image_for(
        "linux/amd64",
        layers.iter().map(|bytes| layer(bytes)).collect(),
    )
}

/// A client that does not wait for those who stall.
pub(crate) fn impatient() -> Client {
    let mut options = options();
    options.timeouts = Timeouts {
        idle: Duration::from_millis(800),
        answer: Duration::from_secs(2),
        slowest: 1000,
        grace: Duration::from_secs(1),
        ..options.timeouts
    };
    Client::new(options).unwrap()
}

/// Options with short pauses.
pub(crate) fn options() -> Options {
    let mut options = Options::new(Keychain::anonymous());
    options.retries = Retries {
        attempts: 3,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(20),
        longest_wish: Duration::from_secs(2),
    };
    options
}

pub(crate) fn client() -> Client {
    Client::new(options()).unwrap()
}

/// One credential for everybody.
#[derive(Debug)]
pub(crate) struct Always(pub(crate) Credential);

impl CredentialSource for Always {
    fn credential(&self, _: &str, _: &str) -> Result<Option<Credential>, KeychainError> {
        Ok(Some(self.0.clone()))
    }
}

pub(crate) fn client_with(credential: Credential) -> Client {
    let mut options = options();
    options.keychain = Keychain::anonymous().with(Always(credential));
    Client::new(options).unwrap()
}

pub(crate) fn name(registry: &Registry, rest: &str) -> String {
    format!("{}/{rest}", registry.address())
}

/// Reads a blob of an image whole.
pub(crate) fn read_layer(image: &Image, position: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut reader = image
        .blobs
        .open(&image.manifest.layers[position])
        .map_err(std::io::Error::other)?;
    reader.read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn open(client: &Client, name: &str) -> Image {
    client
        .open(name, None)
        .unwrap()
        .expect("the image is there")
}

/// Everything that an error says, causes included.
pub(crate) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
