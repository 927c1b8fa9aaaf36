use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_command_is_found_by_path_and_made_absolute() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    for directory in ["a/tool", "b", "c", "d"] {
        std::fs::create_dir_all(at(directory)).unwrap();
    }
    for (file, mode) in [("b/tool", 0o644), ("c/tool", 0o755), ("d/tool", 0o755)] {
        std::fs::write(at(file), "").unwrap();
        std::fs::set_permissions(at(file), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let found = |command: &OsStr, path: &str| {
        let path = path.replace('@', root.path().to_str().unwrap());
        look_up(command, OsStr::new(&path)).map_err(|error| error.to_string())
    };
    let tool = OsStr::new("tool");
    assert_eq!(
        found(tool, "@/nowhere:@/a:@/b:@/c:@/d"),
        Ok(at("c/tool")),
        "directories and plain files are passed by"
    );
    assert_eq!(
        found(at("d/tool").as_os_str(), ""),
        Ok(at("d/tool")),
        "a slash means no search"
    );

    let nowhere = "path lookup: `tool` is not an executable file in PATH";
    for path in ["", "@/a:@/b", "@/nowhere"] {
        assert_eq!(found(tool, path), Err(nowhere.to_owned()), "{path}");
    }
    assert!(found(OsStr::new(""), "@/c").is_err());
    for (file, problem) in [
        ("a/tool", "is a directory"),
        ("b/tool", "is not executable"),
        ("x", "does not exist"),
    ] {
        let error = found(at(file).as_os_str(), "").unwrap_err();
        assert!(error.ends_with(problem), "{error}");
    }
}

#[test]
fn a_command_below_the_current_directory_is_not_run_by_its_bare_name() {
    // Tests run in the package's directory, where there is no such file; cargo's own is found by no bare name.
    let error = look_up(OsStr::new("Cargo.toml"), OsStr::new(":.:")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "path lookup: `Cargo.toml` is not an executable file in PATH"
    );
}
