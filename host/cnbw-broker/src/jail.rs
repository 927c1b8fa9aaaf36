//! Locks the broker process in. It parses no byte of a guest; this is for the day on which a fault in TLS or HTTP turns
//! up: what is left is the network, the store, and what every program reads.

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
};
use rustix::fd::BorrowedFd;
use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// What looking names up reads: configuration, libraries, and the sockets of local resolvers.
const READABLE: [&str; 7] = ["/etc", "/usr", "/lib", "/lib64", "/run", "/nix", "/gnu"];

/// What every looked up name may write to.
const DEVICES: [&str; 2] = ["/dev/null", "/dev/urandom"];

/// Enters the jail. On hosts without Landlock the rest of it holds.
pub(crate) fn enter(store: BorrowedFd<'_>) -> Result<(), String> {
    // Nobody looks into the memory that credentials are in, and it lands in no file.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| format!("cannot close its memory: {error}"))?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)
        .map_err(|error| format!("cannot limit core files: {error}"))?;
    drop_capabilities();
    rustix::thread::set_no_new_privs(true)
        .map_err(|error| format!("cannot give up new privileges: {error}"))?;
    restrict_files(store).map_err(|error| format!("cannot restrict its files: {error}"))
}

fn restrict_files(store: BorrowedFd<'_>) -> Result<(), RulesetError> {
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let writing = reading
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::Refer;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V6))?
        .create()?
        .add_rule(PathBeneath::new(store, writing))?;
    for path in READABLE {
        if let Ok(dir) = PathFd::new(path) {
            ruleset = ruleset.add_rule(PathBeneath::new(dir, reading))?;
        }
    }
    for path in DEVICES {
        if let Ok(device) = PathFd::new(path) {
            let access = AccessFs::ReadFile | AccessFs::WriteFile;
            ruleset = ruleset.add_rule(PathBeneath::new(device, access))?;
        }
    }
    ruleset.restrict_self().map(drop)
}

/// Gives up what root may do. The store is its own.
fn drop_capabilities() {
    let empty = CapabilitySet::empty();
    let _has_none = rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: empty,
            permitted: empty,
            inheritable: empty,
        },
    );
}
