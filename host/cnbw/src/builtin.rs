//! What cnbw carries inside: launchers, and the buildpacks of the default builder.

use std::io;

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use cnbw_spec::descriptor::{BuildpackDescriptor, parse_buildpack};
use cnbw_spec::document::DocumentError;

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// A buildpack that cnbw carries.
#[derive(Clone, Copy, Debug)]
pub struct BuiltInBuildpack {
    files: &'static [(&'static str, &'static [u8])],
}

/// The built-in buildpacks.
pub const BUILDPACKS: &[BuiltInBuildpack] = &[
    BuiltInBuildpack {
        files: embedded::PROCFILE,
    },
    BuiltInBuildpack {
        files: embedded::STATIC_SITE,
    },
    BuiltInBuildpack {
        files: embedded::ENVIRONMENT_VARIABLES,
    },
    BuiltInBuildpack {
        files: embedded::IMAGE_LABELS,
    },
];

/// The order of the default builder: the first group that wants the application wins. The first of a group has to,
/// the others may. A Procfile says how an application starts, whatever else is in it.
pub(crate) const ORDER: [[&str; 3]; 2] = [
    [
        "cnbw/procfile",
        "cnbw/environment-variables",
        "cnbw/image-labels",
    ],
    [
        "cnbw/static-site",
        "cnbw/environment-variables",
        "cnbw/image-labels",
    ],
];

impl BuiltInBuildpack {
    /// Its descriptor.
    pub fn descriptor(&self) -> Result<BuildpackDescriptor, DocumentError> {
        let bytes = self
            .files
            .iter()
            .find(|(name, _)| *name == "buildpack.toml")
            .map_or(&b""[..], |(_, bytes)| bytes);
        parse_buildpack("buildpack.toml", bytes)
    }

    /// Writes it down as a buildpack directory.
    pub(crate) fn write_into(&self, dir: &Dir) -> io::Result<()> {
        for (name, bytes) in self.files {
            if let Some((parent, _)) = name.rsplit_once('/') {
                dir.create_dir_all(parent)?;
            }
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o755);
            let file = dir.open_with(name, &options)?;
            io::Write::write_all(&mut file.into_std(), bytes)?;
        }
        Ok(())
    }
}

/// The launcher for an architecture of linux images (`amd64`, `arm64`).
pub fn launcher(architecture: &str) -> Option<&'static [u8]> {
    embedded::LAUNCHERS
        .iter()
        .find(|(name, _)| *name == architecture)
        .map(|(_, bytes)| *bytes)
}

#[cfg(test)]
mod tests {
    use super::{BUILDPACKS, launcher};

    #[test]
    fn every_built_in_buildpack_has_a_descriptor_and_both_programs() {
        for buildpack in BUILDPACKS {
            let descriptor = buildpack.descriptor().unwrap();
            for program in ["bin/detect", "bin/build"] {
                let file = buildpack.files.iter().find(|(name, _)| *name == program);
                assert!(
                    file.is_some_and(|(_, bytes)| bytes.starts_with(b"\0asm")),
                    "{program} of {}",
                    descriptor.buildpack
                );
            }
        }
    }

    #[test]
    fn the_order_names_buildpacks_that_there_are() {
        let known: Vec<String> = BUILDPACKS
            .iter()
            .map(|it| it.descriptor().unwrap().buildpack.id.to_string())
            .collect();
        for id in super::ORDER.iter().flatten() {
            assert!(known.iter().any(|known| known == id), "{id}");
        }
    }

    #[test]
    fn launchers_are_small_static_programs_for_their_architecture() {
        // Offset 18 of an ELF file says for which processor it is: 62 is x86-64, 183 is AArch64.
        for (architecture, machine) in [("amd64", 62), ("arm64", 183)] {
            let bytes = launcher(architecture).unwrap();
            assert!(bytes.starts_with(b"\x7fELF"));
            assert_eq!(bytes[18], machine, "{architecture}");
            assert!(
                bytes.len() <= 512 * 1024,
                "{architecture}: {} bytes",
                bytes.len()
            );
        }
        assert!(launcher("riscv64").is_none());
    }
}
