//! The examples of the requests, sent as they are in the document. What names a record is replaced by the name of one that is there.

use gatepass_core::http::request::Request;
use gatepass_core::records::role::Role;
use gatepass_tests::api_document::ApiDocument;
use gatepass_tests::fixtures::{BACKEND_SECRET, PORTAL_SECRET, claims};
use gatepass_tests::http::{Answer, TestRequest};
use gatepass_tests::server::{Running, TestInstallation};
use gatepass_tests::suite::Target;
use gatepass_tests::totp::code_ahead;
use serde_json::{Value, json};

/// An operation with the example of its request.
pub(crate) struct Example {
    pub(crate) id: String,
    pub(crate) method: String,
    path: String,
    query: Vec<(String, Value)>,
    /// The media type and the body.
    body: Option<(String, Value)>,
    /// The status of success.
    status: u16,
}

impl Example {
    /// Returns that of every operation.
    pub(crate) fn all() -> Vec<Self> {
        ApiDocument::get()
            .operations()
            .map(|(path, method, operation)| Self::of(path, method, operation))
            .collect()
    }

    fn of(path: &str, method: &str, operation: &Value) -> Self {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let queries =
            parameters.filter(|parameter| parameter["in"] == "query" && !parameter["example"].is_null());
        let name = |parameter: &Value| parameter["name"].as_str().expect("a name").to_owned();
        let content =
            operation["requestBody"]["content"].as_object().and_then(|content| content.iter().next());
        let statuses = operation["responses"].as_object().expect("responses").keys();
        let status =
            statuses.filter_map(|status| status.parse().ok()).find(|status| (200..300).contains(status));
        Self {
            id: operation["operationId"].as_str().expect("an id").into(),
            method: method.to_ascii_uppercase(),
            path: path.into(),
            query: queries.map(|parameter| (name(parameter), parameter["example"].clone())).collect(),
            body: content.map(|(media_type, content)| (media_type.clone(), content["example"].clone())),
            status: status.expect("a status of success"),
        }
    }

    /// Returns the request. `named` returns the value for a segment of the path or a member of the body, if it is to have another one.
    pub(crate) fn request(&self, named: impl Fn(&str) -> Option<String>) -> Request {
        let segment = |segment: &str| match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))
        {
            Some(name) => named(name).unwrap_or_else(|| panic!("{} needs the name {name}", self.id)),
            None => segment.to_owned(),
        };
        let mut target = self.path.split('/').map(segment).collect::<Vec<_>>().join("/");
        for (number, (name, value)) in self.query.iter().enumerate() {
            let value = value.as_str().map_or_else(|| value.to_string(), |text| text.replace(':', "%3A"));
            target.push_str(&format!("{}{name}={value}", if number == 0 { '?' } else { '&' }));
        }
        let mut headers = Vec::new();
        let mut body = Vec::new();
        if let Some((media_type, example)) = &self.body {
            headers.push(("content-type".into(), media_type.clone().into_bytes()));
            body = match example.as_object() {
                Some(members) => {
                    let members = members.iter().map(|(name, value)| {
                        let named = named(name).filter(|_| !self.path.contains(&format!("{{{name}}}")));
                        (name.clone(), named.map_or_else(|| value.clone(), Value::String))
                    });
                    let members: serde_json::Map<_, _> = members.collect();
                    if media_type.ends_with("json") {
                        Value::Object(members).to_string()
                    } else {
                        let pair = |(name, value): (String, Value)| {
                            format!("{name}={}", value.as_str().unwrap_or_default())
                        };
                        members.into_iter().map(pair).collect::<Vec<_>>().join("&")
                    }
                }
                None => example.as_str().unwrap_or_else(|| panic!("{} has no example", self.id)).to_owned(),
            }
            .into_bytes();
        }
        Request { method: self.method.clone(), target, headers, body, peer: [192, 0, 2, 1].into() }
    }
}

/// The sender of an example.
#[derive(Clone, Copy)]
enum By {
    Nobody,
    /// A client, by Basic.
    Client(&'static str, &'static str),
    /// The client `backend` by its token.
    Service,
    /// The user alice by the token of her session.
    Alice,
    /// The client with this role.
    Role(Role),
}

/// The server, and what was prepared there.
struct World {
    installation: TestInstallation,
    server: Running,
    /// The last answer.
    last: Value,
    /// The session of alice.
    session: Value,
    secret: String,
}

/// An operation, who asks for it, and the preparation, which returns the names of records.
type Row = (&'static str, By, fn(&mut World) -> Vec<(&'static str, String)>);

const PASSWORD: &str = "correct horse battery staple";
const PORTAL: By = By::Client("portal", PORTAL_SECRET);
const OPERATOR: By = By::Role(Role::Operator);
const OFFICER: By = By::Role(Role::Officer);
const AUDITOR: By = By::Role(Role::Auditor);

/// Every operation, in an order in which each finds what it needs.
const ROWS: &[Row] = &[
    ("get_healthz", By::Nobody, nothing),
    ("get_readyz", By::Nobody, nothing),
    ("get_metrics", By::Nobody, nothing),
    ("get_openapi_json", By::Nobody, nothing),
    ("get_well_known_jwks_json", By::Nobody, nothing),
    ("get_well_known_oauth_authorization_server", By::Nobody, nothing),
    ("get_well_known_openid_configuration", By::Nobody, nothing),
    ("get_well_known_oauth_authorization_server_path", By::Nobody, |_| vec![("path", "x".into())]),
    ("get_well_known_openid_configuration_path", By::Nobody, |_| vec![("path", "x".into())]),
    ("post_auth_generate_ticket", By::Service, nothing),
    ("post_auth_ticket_signin", By::Nobody, |world| {
        vec![("ticket", world.last["ticket"].as_str().expect("a ticket").into())]
    }),
    ("post_auth_login", By::Nobody, |world| {
        world.installation.json_with(&["user", "set-password", "alice"], PASSWORD);
        vec![]
    }),
    ("post_auth_refresh", By::Nobody, |world| vec![("refresh_token", world.signed_in("refresh_token"))]),
    ("get_userinfo", By::Alice, |world| {
        world.signed_in("access_token");
        vec![]
    }),
    ("post_userinfo", By::Alice, nothing),
    ("get_auth_me_sessions", By::Alice, nothing),
    ("post_oauth2_token", By::Client("backend", BACKEND_SECRET), nothing),
    ("post_oauth2_introspect", PORTAL, |world| vec![("token", world.signed_in("refresh_token"))]),
    ("post_oauth2_revoke", PORTAL, |world| vec![("token", world.signed_in("refresh_token"))]),
    ("delete_auth_me_sessions_id", By::Alice, |world| vec![("id", world.session_id())]),
    ("delete_auth_me_sessions", By::Alice, |world| {
        world.signed_in("access_token");
        vec![]
    }),
    ("post_mfa_totp_setup", By::Alice, |world| {
        world.signed_in("access_token");
        vec![]
    }),
    ("post_mfa_totp_verify", By::Alice, |world| {
        world.secret = world.last["data"]["secret"].as_str().expect("a secret").into();
        vec![("code", code_ahead(&world.secret, 0))]
    }),
    ("get_mfa_totp_devices", By::Alice, nothing),
    ("post_auth_mfa_verify_challenge", By::Nobody, |world| {
        world.installation.json(&["user", "set", "alice", "--second-factor", "always"]);
        let challenge = world.target().sign_in(&world.ticket());
        vec![("challenge_token", challenge.text("challenge_token")), ("code", code_ahead(&world.secret, 1))]
    }),
    ("delete_mfa_totp_devices_id", By::Alice, |world| {
        world.installation.json(&["user", "reset-mfa", "alice"]);
        world.installation.json(&["user", "set", "alice", "--second-factor", "never"]);
        world.signed_in("access_token");
        let set_up = world.ask(By::Alice, TestRequest::json("/mfa/totp/setup", &json!({}))).json();
        let code = code_ahead(set_up["data"]["secret"].as_str().expect("a secret"), 0);
        world.ask(By::Alice, TestRequest::json("/mfa/totp/verify", &json!({"code": code})));
        vec![
            ("id", set_up["data"]["device_id"].as_str().expect("an id").into()),
            ("code", code_ahead(set_up["data"]["secret"].as_str().expect("a secret"), 1)),
        ]
    }),
    ("put_auth_me_password", By::Alice, |world| {
        world.signed_in("access_token");
        vec![]
    }),
    // Administration.
    ("get_admin_v1_tickets", OPERATOR, nothing),
    ("get_admin_v1_tickets_id", OPERATOR, |world| vec![("id", world.ticket_id())]),
    ("delete_admin_v1_tickets_id", OPERATOR, |world| vec![("id", world.ticket_id())]),
    ("post_admin_v1_risk_explain", OPERATOR, nothing),
    ("get_admin_v1_users_id_sessions", OPERATOR, |world| vec![("id", world.user("alice"))]),
    ("delete_admin_v1_users_id_sessions_session", OPERATOR, |world| {
        world.signed_in("access_token");
        vec![("id", world.user("alice")), ("session", world.session_id())]
    }),
    ("delete_admin_v1_users_id_sessions", OPERATOR, |world| vec![("id", world.user("alice"))]),
    ("get_admin_v1_users_id_factors", OPERATOR, |world| vec![("id", world.user("alice"))]),
    ("delete_admin_v1_users_id_factors", OPERATOR, |world| vec![("id", world.user("alice"))]),
    ("put_admin_v1_users_id_password", OPERATOR, |world| vec![("id", world.user("alice"))]),
    ("post_admin_v1_users_id_password_require_change", OPERATOR, |world| vec![("id", world.user("alice"))]),
    ("post_admin_v1_users_id_unlock", OPERATOR, |world| vec![("id", world.user("alice"))]),
    ("delete_admin_v1_users_id", OPERATOR, |world| vec![("id", world.user("alice"))]),
    ("post_admin_v1_users_import", OPERATOR, nothing),
    ("post_admin_v1_users", OPERATOR, nothing),
    ("get_admin_v1_users", OPERATOR, nothing),
    ("get_admin_v1_users_id", OPERATOR, |world| vec![("id", world.user("alice"))]),
    ("patch_admin_v1_users_id", OPERATOR, |world| vec![("id", world.user("alice"))]),
    ("get_admin_v1_roles", OFFICER, nothing),
    ("put_admin_v1_roles_id", OFFICER, |world| vec![("id", world.user("alice"))]),
    ("delete_admin_v1_roles_id", OFFICER, |world| vec![("id", world.user("alice"))]),
    ("post_admin_v1_keys", OFFICER, nothing),
    ("get_admin_v1_keys", OFFICER, nothing),
    ("get_admin_v1_keys_kid", OFFICER, |world| vec![("kid", world.new_key())]),
    ("post_admin_v1_keys_kid_activate", OFFICER, |world| vec![("kid", world.new_key())]),
    ("post_admin_v1_clients", OFFICER, |world| {
        world.installation.json(&["client", "delete", "portal"]);
        vec![]
    }),
    ("get_admin_v1_clients", OFFICER, nothing),
    ("get_admin_v1_clients_id", OFFICER, portal),
    ("patch_admin_v1_clients_id", OFFICER, portal),
    ("get_admin_v1_clients_id_secrets", OFFICER, portal),
    ("post_admin_v1_clients_id_secrets", OFFICER, portal),
    ("delete_admin_v1_clients_id_secrets_secret", OFFICER, |world| {
        vec![("id", "portal".into()), ("secret", world.last["id"].as_str().expect("an id").into())]
    }),
    ("put_admin_v1_clients_id_keys", OFFICER, portal),
    ("post_admin_v1_clients_id_keys", OFFICER, portal),
    ("get_admin_v1_clients_id_keys", OFFICER, portal),
    ("delete_admin_v1_clients_id_keys_kid", OFFICER, |_| {
        vec![("id", "portal".into()), ("kid", "2026-02".into())]
    }),
    ("delete_admin_v1_clients_id", OFFICER, portal),
    ("post_admin_v1_keys_kid_stop", OFFICER, |world| vec![("kid", world.new_key())]),
    ("delete_admin_v1_keys_kid", OFFICER, |world| vec![("kid", world.new_key())]),
    ("get_admin_v1_audit", AUDITOR, nothing),
    ("post_admin_v1_audit_verify", AUDITOR, nothing),
    ("post_admin_v1_audit_archive", AUDITOR, nothing),
    ("get_admin_v1_settings", AUDITOR, nothing),
    ("get_admin_v1_status", AUDITOR, nothing),
];

fn nothing(_: &mut World) -> Vec<(&'static str, String)> {
    vec![]
}

fn portal(_: &mut World) -> Vec<(&'static str, String)> {
    vec![("id", "portal".into())]
}

impl World {
    fn new() -> Self {
        let installation = TestInstallation::new();
        installation.json(&["--init", "key", "generate", "--alg", "EdDSA", "--activate"]);
        installation.populate();
        for role in Role::ALL {
            let name = role.as_str();
            let arguments = ["client", "add", name, "--role", name, "--scope", "x", "--secret-stdin"];
            installation.json_with(&arguments, BACKEND_SECRET);
        }
        let server = installation.serve(&["--issuer", "http://gate.example/x"]);
        Self { installation, server, last: Value::Null, session: Value::Null, secret: String::new() }
    }

    const fn target(&self) -> Target {
        self.server.target()
    }

    fn ticket(&self) -> String {
        self.target().ticket(&json!({"user_id": "alice"}))
    }

    /// Signs alice in, and returns a member of the answer.
    fn signed_in(&mut self, member: &str) -> String {
        self.session = self.target().sign_in(&self.ticket()).json();
        self.session[member].as_str().unwrap_or_else(|| panic!("{}", self.session)).into()
    }

    fn session_id(&self) -> String {
        let token = self.session["access_token"].as_str().expect("a token");
        claims(token)["sid"].as_str().expect("a session").into()
    }

    fn user(&self, name: &str) -> String {
        self.installation.json(&["user", "show", name])["id"].as_str().expect("an id").into()
    }

    fn ticket_id(&self) -> String {
        self.installation.json(&["ticket", "issue", "--user", "alice"])["id"].as_str().expect("an id").into()
    }

    /// Returns the key that was added last.
    fn new_key(&self) -> String {
        let keys = self.installation.json(&["key", "list"]);
        let key = keys.as_array().expect("keys").iter().find(|key| key["alg"] == "ES256");
        key.expect("a key")["kid"].as_str().expect("an id").into()
    }

    fn ask(&self, by: By, request: TestRequest) -> Answer {
        let request = match by {
            By::Nobody => request,
            By::Client(id, secret) => request.basic(id, secret),
            By::Service => request.bearer(&self.target().service_token("ticket:issue")),
            By::Alice => request.bearer(self.session["access_token"].as_str().expect("a session")),
            By::Role(role) => {
                let form =
                    TestRequest::form("/oauth2/token", "grant_type=client_credentials&scope=gatepass:admin");
                let token =
                    form.basic(role.as_str(), BACKEND_SECRET).to(self.server.address).text("access_token");
                request.bearer(&token)
            }
        };
        request.to(self.server.address)
    }
}

pub(crate) fn are_answered_with_success() {
    let examples = Example::all();
    for example in &examples {
        assert!(ROWS.iter().any(|(id, ..)| *id == example.id), "{} is not tried", example.id);
    }
    let mut world = World::new();
    for (id, by, prepare) in ROWS {
        let example = examples.iter().find(|example| example.id == *id);
        let example = example.unwrap_or_else(|| panic!("there is no operation {id}"));
        let names = prepare(&mut world);
        let named =
            |name: &str| names.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let Request { method, target, headers, body, .. } = example.request(named);
        let mut request = TestRequest::new(&method, &target).body(body.clone());
        for (name, value) in &headers {
            request = request.header(name, std::str::from_utf8(value).expect("text"));
        }
        let answer = world.ask(*by, request);
        let sent = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(answer.status, example.status, "{id}: {target} {sent}: {}", answer.json());
        world.last = answer.json();
    }
}
