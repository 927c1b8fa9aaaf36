//! What an image is for: operating system, architecture, distribution; and who fits whom.

/// A distribution of an operating system. An empty field matches anything.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Distro {
    /// Such as `ubuntu`.
    pub name: String,
    /// Such as `24.04`.
    pub version: String,
}

/// A target that a buildpack declares. An empty field matches anything.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Target {
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub arch: String,
    /// Such as `v8`. Read from `arch-variant` and, as the specification spells it, `variant`.
    pub variant: String,
    /// Distributions; none means any.
    pub distros: Vec<Distro>,
}

/// The target of a run image: what was found in its configuration and labels.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TargetMetadata {
    /// Value of the label `io.buildpacks.base.id`; may be empty.
    pub id: String,
    /// Operating system.
    pub os: String,
    /// Architecture.
    pub arch: String,
    /// Variant of the architecture; may be empty.
    pub variant: String,
    /// Distribution, if known.
    pub distro: Option<Distro>,
}

impl Target {
    /// Whether a buildpack that declares this target may build for `base`.
    ///
    /// Fields that one side leaves empty match; a declared distribution must be matched by a known one.
    pub fn is_satisfied_by(&self, base: &TargetMetadata) -> bool {
        fits(&base.os, &self.os)
            && fits(&base.arch, &self.arch)
            && fits(&base.variant, &self.variant)
            && (self.distros.is_empty()
                || base.distro.as_ref().is_some_and(|distro| {
                    self.distros.iter().any(|wanted| {
                        fits(&distro.name, &wanted.name) && fits(&distro.version, &wanted.version)
                    })
                }))
    }
}

impl TargetMetadata {
    /// Whether an application built for `app` may be put onto a run image with this target.
    pub fn accepts_rebase_of(&self, app: &Self) -> bool {
        if self.os != app.os || self.arch != app.arch || !fits(&self.variant, &app.variant) {
            return false;
        }
        let Some(distro) = &self.distro else {
            return true;
        };
        app.distro.as_ref().is_some_and(|app_distro| {
            (distro.name.is_empty() || distro.name == app_distro.name)
                && (distro.version.is_empty() || distro.version == app_distro.version)
        })
    }
}

fn fits(one: &str, other: &str) -> bool {
    one.is_empty() || other.is_empty() || one == other
}
