//! What an application says of itself in `project.toml`.

use crate::support::{Place, assert_refused, exits};

const GROUP: &str =
    "[_]\nschema-version = \"0.2\"\n[[io.buildpacks.group]]\nid = \"cnbw/static-site\"\n";

// shows: project-003
#[test]
fn a_group_replaces_the_order_of_the_builder() {
    let place = Place::with_site();
    place.write("site/project.toml", GROUP);
    let ended = place.build("oci:image", &["--verbose"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("cnbw/static-site"),
        "{}",
        ended.stderr
    );

    // Every member is required, and each is looked for as it is named.
    let place = Place::with_site();
    place.write(
        "site/project.toml",
        format!("{GROUP}[[io.buildpacks.group]]\nid = \"cnbw/none-such\"\n"),
    );
    assert_refused(&place, &place.build("app", &[]), 1, &["cnbw/none-such"]);

    // A group that is named outright wins over it.
    let place = Place::with_site();
    place.write("site/project.toml", GROUP);
    let own = place.buildpack("own", &exits(100), &exits(0));
    let ended = place.build("app", &["--buildpack", &own]);
    assert_eq!(ended.code, Some(20), "{}", ended.stderr);
    assert!(ended.stderr.contains("test/own"), "{}", ended.stderr);
}

// shows: project-007
#[test]
fn variables_reach_the_buildpacks_and_arguments_win_over_them() {
    let place = Place::with_site();
    place.write("site/one/index.html", "one");
    place.write("site/two/index.html", "two");
    place.write(
        "site/project.toml",
        "[_]\nschema-version = \"0.2\"\n[[io.buildpacks.build.env]]\nname = \"BP_WEB_ROOT\"\nvalue = \"one\"\n",
    );
    let ended = place.build("oci:a", &[]);
    assert!(ended.stderr.contains("Serving `one/`"), "{}", ended.stderr);
    let ended = place.build("oci:b", &["--env", "BP_WEB_ROOT=two"]);
    assert!(ended.stderr.contains("Serving `two/`"), "{}", ended.stderr);
}

// shows: project-010
#[test]
fn unknown_keys_are_warned_of_and_the_build_goes_on() {
    let place = Place::with_site();
    place.write(
        "site/project.toml",
        "[_]\nschema-version = \"0.2\"\n[io.buildpacks]\nfoo = 1\n",
    );
    let ended = place.build("oci:image", &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("unknown key `io.buildpacks.foo`"),
        "{}",
        ended.stderr
    );
    place.write("site/project.toml", "[project]\nid = \"x\"\n");
    let ended = place.build("oci:image", &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("schema-version"), "{}", ended.stderr);
}

// shows: project-013
#[test]
fn another_descriptor_can_be_named() {
    let place = Place::with_site();
    place.write("site/project.toml", "[[[");
    place.write("site/public/index.html", "here");
    place.write(
        "other.toml",
        "[_]\nschema-version = \"0.2\"\n[[io.buildpacks.build.env]]\nname = \"BP_WEB_ROOT\"\nvalue = \"public\"\n",
    );
    assert_refused(&place, &place.build("app", &[]), 1, &["project.toml"]);
    let other = place.path("other.toml");
    let ended = place.build("oci:image", &["--descriptor", other.to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("Serving `public/`"),
        "{}",
        ended.stderr
    );
}

// shows: project-014
#[test]
fn what_is_meant_for_other_execution_environments_does_not_count() {
    let place = Place::with_site();
    place.write("site/one/index.html", "one");
    place.write("site/two/index.html", "two");
    place.write(
        "site/project.toml",
        "[_]\nschema-version = \"0.3\"\n\
         [[io.buildpacks.group]]\nid = \"cnbw/none-such\"\nexec-env = [\"test\"]\n\
         [[io.buildpacks.group]]\nid = \"cnbw/static-site\"\nexec-env = [\"production\"]\n\
         [[io.buildpacks.build.env]]\nname = \"BP_WEB_ROOT\"\nvalue = \"one\"\nexec-env = [\"production\"]\n\
         [[io.buildpacks.build.env]]\nname = \"BP_WEB_ROOT\"\nvalue = \"two\"\nexec-env = [\"test\"]\n",
    );
    let ended = place.build("oci:image", &[]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("Serving `one/`"), "{}", ended.stderr);
}
