//! Credentials: who gets which, and who does not.

use cnbw_oci::image::{ImageSink, ImageSource, StoreErrorKind};
use cnbw_registry::keychain::{Credential, Keychain, RegistryAuth};
use cnbw_registry::{Client, RegistryError};
use cnbw_testkit::{Auth, Registry, RegistryOptions};

use crate::support::{client, client_with, image, name, open, options, read_layer, whole};

const SECRET: &str = "hunter22-correct-horse";

fn bearer(anonymous_pull: bool) -> Registry {
    bearer_at(anonymous_pull, "")
}

fn bearer_at(anonymous_pull: bool, realm: &str) -> Registry {
    Registry::with_options(RegistryOptions {
        auth: Auth::Bearer {
            user: "user".to_owned(),
            password: SECRET.to_owned(),
            identity_token: "refresh-me".to_owned(),
            anonymous_pull,
            realm: realm.to_owned(),
        },
        ..RegistryOptions::default()
    })
}

fn basic() -> Registry {
    Registry::with_options(RegistryOptions {
        auth: Auth::Basic {
            user: "user".to_owned(),
            password: SECRET.to_owned(),
        },
        ..RegistryOptions::default()
    })
}

// shows: registry-auth-009
#[test]
fn passwords_and_refresh_tokens_push_to_a_registry_with_tokens() {
    for credential in [
        Credential::basic("user", SECRET),
        Credential::Identity("refresh-me".to_owned()),
    ] {
        let registry = bearer(false);
        let client = client_with(credential);
        let target = name(&registry, "team/app:v1");
        client
            .write(image(&[b"one", b"two"]), std::slice::from_ref(&target))
            .unwrap();
        assert_eq!(read_layer(&open(&client, &target), 1).unwrap(), b"two");
        let tokens = registry
            .requests()
            .iter()
            .filter(|request| request.path == "/token")
            .count();
        assert_eq!(tokens, 2, "one token for pushing, one for pulling");
    }
}

#[test]
fn a_mount_asks_for_a_token_of_both_repositories() {
    let registry = bearer(false);
    let client = client_with(Credential::basic("user", SECRET));
    let from = name(&registry, "base:1");
    client
        .write(image(&[b"layer"]), std::slice::from_ref(&from))
        .unwrap();
    registry.clear_requests();
    client
        .copy(&from, None, &[name(&registry, "app:v1")])
        .unwrap()
        .unwrap();
    let scopes: Vec<Vec<String>> = registry
        .requests()
        .iter()
        .filter(|request| request.path == "/token")
        .map(|request| {
            let scopes = request.query.iter().filter(|(name, _)| name == "scope");
            scopes.map(|(_, value)| value.clone()).collect()
        })
        .collect();
    assert!(
        scopes.contains(&vec![
            "repository:app:pull,push".to_owned(),
            "repository:base:pull".to_owned()
        ]),
        "{scopes:?}"
    );
    assert!(
        registry
            .requests()
            .iter()
            .all(|request| request.method != "PUT" || request.path.contains("manifests"))
    );
}

// shows: registry-auth-006
#[test]
fn without_credentials_what_is_public_can_be_read_and_nothing_written() {
    let registry = bearer(true);
    let target = name(&registry, "app:v1");
    client_with(Credential::basic("user", SECRET))
        .write(image(&[b"x"]), std::slice::from_ref(&target))
        .unwrap();
    let anonymous = client();
    assert_eq!(read_layer(&open(&anonymous, &target), 0).unwrap(), b"x");
    let error = anonymous
        .write(image(&[b"x"]), std::slice::from_ref(&target))
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied);
    assert_eq!(
        error.to_string(),
        format!(
            "cannot write `{target}`: `{}` refuses access (status 401): UNAUTHORIZED: authentication required \
             (asked without credentials: none are configured)",
            registry.address()
        )
    );
}

// shows: registry-auth-001
#[test]
fn basic_credentials_are_sent_to_their_registry_only() {
    let registry = basic();
    let other = basic();
    let header = format!(
        r#"{{"{}":"Basic dXNlcjpodW50ZXIyMi1jb3JyZWN0LWhvcnNl"}}"#,
        registry.address()
    );
    let mut options = options();
    options.keychain = Keychain::anonymous().with(RegistryAuth::parse(&header).unwrap());
    let client = Client::new(options).unwrap();
    let target = name(&registry, "app:v1");
    client
        .write(image(&[b"x"]), std::slice::from_ref(&target))
        .unwrap();
    let error = client.open(&name(&other, "app:v1"), None).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied);
    assert!(
        other
            .requests()
            .iter()
            .all(|request| request.header("authorization").is_none())
    );
}

// shows: registry-auth-002
#[test]
fn a_header_of_an_unknown_kind_is_an_error_when_its_registry_is_used() {
    let registry = Registry::start();
    let header = format!(r#"{{"{}":"Token {SECRET}"}}"#, registry.address());
    let mut options = options();
    options.keychain = Keychain::anonymous().with(RegistryAuth::parse(&header).unwrap());
    let client = Client::new(options).unwrap();
    let error = client.open(&name(&registry, "app:v1"), None).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied);
    let text = whole(&error);
    assert!(
        text.contains("starts with none of `Basic`, `Bearer` and `X-Identity`"),
        "{text}"
    );
    assert!(!text.contains(SECRET), "{text}");
    assert_eq!(registry.requests(), []);
}

#[test]
fn wrong_passwords_are_refused_once_and_not_shown() {
    for registry in [basic(), bearer(true)] {
        let client = client_with(Credential::basic("user", "wrong-password-77"));
        let error = client.open(&name(&registry, "app:v1"), None).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Denied);
        let text = format!("{} {error:?} {client:?}", whole(&error));
        assert!(
            !text.contains("wrong-password-77") && !text.contains("d3Jvbmct"),
            "{text}"
        );
        assert!(
            registry.requests().len() <= 3,
            "{:?}",
            registry.request_lines()
        );
    }
}

#[test]
fn a_token_that_became_bad_is_renewed() {
    let registry = bearer(false);
    let client = client_with(Credential::basic("user", SECRET));
    let target = name(&registry, "app:v1");
    client
        .write(image(&[b"x"]), std::slice::from_ref(&target))
        .unwrap();
    registry.fault(cnbw_testkit::Fault {
        method: "HEAD".to_owned(),
        path: "/blobs/".to_owned(),
        times: 1,
        action: cnbw_testkit::FaultAction::Answer(
            401,
            vec![(
                "WWW-Authenticate".to_owned(),
                format!(
                    "Bearer realm=\"http://{}/token\",service=\"test\"",
                    registry.address()
                ),
            )],
            Vec::new(),
        ),
    });
    client
        .write(image(&[b"x"]), std::slice::from_ref(&target))
        .unwrap();
}

#[test]
fn a_token_service_of_another_site_gets_nothing() {
    let registry = bearer_at(false, "https://evil.example/token");
    let client = client_with(Credential::basic("user", SECRET));
    let error = client.open(&name(&registry, "app:v1"), None).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Invalid);
    assert!(
        error
            .to_string()
            .contains("`evil.example` belongs to another site"),
        "{error}"
    );
}

#[test]
fn access_is_checked_as_platforms_expect_it() {
    let registry = bearer(true);
    let known = client_with(Credential::basic("user", SECRET));
    let anonymous = client();
    let missing = name(&registry, "nothing/here:v1");
    known.check_read(&missing).unwrap();
    known.check_read_write(&missing).unwrap();
    anonymous.check_read(&missing).unwrap();
    let error = anonymous.check_read_write(&missing).unwrap_err();
    assert!(
        matches!(error, RegistryError::Denied { status: 401, .. }),
        "{error}"
    );
    let everybody = Registry::start();
    anonymous
        .check_read_write(&name(&everybody, "new:v1"))
        .unwrap();
    assert_eq!(everybody.open_uploads(), 0, "the trial upload is given up");
    let closed = bearer(false);
    let error = anonymous.check_read(&name(&closed, "app:v1")).unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
    let address = closed.address();
    drop(closed);
    let error = anonymous
        .check_read(&format!("{address}/gone:v1"))
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::Unreachable { .. }),
        "{error}"
    );
    let error = anonymous.check_read("127.0.0.1:1/app:v1").unwrap_err();
    assert!(
        matches!(error, RegistryError::Unreachable { .. }),
        "{error}"
    );
}
