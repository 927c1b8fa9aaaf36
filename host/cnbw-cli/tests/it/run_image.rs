//! Run images from packages that are in the store already.

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use cnbw_broker::Store;

use crate::support::{Ended, Place, assert_refused};

fn tar(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, mode, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A Debian package.
fn deb(name: &str, files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let control = format!("Package: {name}\nVersion: 1\n");
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        (
            "control.tar",
            tar(&[("control", 0o644, control.as_bytes())]),
        ),
        ("data.tar", tar(files)),
    ];
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let length = content.len();
        assert_eq!(length % 2, 0, "nothing to pad");
        bytes.extend(format!("{name:<16}0           0     0     100644  {length:<10}`\n").bytes());
        bytes.extend(content);
    }
    bytes
}

/// A list of the packages, which are put into the store of the place.
fn stored(place: &Place, packages: &[(&str, Vec<u8>)]) -> String {
    let path = place.path("cache/cnbw/artifacts");
    std::fs::create_dir_all(&path).unwrap();
    let store = Store::open(Dir::open_ambient_dir(path, ambient_authority()).unwrap()).unwrap();
    let mut list =
        "version = 1\nsuite = \"trixie\"\nrelease = \"13\"\nsnapshot = \"\"\n".to_owned();
    for (name, bytes) in packages {
        let mut writer = store.writer(None).unwrap();
        writer.write(bytes).unwrap();
        let blob = writer.finish().unwrap().unwrap();
        let digest = blob.digest.as_str().replace("sha256:", "");
        for architecture in ["amd64", "arm64"] {
            let entry = format!(
                "[[package.{architecture}]]\nname = \"{name}\"\nversion = \"1\"\nurl = \"https://deb.invalid/{name}.deb\"\nsha256 = \"{digest}\"\nsize = {}\n",
                bytes.len()
            );
            list.push_str(&entry);
        }
    }
    list
}

fn create(place: &Place, args: &[&str]) -> Ended {
    let args = [&["run-image", "create"], args].concat();
    let mut command = place.command(&args);
    command.env("XDG_CACHE_HOME", place.path("cache"));
    // What is not in the store is not to be had.
    command.env("HTTPS_PROXY", "http://127.0.0.1:1");
    crate::support::finished(&mut command)
}

#[test]
fn a_list_of_packages_becomes_a_valid_image_that_applications_stand_on() {
    let place = Place::with_site();
    let list = stored(
        &place,
        &[
            ("base", deb("base", &[("usr/bin/sh", 0o755, b"#!")])),
            ("lib", deb("lib", &[("usr/lib/lib.so", 0o644, b"lib")])),
        ],
    );
    place.write("run.lock", list);
    let lock = place.path("run.lock");
    let lock = lock.to_str().unwrap();
    let first = create(&place, &["oci:run", "--lock", lock]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let (_, digest) = first.stdout.trim_end().split_once('@').unwrap();
    let again = create(&place, &["oci:again", "--lock", lock, "--json"]);
    assert!(again.stdout.contains(digest), "{}", again.stdout);

    for image in ["oci:run", "oci:again"] {
        let valid = place.cnbw(&["image", "validate", image]);
        assert_eq!(valid.code, Some(0), "{}", valid.stderr);
    }
    let built = place.build("oci:app", &["--run-image", "oci:run"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let valid = place.cnbw(&["image", "validate", "oci:app"]);
    assert_eq!(valid.code, Some(0), "{}", valid.stderr);

    let both = create(
        &place,
        &[
            "oci:both",
            "--lock",
            lock,
            "--platform",
            "linux/amd64,linux/arm64",
        ],
    );
    assert_eq!(both.code, Some(0), "{}", both.stderr);
    let index = std::fs::read_to_string(place.path("out/both/index.json")).unwrap();
    assert!(index.contains("image.index"), "{index}");
}

#[test]
fn what_cannot_be_made_leaves_nothing() {
    let place = Place::empty();
    let list = stored(&place, &[("base", deb("base", &[]))]);
    place.write("run.lock", &list);
    let lock = place.path("run.lock");
    let lock = lock.to_str().unwrap();
    for (image, more, words) in [
        ("oci:x", vec!["--platform", "linux/riscv64"], "`riscv64`"),
        ("oci:x", vec!["--platform", "windows/amd64"], "windows"),
    ] {
        let ended = create(&place, &[&[image, "--lock", lock][..], &more].concat());
        assert_refused(&place, &ended, 1, &[words]);
    }
    place.write("run.lock", list.replace("sha256 = \"", "sha256 = \"0"));
    let ended = create(&place, &["oci:x", "--lock", lock]);
    assert_refused(&place, &ended, 1, &["run.lock", "`base` has no SHA-256"]);

    let other = "sha256 = \"".to_owned() + &"0".repeat(64);
    let start = list.find("sha256 = ").unwrap();
    let mut list = list;
    list.replace_range(start..start + other.len(), &other);
    place.write("run.lock", &list);
    let ended = create(
        &place,
        &["oci:x", "--lock", lock, "--platform", "linux/amd64"],
    );
    assert_refused(&place, &ended, 1, &["the package `base` 1", "deb.invalid"]);
    assert_eq!(place.outputs(), Vec::<String>::new());

    let ended = create(&place, &["oci:x", "--lock", "nowhere.lock"]);
    assert_refused(&place, &ended, 1, &["nowhere.lock"]);
    assert_eq!(create(&place, &["oci:x", "--update"]).code, Some(2));
    assert_eq!(create(&place, &["oci:x", "--package", "x"]).code, Some(2));
}
