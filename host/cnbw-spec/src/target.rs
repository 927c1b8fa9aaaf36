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

#[cfg(test)]
mod tests {
    use super::*;

    fn distro(text: &str) -> Distro {
        let (name, version) = text.split_once(' ').unwrap_or((text, ""));
        Distro {
            name: name.to_owned(),
            version: version.to_owned(),
        }
    }

    fn parts(text: &str) -> [String; 3] {
        let mut parts = text.split('/').map(str::to_owned);
        std::array::from_fn(|_| parts.next().unwrap_or_default())
    }

    fn target(text: &str, distros: &[&str]) -> Target {
        let [os, arch, variant] = parts(text);
        let distros = distros.iter().map(|text| distro(text)).collect();
        Target {
            os,
            arch,
            variant,
            distros,
        }
    }

    fn base(text: &str, with: Option<&str>) -> TargetMetadata {
        let [os, arch, variant] = parts(text);
        let distro = with.map(distro);
        TargetMetadata {
            id: String::new(),
            os,
            arch,
            variant,
            distro,
        }
    }

    #[test]
    fn what_one_side_leaves_open_matches() {
        let ubuntu = Some("ubuntu 22.04");
        let cases = [
            (target("", &[]), base("linux/amd64", None), true),
            (target("linux", &[]), base("linux/arm64", None), true),
            (target("linux/amd64", &[]), base("linux/arm64", None), false),
            (
                target("linux/arm/v7", &[]),
                base("linux/arm/v6", None),
                false,
            ),
            (target("linux/arm/v7", &[]), base("linux/arm", None), true),
            (
                target("linux", &["ubuntu 20.04", "ubuntu 22.04"]),
                base("linux/amd64", ubuntu),
                true,
            ),
            (
                target("linux", &["alpine 3.18"]),
                base("linux/amd64", ubuntu),
                false,
            ),
            (
                target("linux", &["ubuntu"]),
                base("linux/amd64", ubuntu),
                true,
            ),
            (
                target("linux", &["ubuntu 22.04"]),
                base("linux/amd64", Some("ubuntu")),
                true,
            ),
            (
                target("linux", &["ubuntu"]),
                base("linux/amd64", None),
                false,
            ),
        ];
        for (target, base, expected) in cases {
            assert_eq!(
                target.is_satisfied_by(&base),
                expected,
                "{target:?} {base:?}"
            );
        }
    }

    #[test]
    fn a_rebase_needs_the_same_system_and_what_the_new_base_says_of_its_distribution() {
        let ubuntu = Some("ubuntu 22.04");
        let cases = [
            (base("linux/amd64", None), base("linux/amd64", ubuntu), true),
            (
                base("linux/amd64", ubuntu),
                base("linux/amd64", None),
                false,
            ),
            (
                base("linux/amd64", ubuntu),
                base("linux/amd64", ubuntu),
                true,
            ),
            (
                base("linux/amd64", Some("ubuntu")),
                base("linux/amd64", ubuntu),
                true,
            ),
            (
                base("linux/amd64", ubuntu),
                base("linux/amd64", Some("ubuntu")),
                false,
            ),
            (
                base("linux/amd64", Some("ubuntu 24.04")),
                base("linux/amd64", ubuntu),
                false,
            ),
            (base("linux/amd64", None), base("linux", None), false),
            (base("linux/arm/v7", None), base("linux/arm", None), true),
            (
                base("linux/arm/v7", None),
                base("linux/arm/v6", None),
                false,
            ),
        ];
        for (new, app, expected) in cases {
            assert_eq!(new.accepts_rebase_of(&app), expected, "{new:?} {app:?}");
        }
    }
}
