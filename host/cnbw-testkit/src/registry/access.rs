//! Who gets in: nobody is asked, a password, or a token service on the registry's own address.

use std::collections::HashMap;

use serde_json::json;

use super::{Route, error};
use crate::http::{Request, Response};

/// What a registry asks of its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Nothing.
    Open,
    /// User and password with each request.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A bearer token of the service at `/token`, for exactly the scopes that were asked for.
    Bearer {
        /// The user.
        user: String,
        /// The password.
        password: String,
        /// A refresh token that is as good as user and password.
        identity_token: String,
        /// Whether tokens for `pull` are given to everybody.
        anonymous_pull: bool,
        /// The realm of the challenge; empty: this registry's `/token`.
        realm: String,
    },
}

/// Tokens that were given, and what each allows.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    granted: HashMap<String, Vec<Grant>>,
}

/// Actions on one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    repository: String,
    actions: Vec<String>,
}

/// Refuses a request, or returns `None`.
pub(super) fn check(
    auth: &Auth,
    tokens: &Tokens,
    request: &Request,
    route: &Route<'_>,
    scheme: &str,
) -> Option<Response> {
    match auth {
        Auth::Open => None,
        Auth::Basic { user, password } => {
            let expected = basic(user, password);
            let passes = request.header("authorization") == Some(expected.as_str());
            (!passes).then(|| {
                error(401, "UNAUTHORIZED", "authentication required")
                    .header("WWW-Authenticate", "Basic realm=\"test\"")
            })
        }
        Auth::Bearer { realm, .. } => {
            let needed = needed(request, route);
            let held = request
                .header("authorization")
                .and_then(|value| value.strip_prefix("Bearer "))
                .and_then(|token| tokens.granted.get(token));
            let passes = held.is_some_and(|held| covers(held, &needed));
            (!passes).then(|| challenge(request, realm, scheme, &needed))
        }
    }
}

fn challenge(request: &Request, realm: &str, scheme: &str, needed: &[Grant]) -> Response {
    let own = format!(
        "{scheme}://{}/token",
        request.header("host").unwrap_or_default()
    );
    let realm = if realm.is_empty() { &own } else { realm };
    let scopes: Vec<String> = needed
        .iter()
        .map(|grant| {
            format!(
                "repository:{}:{}",
                grant.repository,
                grant.actions.join(",")
            )
        })
        .collect();
    let scope = if scopes.is_empty() {
        String::new()
    } else {
        format!(",scope=\"{}\"", scopes.join(" "))
    };
    let value = format!("Bearer realm=\"{realm}\",service=\"test\"{scope}");
    error(401, "UNAUTHORIZED", "authentication required").header("WWW-Authenticate", value)
}

fn needed(request: &Request, route: &Route<'_>) -> Vec<Grant> {
    let Some(repository) = route.repository() else {
        return Vec::new();
    };
    let actions: &[&str] = match request.method.as_str() {
        "GET" | "HEAD" => &["pull"],
        "DELETE" => &["delete"],
        _ => &["pull", "push"],
    };
    let mut needed = vec![grant(repository, actions)];
    if let (Some(_), Some(from)) = (request.query_value("mount"), request.query_value("from")) {
        needed.push(grant(from, &["pull"]));
    }
    needed
}

fn grant(repository: &str, actions: &[&str]) -> Grant {
    Grant {
        repository: repository.to_owned(),
        actions: actions.iter().map(|&action| action.to_owned()).collect(),
    }
}

fn covers(held: &[Grant], needed: &[Grant]) -> bool {
    needed.iter().all(|needed| {
        needed.actions.iter().all(|action| {
            held.iter()
                .any(|held| held.repository == needed.repository && held.actions.contains(action))
        })
    })
}

/// The token service: `GET` with a password, or `POST` with a form as OAuth 2 has it.
pub(super) fn token(auth: &Auth, tokens: &mut Tokens, request: &Request) -> Response {
    let Auth::Bearer {
        user,
        password,
        identity_token,
        anonymous_pull,
        ..
    } = auth
    else {
        return error(404, "UNSUPPORTED", "there is no token service");
    };
    let form = if request.method == "POST" {
        crate::http::parse_form(&request.body)
    } else {
        request.query.clone()
    };
    let value = |name: &str| {
        form.iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    };
    let known = match (request.method.as_str(), value("grant_type")) {
        ("POST", Some("refresh_token")) => {
            !identity_token.is_empty() && value("refresh_token") == Some(identity_token)
        }
        ("POST", Some("password")) => {
            value("username") == Some(user) && value("password") == Some(password)
        }
        ("GET", _) => request.header("authorization") == Some(basic(user, password).as_str()),
        _ => false,
    };
    let claimed = request.header("authorization").is_some() || request.method == "POST";
    if !known && (claimed || !anonymous_pull) {
        return error(401, "UNAUTHORIZED", "wrong user or password");
    }
    let grants = form
        .iter()
        .filter(|(name, _)| name == "scope")
        .flat_map(|(_, scopes)| scopes.split(' '))
        .filter_map(parse_scope)
        .map(|grant| restrict(grant, known))
        .collect();
    let name = format!("token-{}", tokens.granted.len() + 1);
    tokens.granted.insert(name.clone(), grants);
    let body = json!({"token": name, "access_token": name, "expires_in": 300});
    Response::with_body(200, body.to_string()).header("Content-Type", "application/json")
}

fn restrict(mut grant: Grant, known: bool) -> Grant {
    grant.actions.retain(|action| known || action == "pull");
    grant
}

fn parse_scope(scope: &str) -> Option<Grant> {
    let (repository, actions) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
    Some(Grant {
        repository: repository.to_owned(),
        actions: actions.split(',').map(str::to_owned).collect(),
    })
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
}

/// Standard base64 with padding; the crate is not worth a dependency here.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0_u32, |word, &byte| (word << 8) | u32::from(byte));
        for position in 0..4 {
            let six = (word >> (18 - 6 * position)) & 63;
            let letter = ALPHABET.get(six as usize).copied().unwrap_or(b'=');
            out.push(if position <= chunk.len() {
                letter.into()
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_pads_to_four_letters() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("u:p", "dTpw"),
        ];
        for (plain, encoded) in cases {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }
}
