use cap_std::ambient_authority;
use tempfile::TempDir;

use super::*;

const MODULE: &[u8] = b"\0asm\x01\0\0\0";

fn buildpack(files: &[(&str, &[u8])]) -> (TempDir, Dir) {
    let directory = TempDir::new().unwrap();
    let dir = Dir::open_ambient_dir(directory.path(), ambient_authority()).unwrap();
    dir.create_dir("bin").unwrap();
    for (path, bytes) in files {
        dir.write(path, bytes).unwrap();
    }
    (directory, dir)
}

fn read(dir: &Dir) -> Result<ProgramFile, GuestFault> {
    read_program(dir, Program::Detect, &Limits::default())
}

#[test]
fn a_program_named_wasm_goes_before_one_without_extension() {
    let (_directory, dir) = buildpack(&[("bin/detect", b"#!/bin/sh"), ("bin/detect.wasm", MODULE)]);
    assert_eq!(read(&dir).unwrap().path, "bin/detect.wasm");
    let (_directory, dir) = buildpack(&[("bin/detect", MODULE)]);
    assert_eq!(read(&dir).unwrap().path, "bin/detect");
}

#[test]
fn a_missing_program_is_named() {
    let (_directory, dir) = buildpack(&[]);
    assert_eq!(
        read(&dir).unwrap_err(),
        GuestFault::NoProgram {
            wanted: "bin/detect".into()
        }
    );
}

#[test]
fn a_link_inside_the_buildpack_is_followed() {
    let (_directory, dir) = buildpack(&[("bin/main", MODULE)]);
    dir.symlink("main", "bin/detect").unwrap();
    assert_eq!(read(&dir).unwrap().path, "bin/detect");
}

#[test]
fn links_that_lead_out_or_nowhere_and_special_files_are_refused() {
    let outside = TempDir::new().unwrap();
    let target = outside.path().join("detect");
    Dir::open_ambient_dir(outside.path(), ambient_authority())
        .unwrap()
        .write("detect", MODULE)
        .unwrap();
    let (directory, dir) = buildpack(&[]);
    std::os::unix::fs::symlink(&target, directory.path().join("bin/detect")).unwrap();
    let reason = |fault| {
        let GuestFault::Unloadable { reason, .. } = fault else {
            panic!("{fault:?}");
        };
        reason
    };
    assert_eq!(
        reason(read(&dir).unwrap_err()),
        "it is a link that leads out of the buildpack's directory"
    );
    dir.remove_file("bin/detect").unwrap();
    dir.symlink("nothing", "bin/detect").unwrap();
    assert_eq!(reason(read(&dir).unwrap_err()), "it is a link to nothing");
    dir.remove_file("bin/detect").unwrap();
    rustix::fs::mknodat(
        &dir,
        "bin/detect",
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    assert_eq!(reason(read(&dir).unwrap_err()), "it is not a regular file");
}

#[test]
fn the_typed_program_is_reserved() {
    let (_directory, dir) = buildpack(&[("buildpack.wasm", MODULE), ("bin/detect", MODULE)]);
    let fault = read(&dir).unwrap_err();
    assert!(fault.to_string().contains("typed world"), "{fault}");
}

#[test]
fn a_program_at_the_size_limit_passes_and_one_above_is_refused() {
    let mut bytes = MODULE.to_vec();
    bytes.resize(100, 0);
    let (_directory, dir) = buildpack(&[("bin/detect", &bytes)]);
    let limits = |program_size| Limits {
        program_size,
        ..Limits::default()
    };
    assert!(read_program(&dir, Program::Detect, &limits(100)).is_ok());
    let fault = read_program(&dir, Program::Detect, &limits(99)).unwrap_err();
    assert!(fault.to_string().contains("99 bytes"), "{fault}");
}

#[test]
fn what_is_no_webassembly_is_named_for_what_it_is() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "an empty file"),
        (b"\x7fELF\x02\x01\x01\x00\0\0", "a native executable (ELF)"),
        (
            b"\x7fELF\x02\x01\x01\xc8\0\0",
            "a precompiled program (.cwasm), which holds native code",
        ),
        (b"\xcf\xfa\xed\xfe\x07", "a native executable (Mach-O)"),
        (b"\xca\xfe\xba\xbe\0\0", "a native executable (Mach-O)"),
        (b"MZ\x90\0", "a native executable (PE)"),
        (b"\0as", "a truncated WebAssembly file"),
        (
            b"#!/usr/bin/env bash\nset -e\n",
            "a script (`#!/usr/bin/env bash`)",
        ),
        (b"#!/bin/sh\x1b[31m\n", "a script (`#!/bin/sh\\u{1b}[31m`)"),
        (
            b"  (module)",
            "WebAssembly text, which must be assembled first",
        ),
        (b"hello\n", "a text file"),
        (b"a\0b", "a file of an unknown kind"),
        (b"\xff\xfe\x00", "a file of an unknown kind"),
    ];
    for (bytes, found) in cases {
        let fault = check_kind("bin/detect", bytes).unwrap_err();
        assert_eq!(
            fault,
            GuestFault::NotWebAssembly {
                path: "bin/detect".into(),
                found: (*found).into()
            },
            "{bytes:?}"
        );
    }
}

#[test]
fn headers_of_webassembly_are_checked() {
    for good in [MODULE, b"\0asm\x0d\0\x01\0".as_slice()] {
        check_kind("p", good).unwrap();
    }
    for (bad, word) in [
        (b"\0asm\x01\0".as_slice(), "truncated"),
        (b"\0asm\x02\0\0\0", "version"),
    ] {
        let fault = check_kind("p", bad).unwrap_err();
        assert!(fault.to_string().contains(word), "{fault}");
    }
}
