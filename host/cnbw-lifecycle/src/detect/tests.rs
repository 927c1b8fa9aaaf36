use cnbw_spec::order::parse_order;
use cnbw_spec::plan::print_plan;
use cnbw_spec::system::parse_system;

use super::*;
use crate::ports::Access;
use crate::scripted::{Which, World, read_guest, variable};

/// Groups are separated by `|`, `?a` is optional.
fn order(text: &str) -> Order {
    let element = |element: &str| {
        let (optional, id) = match element.strip_prefix('?') {
            Some(id) => (true, id),
            None => (false, element),
        };
        format!("[[order.group]]\nid = \"{id}\"\nversion = \"1\"\noptional = {optional}\n")
    };
    let group = |group: &str| {
        let elements = group.split_whitespace().map(element).collect::<String>();
        format!("[[order]]\n{elements}")
    };
    let toml: String = text.split('|').map(group).collect();
    parse_order("order.toml", toml.as_bytes()).unwrap()
}

fn detect_at(world: &World, api: PlatformApi, order: &Order) -> Result<Detected, DetectError> {
    let programs = world.programs();
    let request = DetectRequest {
        platform_api: api,
        order,
        system: &System::default(),
        buildpacks: &world.buildpacks(),
        extensions: &world.extensions(),
        programs: &programs,
        workers: 2,
        limits: DetectLimits::default(),
    };
    detect(&request, world, world)
}

fn run(world: &World, text: &str) -> Result<Detected, DetectError> {
    detect_at(world, PlatformApi::V0_15, &order(text))
}

/// Ids of the chosen group, or the exit status.
fn chosen(world: &World, text: &str) -> Result<String, u8> {
    let detected = run(world, text).map_err(|error| error.exit_code())?;
    let ids = detected
        .group
        .group
        .iter()
        .map(|it| it.buildpack.id.to_string());
    Ok(ids.collect::<Vec<_>>().join(" "))
}

/// Buildpacks `a` to `e` with exit statuses 0, 100, 1, 0, 0; `f` is composite.
fn world() -> World {
    let mut world = World::new();
    for (id, status, plan) in [
        ("a", 0, ""),
        ("b", 100, "not = = toml"),
        ("c", 1, ""),
        (
            "d",
            0,
            "[[requires]]\nname = \"x\"\n[requires.metadata]\nv = \"1\"\n",
        ),
        ("e", 0, "[[provides]]\nname = \"x\"\n"),
        ("bad", 0, "bad = = toml"),
        ("old", 0, "[[requires]]\nname = \"x\"\nversion = \"1\"\n"),
    ] {
        world.buildpack(id, "0.12", "");
        world.detect(id, status, plan);
    }
    world
}

#[test]
fn verdicts_are_those_of_the_specification() {
    let mut world = world();
    world.buildpack("none", "0.12", "");
    world.buildpack("trap", "0.12", "");
    world.script("trap", Which::Detect, |_, _| {
        Err(crate::ports::GuestFault::Trap {
            reason: "unreachable".into(),
        })
    });
    for (order, expected) in [
        ("a", Ok("a")),
        ("b", Err(20)),
        ("c", Err(21)),
        ("b | c", Err(21)),
        ("c | a", Ok("a")),
        ("a ?b ?c", Ok("a")),
        ("a b", Err(20)),
        // An optional error counts where something required failed, too.
        ("?c b", Err(21)),
        ("?a ?b", Ok("a")),
        ("?b", Err(20)),
        // An error that was optional is no error if plans are what does not fit.
        ("?c d", Err(20)),
        ("e d", Ok("e d")),
        ("d e", Err(20)),
        ("a ?d", Ok("a")),
        ("bad", Err(21)),
        ("old", Err(21)),
        ("none", Err(21)),
        ("trap", Err(21)),
        ("a | missing", Err(1)),
    ] {
        assert_eq!(
            chosen(&world, order),
            expected.map(str::to_owned),
            "{order}"
        );
    }
}

#[test]
fn programs_run_once_and_only_as_far_as_groups_are_tried() {
    let world = world();
    assert_eq!(chosen(&world, "a b | a c b | ?b a | e"), Ok("a".into()));
    let mut started = world.started.lock().unwrap().clone();
    started.sort();
    assert_eq!(started, ["detect a@1", "detect b@1", "detect c@1"]);
}

#[test]
fn nothing_runs_if_the_order_names_what_is_not_there() {
    let world = world();
    assert_eq!(chosen(&world, "a | missing"), Err(1));
    assert!(world.started.lock().unwrap().is_empty());
    world.buildpack("future", "0.99", "");
    assert_eq!(chosen(&world, "a | future"), Err(12));
    assert!(world.started.lock().unwrap().is_empty());
}

// shows: resolve-008
#[test]
fn nested_orders_are_looked_up_when_they_are_reached() {
    let world = world();
    let nested = "[[order]]\n[[order.group]]\nid = \"missing\"\nversion = \"1\"\n";
    world.buildpack("f", "0.12", nested);
    assert_eq!(chosen(&world, "a | f"), Ok("a".into()));
    assert_eq!(chosen(&world, "f"), Err(22));
    let cycle = "[[order]]\n[[order.group]]\nid = \"g\"\nversion = \"1\"\n";
    world.buildpack("g", "0.12", cycle);
    assert_eq!(chosen(&world, "g"), Err(22));
    world.buildpack("future", "0.99", "");
    let nested = "[[order]]\n[[order.group]]\nid = \"future\"\nversion = \"1\"\n";
    world.buildpack("h", "0.12", nested);
    assert_eq!(chosen(&world, "h"), Err(12));
}

// shows: detect-042
#[test]
fn a_program_is_given_what_the_specification_says_and_may_write_only_its_tmp() {
    let mut world = World::new();
    world.buildpack("x/y", "0.12", "");
    world.write("platform/env/USER_VARIABLE", "value");
    world.script("x/y", Which::Detect, |invocation, output| {
        let plan = &invocation.args[1];
        assert_eq!(invocation.args[0], "/platform");
        assert_eq!(read_guest(invocation, plan), "");
        assert_eq!(invocation.working_dir, "/workspace");
        assert_eq!(invocation.guest_buildpack_dir, "/cnb/buildpacks/x_y/1");
        for (name, value) in [
            ("CNB_BUILD_PLAN_PATH", Some(plan.as_str())),
            ("CNB_PLATFORM_DIR", Some("/platform")),
            ("CNB_BUILDPACK_DIR", Some("/cnb/buildpacks/x_y/1")),
            ("CNB_TARGET_OS", Some("linux")),
            ("CNB_TARGET_DISTRO_NAME", None),
            ("CNB_EXEC_ENV", Some("production")),
            ("USER_VARIABLE", Some("value")),
            ("PATH", Some("/usr/bin")),
        ] {
            assert_eq!(variable(invocation, name).as_deref(), value, "{name}");
        }
        let writable = invocation
            .mounts
            .iter()
            .filter(|it| it.access == Access::ReadWrite);
        let writable: Vec<_> = writable.map(|it| it.guest_path.as_str()).collect();
        assert_eq!(writable, ["/tmp"]);
        output(crate::ports::Stream::Stdout, b"hello\n");
        Ok(0)
    });
    assert_eq!(chosen(&world, "x/y"), Ok("x/y".into()));
    assert_eq!(world.dir("scratch").entries().unwrap().count(), 0);
    assert!(
        world
            .told()
            .contains("debug ======== Output: x/y@1 ========\ndebug hello")
    );
}

#[test]
fn what_was_tried_is_told_aloud_when_detection_fails() {
    let world = world();
    assert_eq!(chosen(&world, "b"), Err(20));
    assert!(
        world
            .told()
            .contains("info ======== Results ========\ninfo fail: b@1\n")
    );
}

#[test]
fn plans_are_resolved_and_written_without_what_only_orders_have() {
    let world = world();
    let detected = run(&world, "?e d").unwrap();
    let expected = "[[entries]]

  [[entries.providers]]
    id = \"e\"
    version = \"1\"

  [[entries.requires]]
    name = \"x\"
    [entries.requires.metadata]
      v = \"1\"
";
    assert_eq!(print_plan(&detected.plan), expected);
    assert!(detected.group.group.iter().all(|it| !it.optional));
    assert_eq!(detected.group.group[0].api.as_deref(), Some("0.12"));
}

// shows: resolve-024
#[test]
fn entries_of_the_plan_come_in_the_order_of_their_names_first_appearance() {
    let mut world = World::new();
    for (id, plan) in [
        (
            "p",
            "[[provides]]\nname = \"z\"\n[[provides]]\nname = \"a\"\n[[provides]]\nname = \"m\"\n",
        ),
        (
            "q",
            "[[requires]]\nname = \"m\"\n[[requires]]\nname = \"z\"\n[[requires]]\nname = \"a\"\n",
        ),
    ] {
        world.buildpack(id, "0.12", "");
        world.detect(id, 0, plan);
    }
    let plan = run(&world, "p q").unwrap().plan;
    let names: Vec<_> = plan
        .entries
        .iter()
        .map(|it| it.requires[0].name.as_str())
        .collect();
    assert_eq!(names, ["z", "a", "m"]);
}

// shows: detect-027
#[test]
fn programs_of_a_group_run_at_the_same_time_and_answer_in_order() {
    let mut world = World::new();
    let (to_slow, from_quick) = std::sync::mpsc::channel();
    let from_quick = std::sync::Mutex::new(from_quick);
    for id in ["slow", "quick"] {
        world.buildpack(id, "0.12", "");
    }
    world.script("slow", Which::Detect, move |_, output| {
        // Ends only after the other one has run.
        let waited = from_quick
            .lock()
            .unwrap()
            .recv_timeout(std::time::Duration::from_mins(1));
        output(crate::ports::Stream::Stdout, b"slow");
        Ok(i32::from(waited.is_err()))
    });
    world.script("quick", Which::Detect, move |_, output| {
        output(crate::ports::Stream::Stdout, b"quick");
        to_slow.send(()).unwrap();
        Ok(0)
    });
    assert_eq!(chosen(&world, "slow quick"), Ok("slow quick".into()));
    let told = world.told();
    assert!(told.find("debug slow").unwrap() < told.find("debug quick").unwrap());
}

#[test]
fn a_required_buildpack_for_another_target_is_an_error_and_does_not_run() {
    let mut world = world();
    world.buildpack("w", "0.12", "[[targets]]\nos = \"windows\"");
    world.detect("w", 0, "");
    assert_eq!(chosen(&world, "w"), Err(21));
    // Declared to be for other images, so it is not missed if it is optional.
    assert_eq!(chosen(&world, "?w a"), Ok("a".into()));
    assert!(
        !world
            .started
            .lock()
            .unwrap()
            .contains(&"detect w@1".to_owned())
    );
    let detected = detect_at(&world, PlatformApi::V0_11, &order("w")).unwrap();
    assert_eq!(detected.group.group.len(), 1);
}

#[test]
fn a_buildpack_for_another_execution_environment_is_as_if_it_were_not_there() {
    let mut world = world();
    world.buildpack("t", "0.12", "exec-env = [\"test\"]");
    world.buildpack("u", "0.11", "exec-env = [\"test\"]");
    for id in ["t", "u"] {
        world.detect(id, 0, "");
    }
    assert_eq!(chosen(&world, "t a"), Ok("a".into()));
    assert_eq!(chosen(&world, "t"), Err(20));
    assert_eq!(chosen(&world, "u"), Ok("u".into()));
    let detected = detect_at(&world, PlatformApi::V0_14, &order("t")).unwrap();
    assert_eq!(detected.group.group.len(), 1);
}

#[test]
fn system_buildpacks_count_from_platform_0_15() {
    let world = world();
    let system = "[[system.pre.buildpacks]]\nid = \"a\"\nversion = \"1\"\n[[system.post.buildpacks]]\nid = \"b\"\nversion = \"1\"\noptional = true\n";
    let system = parse_system("system.toml", system.as_bytes()).unwrap();
    let programs = world.programs();
    for (api, expected) in [(PlatformApi::V0_15, 3), (PlatformApi::V0_14, 2)] {
        let request = DetectRequest {
            platform_api: api,
            order: &order("e d"),
            system: &system,
            buildpacks: &world.buildpacks(),
            extensions: &world.extensions(),
            programs: &programs,
            workers: 1,
            limits: DetectLimits::default(),
        };
        let detected = detect(&request, &world, &world).unwrap();
        assert_eq!(detected.group.group.len(), expected, "{api}");
    }
}

#[test]
fn an_extension_without_a_program_ships_its_plan() {
    let world = world();
    let text = |id: &str| format!("api = \"0.12\"\n[extension]\nid = \"{id}\"\nversion = \"1\"\n");
    for id in ["e", "r"] {
        world.write(&format!("extensions/{id}/1/extension.toml"), &text(id));
    }
    world.write(
        "extensions/e/1/detect/plan.toml",
        "[[provides]]\nname = \"x\"\n",
    );
    world.write(
        "extensions/r/1/detect/plan.toml",
        "[[requires]]\nname = \"x\"\n",
    );
    let with = |extension: &str, groups: &str| {
        let mut with = order(groups);
        with.order_extensions = order(extension).order;
        detect_at(&world, PlatformApi::V0_15, &with)
    };
    let detected = with("e", "d").unwrap();
    assert_eq!(detected.group.group.len(), 1);
    assert_eq!(detected.group.group_extensions.len(), 1);
    assert!(detected.plan.entries[0].providers[0].extension);
    // What it provides is unused, or it may not require: the group goes on without it.
    for (extension, groups) in [("e", "a"), ("r", "a")] {
        let detected = with(extension, groups).unwrap();
        assert!(detected.group.group_extensions.is_empty(), "{extension}");
    }
}

#[test]
fn a_link_in_place_of_the_plan_is_an_error() {
    let mut world = World::new();
    world.write("secret.toml", "");
    world.buildpack("a", "0.12", "");
    world.script("a", Which::Detect, |invocation, _| {
        let below = invocation.args[1].strip_prefix("/tmp/").unwrap();
        let tmp = invocation
            .mounts
            .iter()
            .find(|it| it.guest_path == "/tmp")
            .unwrap();
        tmp.dir.remove_file(below).unwrap();
        tmp.dir.symlink("../elsewhere", below).unwrap();
        Ok(0)
    });
    assert_eq!(chosen(&world, "a"), Err(21));
    assert!(world.told().contains("is a symbolic link"));
}

#[test]
fn an_interrupted_sandbox_ends_detection() {
    let mut world = world();
    world.buildpack("i", "0.12", "");
    world.script("i", Which::Detect, |_, _| {
        Err(crate::ports::GuestFault::Interrupted)
    });
    assert!(matches!(
        run(&world, "?i a"),
        Err(DetectError::Runner { .. })
    ));
}
