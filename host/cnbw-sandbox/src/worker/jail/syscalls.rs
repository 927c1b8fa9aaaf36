//! seccomp: which system calls the process can make. Everything that is not listed is refused.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type FilterResult<T> = Result<T, seccompiler::BackendError>;

/// Calls that are allowed whatever their arguments.
const ALLOWED: &[i64] = &[
    // Files, below directories that are open already.
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_close,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_lseek,
    libc::SYS_ftruncate,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_umask,
    libc::SYS_fcntl,
    libc::SYS_dup,
    // Memory.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_memfd_create,
    // Threads of this process. `clone` is restricted below.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_membarrier,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_gettid,
    libc::SYS_getpid,
    // Signals of this process. `kill` and `tgkill` are restricted below.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Time and chance.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    // The socket to the parent, from where further jobs come with their directories. No socket can be made, and
    // no descriptor sent.
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    // What libraries ask about the machine.
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
];

/// Flags that `clone` has for a thread of the same process, all of which must be there.
const THREAD_FLAGS: u64 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD) as u64;

/// Flags of `clone` that make namespaces, none of which may be there.
const NAMESPACE_FLAGS: u64 = (libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP) as u64;

/// Installs the filters. Threads that are started later have them too.
pub(super) fn restrict() -> Result<(), String> {
    let programs = filters().map_err(|error| format!("cannot make the filters: {error}"))?;
    for program in &programs {
        seccompiler::apply_filter(program)
            .map_err(|error| format!("cannot filter system calls: {error}"))?;
    }
    Ok(())
}

fn filters() -> FilterResult<[BpfProgram; 2]> {
    let arch: TargetArch = std::env::consts::ARCH.try_into()?;
    // `clone3` hides its flags behind a pointer. Libraries that are told that it is not there use `clone`.
    let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
    let missing = SeccompAction::Errno(errno(libc::ENOSYS));
    let clone3 = SeccompFilter::new(clone3, SeccompAction::Allow, missing, arch)?;
    let refused = SeccompAction::Errno(errno(libc::EPERM));
    let allowed = SeccompFilter::new(allowed()?, refused, SeccompAction::Allow, arch)?;
    Ok([clone3.try_into()?, allowed.try_into()?])
}

fn errno(number: libc::c_int) -> u32 {
    number.unsigned_abs()
}

fn allowed() -> FilterResult<Rules> {
    let mut rules: Rules = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    // The other filter answers for it.
    rules.insert(libc::SYS_clone3, Vec::new());
    rules.insert(
        libc::SYS_clone,
        vec![rule([
            (0, Length::Qword, Op::MaskedEq(THREAD_FLAGS), THREAD_FLAGS),
            (0, Length::Qword, Op::MaskedEq(NAMESPACE_FLAGS), 0),
        ])?],
    );
    let own = u64::from(std::process::id());
    for call in [libc::SYS_kill, libc::SYS_tgkill] {
        rules.insert(call, vec![rule([(0, Length::Dword, Op::Eq, own)])?]);
    }
    // Names of threads and of memory. Nothing that undoes what the jail set up.
    let names = [
        libc::PR_SET_NAME.unsigned_abs(),
        libc::PR_SET_VMA.unsigned_abs(),
    ];
    let names = names.map(|name| rule([(0, Length::Dword, Op::Eq, u64::from(name))]));
    rules.insert(
        libc::SYS_prctl,
        names.into_iter().collect::<FilterResult<_>>()?,
    );
    // Reading limits of the process itself, not setting them, and of no other.
    let read_own = [(0, Length::Dword, Op::Eq, 0), (2, Length::Qword, Op::Eq, 0)];
    rules.insert(libc::SYS_prlimit64, vec![rule(read_own)?]);
    Ok(rules)
}

fn rule<const N: usize>(conditions: [(u8, Length, Op, u64); N]) -> FilterResult<SeccompRule> {
    let conditions = conditions
        .into_iter()
        .map(|(argument, length, operator, value)| {
            SeccompCondition::new(argument, length, operator, value)
        })
        .collect::<FilterResult<Vec<_>>>()?;
    SeccompRule::new(conditions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_compile_for_this_machine() {
        let [clone3, allowed] = filters().unwrap();
        assert!(!clone3.is_empty());
        assert!(allowed.len() > ALLOWED.len());
    }

    #[test]
    fn ways_out_are_not_on_the_list() {
        let rules = allowed().unwrap();
        for call in [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_socket,
            libc::SYS_socketpair,
            libc::SYS_connect,
            libc::SYS_sendmsg,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_getfd,
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_chroot,
            libc::SYS_mknodat,
            libc::SYS_fchownat,
            libc::SYS_setxattr,
            libc::SYS_bpf,
            libc::SYS_io_uring_setup,
            libc::SYS_userfaultfd,
            libc::SYS_keyctl,
            libc::SYS_perf_event_open,
            libc::SYS_ioctl,
            libc::SYS_capset,
            libc::SYS_seccomp,
            libc::SYS_init_module,
            libc::SYS_setuid,
        ] {
            assert!(!rules.contains_key(&call), "{call}");
        }
    }
}
