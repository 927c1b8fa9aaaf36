use std::sync::Arc;

use proptest::prelude::*;

use super::*;

// shows: registry-auth-001, registry-auth-002, registry-auth-004
#[test]
fn header_values_are_read_whatever_the_case_of_their_scheme() {
    let cases = [
        ("Basic dTpw", Some(Credential::basic("u", "p"))),
        ("bAsIc dTpw", Some(Credential::basic("u", "p"))),
        ("Bearer t", Some(Credential::Bearer("t".to_owned()))),
        ("x-identity t", Some(Credential::Identity("t".to_owned()))),
        ("Token t", None),
        ("Basic", None),
        ("", None),
    ];
    for (value, credential) in cases {
        assert_eq!(Credential::parse_header(value), credential, "{value}");
    }
}

#[test]
fn keys_may_have_a_scheme_and_a_path() {
    let text = r#"{"https://index.docker.io/v1/":"Basic aDpo","localhost:5000":"Basic dTpw","x.io":"Token t"}"#;
    let auth = RegistryAuth::parse(text).unwrap();
    let found = |registry| auth.credential(registry, "r").unwrap();
    assert_eq!(found("index.docker.io"), Some(Credential::basic("h", "h")));
    assert_eq!(found("localhost:5000"), Some(Credential::basic("u", "p")));
    assert_eq!(found("localhost"), None);
    let error = auth.credential("x.io", "r").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the value for `x.io` starts with none of `Basic`, `Bearer` and `X-Identity`"
    );
}

#[test]
fn docker_hub_has_one_name() {
    for key in [
        "docker.io",
        "https://registry-1.docker.io/v2/",
        "index.docker.io",
    ] {
        assert_eq!(host_of(key), "index.docker.io", "{key}");
    }
}

// shows: registry-auth-003
#[test]
fn broken_json_is_an_error_that_does_not_quote_it() {
    for text in ["{", r#"{"x.io":["hunter2"]}"#, r#"["hunter2"]"#] {
        let error = RegistryAuth::parse(text).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            !format!("{error} {error:?} {source}").contains("hunter2"),
            "{source}"
        );
    }
    assert!(RegistryAuth::parse("").unwrap().headers.is_empty());
}

#[test]
fn secrets_are_never_shown() {
    let keychain = Keychain::anonymous()
        .with(RegistryAuth::parse(r#"{"x.io":"Bearer hunter2"}"#).unwrap())
        .with(config(r#"{"auths":{"y.io":{"auth":"dTpodW50ZXIy"}}}"#));
    let shown = format!("{keychain:?} {:?}", keychain.credential("x.io", "r"));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("x.io"), "{shown}");
}

fn config(text: &str) -> DockerConfig {
    DockerConfig::parse(text, Arc::new(Scripted)).unwrap()
}

#[derive(Debug)]
struct Scripted;

impl CredentialHelpers for Scripted {
    fn get(&self, helper: &str, server: &str) -> Result<Option<Credential>, HelperError> {
        match helper {
            "broken" => Err(HelperError::Answer),
            "empty" => Ok(None),
            _ => Ok(Some(Credential::basic(helper, server))),
        }
    }
}

// shows: registry-auth-005
#[test]
fn the_most_exact_entry_of_a_file_wins() {
    let config = config(
        r#"{"auths":{
            "quay.io":{"auth":"YTph"},
            "quay.io/org":{"username":"b","password":"b"},
            "quay.io/organisation":{"auth":"Yzpj"},
            "https://index.docker.io/v1/":{"identitytoken":"refresh"},
            "token.io":{"registrytoken":"t"},
            "empty.io":{}
        },"HttpHeaders":{"x":"y"}}"#,
    );
    let cases = [
        ("quay.io", "other/x", Some(Credential::basic("a", "a"))),
        ("quay.io", "org/x", Some(Credential::basic("b", "b"))),
        ("quay.io", "organ/x", Some(Credential::basic("a", "a"))),
        (
            "index.docker.io",
            "library/x",
            Some(Credential::Identity("refresh".to_owned())),
        ),
        ("token.io", "x", Some(Credential::Bearer("t".to_owned()))),
        ("empty.io", "x", None),
        ("none.io", "x", None),
    ];
    for (registry, repository, credential) in cases {
        let found = config.credential(registry, repository).unwrap();
        assert_eq!(found, credential, "{registry}/{repository}");
    }
}

#[test]
fn helpers_come_before_the_store_and_the_store_before_the_file() {
    let config = config(
        r#"{"auths":{"a.io":{"auth":"YTph"},"b.io":{"auth":"YTph"}},
            "credsStore":"store","credHelpers":{"b.io":"special","c.io":"broken"}}"#,
    );
    let found = |registry| config.credential(registry, "x").unwrap();
    assert_eq!(found("a.io"), Some(Credential::basic("store", "a.io")));
    assert_eq!(found("b.io"), Some(Credential::basic("special", "b.io")));
    assert_eq!(
        found("index.docker.io"),
        Some(Credential::basic("store", "https://index.docker.io/v1/"))
    );
    assert!(config.credential("c.io", "x").is_err());
}

#[derive(Debug, Default)]
struct Counting(std::sync::atomic::AtomicUsize);

impl CredentialHelpers for Counting {
    fn get(&self, helper: &str, server: &str) -> Result<Option<Credential>, HelperError> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Some(Credential::basic(helper, server)))
    }
}

#[test]
fn a_helper_is_asked_once_for_each_server() {
    let helpers = Arc::new(Counting::default());
    let text = r#"{"credsStore":"store"}"#;
    let config = DockerConfig::parse(text, Arc::<Counting>::clone(&helpers)).unwrap();
    for registry in ["a.io", "b.io", "a.io", "b.io"] {
        config.credential(registry, "x").unwrap().unwrap();
    }
    assert_eq!(helpers.0.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[test]
fn a_store_without_an_answer_leaves_the_file_to_decide() {
    for store in ["empty", "broken"] {
        let text = r#"{"auths":{"a.io":{"auth":"YTph"}},"credsStore":"STORE"}"#;
        let config = config(&text.replace("STORE", store));
        let found = config.credential("a.io", "x").unwrap();
        assert_eq!(found, Some(Credential::basic("a", "a")), "{store}");
        assert_eq!(config.credential("b.io", "x").is_err(), store == "broken");
    }
}

#[test]
fn an_entry_that_is_no_base64_is_named() {
    let config = config(r#"{"auths":{"a.io":{"auth":"!!"}}}"#);
    let error = config.credential("a.io", "x").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the entry `a.io` does not hold base64 of `user:password`"
    );
}

#[test]
fn helpers_answer_with_a_password_or_a_refresh_token() {
    let cases = [
        (
            r#"{"ServerURL":"s","Username":"u","Secret":"p"}"#,
            Some(Credential::basic("u", "p")),
        ),
        (
            r#"{"Username":"<token>","Secret":"t"}"#,
            Some(Credential::Identity("t".to_owned())),
        ),
        ("{}", None),
    ];
    for (answer, credential) in cases {
        assert_eq!(
            parse_helper_answer(answer.as_bytes()).unwrap(),
            credential,
            "{answer}"
        );
    }
    assert!(parse_helper_answer(b"nonsense").is_err());
}

#[test]
fn a_helper_that_is_missing_or_has_a_path_for_a_name_is_an_error() {
    assert!(matches!(
        HelperPrograms.get("../sh", "x"),
        Err(HelperError::Name)
    ));
    assert!(matches!(
        HelperPrograms.get("cnbw-does-not-exist", "x"),
        Err(HelperError::Run { .. })
    ));
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,80}", key in "[a-z./:]{0,20}", auth in "[A-Za-z0-9+/=]{0,20}") {
        drop(RegistryAuth::parse(&text));
        drop(DockerConfig::parse(&text, Arc::new(())));
        drop(parse_helper_answer(text.as_bytes()));
        let text = serde_json::json!({"auths": {key: {"auth": auth}}}).to_string();
        let config = DockerConfig::parse(&text, Arc::new(())).unwrap();
        drop(config.credential("quay.io", "a/b"));
    }
}
