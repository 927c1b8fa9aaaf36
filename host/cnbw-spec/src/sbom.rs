//! Software bills of materials: which file is for what, in which format.

/// A format of an SBOM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SbomFormat {
    /// `CycloneDX`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_name_decides_the_format() {
        let cases = [
            ("l.sbom.cdx.json", Some(SbomFormat::CycloneDx)),
            ("a.b.sbom.spdx.json", Some(SbomFormat::Spdx)),
            (".sbom.syft.json", Some(SbomFormat::Syft)),
            ("sbom.cdx.json", None),
            ("xsbom.cdx.json", None),
            ("l.sbom.foo.json", None),
            ("l.sbom.cdx.json.bak", None),
        ];
        for (name, expected) in cases {
            assert_eq!(SbomFormat::of_file(name), expected, "{name}");
        }
    }

    #[test]
    fn files_of_unknown_formats_count_as_sboms_too() {
        let cases = [
            ("l.sbom.foo.json", true),
            ("l.sbom.cdx.json", true),
            (".sbom..json", true),
            ("l.sbom.json", false),
            ("l.sbom.cdx.xml", false),
            ("l.toml", false),
        ];
        for (name, expected) in cases {
            assert_eq!(is_sbom_file(name), expected, "{name}");
        }
    }

    #[test]
    fn the_text_before_the_first_period_is_the_subject() {
        assert_eq!(sbom_subject("launch.sbom.cdx.json"), SbomSubject::Launch);
        assert_eq!(sbom_subject("build.sbom.cdx.json"), SbomSubject::Build);
        let layer = |name: &str| SbomSubject::Layer(name.to_owned());
        assert_eq!(sbom_subject("a.b.sbom.cdx.json"), layer("a"));
        assert_eq!(sbom_subject("launcher.sbom.cdx.json"), layer("launcher"));
    }

    #[test]
    fn parameters_and_case_of_a_media_type_do_not_matter() {
        let format = SbomFormat::CycloneDx;
        assert!(format.is_declared_as("application/vnd.cyclonedx+json"));
        assert!(format.is_declared_as("Application/vnd.CycloneDX+json ; version=1.4"));
        assert!(!format.is_declared_as("application/spdx+json"));
        assert!(!format.is_declared_as(""));
    }
}
