//! Building: what is printed, and what is in the image.

use serde_json::Value;

use crate::support::{Place, exits, says};

/// Reads `path` inside an OCI layout as JSON, following the only manifest of its index.
fn manifest_and_config(place: &Place, layout: &str) -> (Value, Value) {
    let read = |relative: &str| -> Value {
        serde_json::from_slice(&std::fs::read(place.path(layout).join(relative)).unwrap()).unwrap()
    };
    let blob = |descriptor: &Value| {
        read(&format!(
            "blobs/sha256/{}",
            descriptor["digest"]
                .as_str()
                .unwrap()
                .trim_start_matches("sha256:")
        ))
    };
    let index = read("index.json");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
    let manifest = blob(&index["manifests"][0]);
    let config = blob(&manifest["config"]);
    (manifest, config)
}

#[test]
fn a_site_becomes_an_image_that_says_how_it_starts() {
    let place = Place::with_site();
    let ended = place.build("oci:image", &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let (_, config) = manifest_and_config(&place, "out/image");
    assert_eq!(config["os"], "linux");
    assert_eq!(
        config["config"]["Entrypoint"],
        serde_json::json!(["/cnb/process/web"])
    );
    assert_eq!(config["config"]["WorkingDir"], "/workspace");
    assert_eq!(config["created"], "1980-01-01T00:00:01Z");
    let label: Value = serde_json::from_str(
        config["config"]["Labels"]["io.buildpacks.build.metadata"]
            .as_str()
            .unwrap(),
    )
    .unwrap();
    assert_eq!(label["buildpacks"][0]["id"], "cnbw/static-site");
    let text = config.to_string();
    assert!(
        !text.contains(place.dir.path().to_str().unwrap()),
        "a path of the host is in the image: {text}"
    );
}

#[test]
fn standard_output_is_the_reference_and_standard_error_tells_the_story() {
    let place = Place::with_site();
    let ended = place.build("oci:image:v1", &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let line = ended.stdout.strip_suffix('\n').unwrap();
    let (name, digest) = line.rsplit_once('@').unwrap();
    assert_eq!(name, "oci:image:v1");
    assert!(
        digest
            .strip_prefix("sha256:")
            .is_some_and(|hex| hex.len() == 64),
        "{line}"
    );
    let mut rest = ended.stderr.as_str();
    for heading in [
        "===> ANALYZING",
        "===> DETECTING",
        "===> RESTORING",
        "===> BUILDING",
        "[cnbw/static-site]",
        "===> EXPORTING",
        "Built in ",
    ] {
        let at = rest
            .find(heading)
            .unwrap_or_else(|| panic!("`{heading}` is missing or out of order:\n{}", ended.stderr));
        rest = &rest[at..];
    }
    assert!(
        !ended.stderr.contains('\u{1b}'),
        "no terminal, no color: {:?}",
        ended.stderr
    );
}

#[test]
fn quiet_prints_the_reference_alone_and_json_is_one_document() {
    let place = Place::with_site();
    let ended = place.build("oci:image", &["--quiet"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let ended = place.build("oci:image", &["--json", "--quiet"]);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        report["images"][0]["buildpacks"][0]
            .as_str()
            .unwrap()
            .split('@')
            .next(),
        Some("cnbw/static-site")
    );
    assert_eq!(report["images"][0]["defaultProcess"], "web");
    assert!(report["digest"].as_str().unwrap().starts_with("sha256:"));
    assert!(!report["images"][0]["layers"].as_array().unwrap().is_empty());
}

#[test]
fn an_unchanged_application_gives_the_same_digest_and_reuses_its_layers() {
    let place = Place::with_site();
    let first = place.build("oci:image", &[]);
    let second = place.build("oci:image", &[]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert_eq!(first.stdout, second.stdout);
    assert!(second.stderr.contains("Reusing"), "{}", second.stderr);
}

#[test]
fn variables_reach_the_buildpack_and_files_of_variables_too() {
    let place = Place::with_site();
    place.write("site/pages/index.html", "<title>elsewhere</title>");
    place.write("vars", "# a comment\nBP_WEB_ROOT=pages\n");
    let vars = place.path("vars");
    let by_flag = place.build("oci:flag", &["--env", "BP_WEB_ROOT=pages"]);
    let by_file = place.build("oci:file", &["--env-file", vars.to_str().unwrap()]);
    let without = place.build("oci:without", &[]);
    let digest = |ended: &crate::support::Ended| {
        ended
            .stdout
            .rsplit_once('@')
            .map(|(_, digest)| digest.to_owned())
    };
    assert_eq!(by_flag.code, Some(0), "{}", by_flag.stderr);
    assert_eq!(digest(&by_flag), digest(&by_file), "{}", by_file.stderr);
    assert_ne!(digest(&by_flag), digest(&without));
}

#[test]
fn a_project_descriptor_excludes_files_and_sets_variables() {
    let place = Place::with_site();
    place.write("site/secret.txt", "not for the image");
    place.write("site/public2/index.html", "<title>p</title>");
    place.write("site/project.toml", "[_]\nschema-version = \"0.2\"\n[io.buildpacks]\nexclude = [\"secret.txt\"]\n[[io.buildpacks.build.env]]\nname = \"BP_WEB_ROOT\"\nvalue = \"public2\"\n");
    let ended = place.build("oci:image", &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let found = walk(&place.path("out/image/blobs/sha256"))
        .iter()
        .any(|blob| {
            String::from_utf8_lossy(&std::fs::read(blob).unwrap()).contains("not for the image")
        });
    assert!(!found, "an excluded file is in a layer");
    assert!(ended.stderr.contains("public2"), "{}", ended.stderr);
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn own_buildpacks_run_in_the_order_given() {
    let place = Place::with_site();
    let one = place.buildpack("one", &exits(0), &says("first", 0));
    let two = place.buildpack("two", &exits(0), &says("second", 0));
    let ended = place.build("oci:image", &["-b", &two, "-b", &one]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let (second, first) = (
        ended.stderr.find("[test/two] second").unwrap(),
        ended.stderr.find("[test/one] first").unwrap(),
    );
    assert!(second < first, "{}", ended.stderr);
}

#[test]
fn tags_name_the_same_image() {
    let place = Place::with_site();
    let ended = place.build("oci:image:one", &["--tag", "oci:image:two"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let index: Value =
        serde_json::from_slice(&std::fs::read(place.path("out/image/index.json")).unwrap())
            .unwrap();
    let names: Vec<(&str, &str)> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            (
                entry["annotations"]["org.opencontainers.image.ref.name"]
                    .as_str()
                    .unwrap(),
                entry["digest"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        names.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["one", "two"]
    );
    assert_eq!(names[0].1, names[1].1);
}

#[test]
fn a_report_is_written_where_it_is_wanted() {
    let place = Place::with_site();
    let folder = place.path("report");
    std::fs::create_dir(&folder).unwrap();
    let ended = place.build(
        "oci:image",
        &["--report-output-dir", folder.to_str().unwrap()],
    );
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report = std::fs::read_to_string(folder.join("report.toml")).unwrap();
    assert!(
        report.contains("[image]") && report.contains("manifest-size"),
        "{report}"
    );
}
