//! Landlock: which files the process can reach at all.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};
use rustix::fd::BorrowedFd;

/// The oldest version that is enough: it is the first that can forbid truncating.
const REQUIRED: ABI = ABI::V3;

/// The newest version that this program knows how to use, as far as the kernel has it.
const BEST: ABI = ABI::V6;

/// Something that stays within reach.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reachable<'fd> {
    /// A file that can be read.
    File(BorrowedFd<'fd>),
    /// A directory in which files can be read.
    Directory(BorrowedFd<'fd>),
    /// A directory in which files can be made, changed and removed too.
    WritableDirectory(BorrowedFd<'fd>),
}

/// Restricts the process to what is given.
pub(super) fn restrict(reachable: &[Reachable<'_>]) -> Result<(), String> {
    let status = try_restrict(reachable).map_err(|error| {
        format!(
            "this host cannot lock guests in: it has no Landlock of version 3 or later \
             (Linux 6.2, enabled in the kernel's list of security modules): {error}"
        )
    })?;
    match status {
        RulesetStatus::NotEnforced => {
            Err("this host cannot lock guests in: Landlock is not enforced".to_owned())
        }
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

fn try_restrict(reachable: &[Reachable<'_>]) -> Result<RulesetStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(REQUIRED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(BEST))?
        .handle_access(AccessNet::from_all(BEST))?
        .scope(Scope::from_all(BEST))?
        .create()?;
    for reachable in reachable {
        let (fd, access) = match reachable {
            Reachable::File(file) => (file, AccessFs::ReadFile.into()),
            Reachable::Directory(dir) => (dir, reading()),
            Reachable::WritableDirectory(dir) => (dir, writing()),
        };
        ruleset = ruleset.add_rule(PathBeneath::new(*fd, access))?;
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

fn reading() -> BitFlags<AccessFs> {
    AccessFs::ReadFile | AccessFs::ReadDir
}

/// All that makes, changes and removes files, directories and links; no programs, no special files.
fn writing() -> BitFlags<AccessFs> {
    reading()
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSym
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer
}
