//! Software bills of materials: which file is for what, in which format.

/// A format of an SBOM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SbomFormat {
    /// CycloneDX.
    CycloneDx,
    /// SPDX.
    Spdx,
    /// Syft.
    Syft,
}

/// What an SBOM file in a buildpack's layers directory is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SbomSubject {
    /// `launch.sbom.*`.
    Launch,
    /// `build.sbom.*`.
    Build,
    /// `<layer>.sbom.*`: the text before the first period.
    Layer(String),
}

impl SbomFormat {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::CycloneDx, Self::Spdx, Self::Syft];

    /// Media type, as `sbom-formats` of a descriptor declares it.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::CycloneDx => "application/vnd.cyclonedx+json",
            Self::Spdx => "application/spdx+json",
            Self::Syft => "application/vnd.syft+json",
        }
    }

    /// Name of the file in an image: `sbom.cdx.json`.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::CycloneDx => "sbom.cdx.json",
            Self::Spdx => "sbom.spdx.json",
            Self::Syft => "sbom.syft.json",
        }
    }

    /// The format of a file by the end of its name.
    pub fn of_file(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| {
            name.strip_suffix(format.file_name())
                .is_some_and(|rest| rest.ends_with('.'))
        })
    }

    /// Whether a descriptor's `sbom-formats` entry declares this format; parameters are ignored.
    pub fn is_declared_as(self, declared: &str) -> bool {
        let media_type = declared.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case(self.media_type())
    }
}

/// Whether a file in a layers directory counts as an SBOM: its name matches `*.sbom.*.json`.
pub fn is_sbom_file(name: &str) -> bool {
    let Some(rest) = name.strip_suffix(".json") else {
        return false;
    };
    // The middle part may be empty but not shared with either neighbor.
    rest.rfind(".sbom.").is_some()
}

/// What an SBOM file is about.
pub fn sbom_subject(name: &str) -> SbomSubject {
    match name.split('.').next().unwrap_or_default() {
        "launch" => SbomSubject::Launch,
        "build" => SbomSubject::Build,
        layer => SbomSubject::Layer(layer.to_owned()),
    }
}
