//! Requests to every route that writes, one after the other.

use gatepass_tests::assertions;
use gatepass_tests::fixtures::{BACKEND_SECRET, claims};
use gatepass_tests::http::{Answer, TestRequest};
use gatepass_tests::totp::code_ahead;
use serde_json::{Value, json};

/// The routes that take a body, and write nothing for it.
pub(crate) const READING: [&str; 4] = [
    "POST /oauth2/introspect",
    "POST /userinfo",
    "POST /admin/v1/risk:explain",
    "POST /admin/v1/audit:verify",
];

const PASSWORD: &str = "a long passphrase";
const OTHER_PASSWORD: &str = "another long passphrase";

/// Whoever sends the requests.
pub(crate) trait Sender {
    /// Sends a request to a route, by its method and its path in the table of routes.
    fn send(&mut self, route: &'static str, request: &TestRequest) -> Answer;
}

/// A walk along the routes, with users and clients of its own.
pub(crate) struct Walk<'s, S> {
    sender: &'s mut S,
    /// The name of its user; a part of other names.
    name: String,
    /// Tokens of the clients with the roles operator, officer and auditor, and of `backend`.
    tokens: [String; 4],
}

const OPERATOR: usize = 0;
const OFFICER: usize = 1;
const AUDITOR: usize = 2;
const BACKEND: usize = 3;

/// Returns the request to a route with variable segments.
fn to(route: &str, segments: &[&str]) -> TestRequest {
    let (method, path) = route.split_once(' ').unwrap();
    let mut segments = segments.iter();
    let path: Vec<&str> = path
        .split('/')
        .map(|part| if part.starts_with('{') { segments.next().unwrap() } else { part })
        .collect();
    TestRequest::new(method, &path.join("/"))
}

trait WithBody {
    fn with(self, body: &Value) -> Self;
}

impl WithBody for TestRequest {
    fn with(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").body(body.to_string())
    }
}

fn session_id(answer: &Answer) -> String {
    claims(&answer.text("access_token"))["sid"].as_str().unwrap().to_owned()
}

impl<'s, S: Sender> Walk<'s, S> {
    pub(crate) fn new(sender: &'s mut S, name: &str, tokens: [String; 4]) -> Self {
        Self { sender, name: name.to_owned(), tokens }
    }

    /// Sends a request as the holder of a role.
    fn by(&mut self, holder: usize, route: &'static str, segments: &[&str], body: Option<&Value>) -> Answer {
        let request = to(route, segments).bearer(&self.tokens[holder]);
        let request = if let Some(body) = body { request.with(body) } else { request };
        self.sender.send(route, &request)
    }

    /// Sends a request with a body, and with a token if there is one.
    fn ask(&mut self, route: &'static str, token: Option<&Answer>, body: &Value) -> Answer {
        let request = to(route, &[]).with(body);
        let bearer = |answer: &Answer| request.clone().bearer(&answer.text("access_token"));
        let request = token.map(bearer).unwrap_or(request);
        self.sender.send(route, &request)
    }

    fn form(&mut self, route: &'static str, form: &str) -> Answer {
        let request = TestRequest::form(route.split_once(' ').unwrap().1, form);
        self.sender.send(route, &request.basic("backend", BACKEND_SECRET))
    }

    fn ticket(&mut self) -> String {
        let body = json!({"user_id": self.name});
        self.by(BACKEND, "POST /auth/generate-ticket", &[], Some(&body)).text("ticket")
    }

    /// Redeems a new ticket.
    fn signed_in(&mut self) -> Answer {
        let body = json!({"ticket": self.ticket()});
        self.ask("POST /auth/ticket/signin", None, &body)
    }

    /// Sends all of them.
    pub(crate) fn run(mut self) {
        let body = json!({"username": self.name, "password": PASSWORD});
        let user = self.by(OPERATOR, "POST /admin/v1/users", &[], Some(&body)).text("id");
        self.password(&user);
        self.sessions(&user);
        self.second_factor(&user);
        self.administration(&user);
        self.clients();
        self.keys();
        self.by(AUDITOR, "POST /admin/v1/audit:archive", &[], Some(&json!({})));
    }

    fn password(&mut self, user: &str) {
        let body = json!({"password": OTHER_PASSWORD, "must_change": false});
        self.by(OPERATOR, "PUT /admin/v1/users/{id}/password", &[user], Some(&body));
        for password in [PASSWORD, OTHER_PASSWORD] {
            let body = json!({"identity": self.name, "password": password});
            let answer = self.ask("POST /auth/login", None, &body);
            if password == OTHER_PASSWORD {
                let body = json!({"old_password": OTHER_PASSWORD, "new_password": PASSWORD});
                self.ask("PUT /auth/me/password", Some(&answer), &body);
            }
        }
        self.by(OPERATOR, "POST /admin/v1/users/{id}/unlock", &[user], None);
    }

    fn sessions(&mut self, user: &str) {
        let spent = json!({"ticket": self.ticket()});
        let one = self.ask("POST /auth/ticket/signin", None, &spent);
        self.ask("POST /auth/ticket/signin", None, &spent);
        let two = self.signed_in();
        let ends = to("DELETE /auth/me/sessions/{id}", &[&session_id(&two)]);
        self.sender.send("DELETE /auth/me/sessions/{id}", &ends.bearer(&one.text("access_token")));
        let refreshed =
            self.ask("POST /auth/refresh", None, &json!({"refresh_token": one.text("refresh_token")}));
        self.ask("DELETE /auth/me/sessions", Some(&refreshed), &json!({}));
        // Its refresh token is used by now: this ends the family.
        self.ask("POST /auth/refresh", None, &json!({"refresh_token": one.text("refresh_token")}));
        let token = self.signed_in().text("refresh_token");
        let granted =
            self.form("POST /oauth2/token", &format!("grant_type=refresh_token&refresh_token={token}"));
        self.form("POST /oauth2/revoke", &format!("token={}", granted.text("access_token")));
        self.form("POST /oauth2/revoke", &format!("token={}", granted.text("refresh_token")));
        let session = session_id(&self.signed_in());
        self.by(OPERATOR, "DELETE /admin/v1/users/{id}/sessions/{session}", &[user, &session], None);
        self.signed_in();
        self.by(OPERATOR, "DELETE /admin/v1/users/{id}/sessions", &[user], None);
    }

    /// Sets up a device. Returns the answer to that.
    fn device(&mut self, session: &Answer) -> Value {
        let device = self.ask("POST /mfa/totp/setup", Some(session), &json!({})).json()["data"].clone();
        let code = code_ahead(device["secret"].as_str().unwrap(), 0);
        self.ask("POST /mfa/totp/verify", Some(session), &json!({"code": "000000x"}));
        self.ask("POST /mfa/totp/verify", Some(session), &json!({"code": code}));
        device
    }

    fn second_factor(&mut self, user: &str) {
        let session = self.signed_in();
        let device = self.device(&session);
        let body = json!({"ticket": self.ticket()});
        let redeem = to("POST /auth/ticket/signin", &[]).with(&body).header("X-Device-Id", "another");
        let challenge = self.sender.send("POST /auth/ticket/signin", &redeem).text("challenge_token");
        for code in [&json!("AAAA-AAAA-AAAA-AAAA"), &device["backup_codes"][0]] {
            let body = json!({"challenge_token": challenge, "code": code, "mfa_method": "backup_code"});
            self.ask("POST /auth/mfa/verify-challenge", None, &body);
        }
        let removes = to("DELETE /mfa/totp/devices/{id}", &[device["device_id"].as_str().unwrap()]);
        let code = code_ahead(device["secret"].as_str().unwrap(), 1);
        let removes = removes.with(&json!({"code": code})).bearer(&session.text("access_token"));
        self.sender.send("DELETE /mfa/totp/devices/{id}", &removes);
        self.device(&session);
        self.by(OPERATOR, "DELETE /admin/v1/users/{id}/factors", &[user], None);
    }

    fn administration(&mut self, user: &str) {
        self.by(OPERATOR, "PATCH /admin/v1/users/{id}", &[user], Some(&json!({"name": "Somebody"})));
        self.ticket();
        let listed = TestRequest::new("GET", &format!("/admin/v1/tickets?state=live&user={user}"));
        let listed = self.sender.send("GET /admin/v1/tickets", &listed.bearer(&self.tokens[OPERATOR])).json();
        let ticket = listed["items"][0]["id"].as_str().unwrap();
        self.by(OPERATOR, "DELETE /admin/v1/tickets/{id}", &[ticket], None);
        self.by(OFFICER, "PUT /admin/v1/roles/{id}", &[user], Some(&json!({"roles": ["operator"]})));
        self.by(OFFICER, "DELETE /admin/v1/roles/{id}", &[user], None);
        self.by(OPERATOR, "POST /admin/v1/users/{id}/password/require-change", &[user], None);
        self.by(OPERATOR, "DELETE /admin/v1/users/{id}", &[user], None);
        let line = json!({"username": self.name, "email": format!("{}@example.com", self.name)});
        let imports = to("POST /admin/v1/users:import", &[])
            .header("Content-Type", "application/jsonl")
            .body(line.to_string());
        self.sender.send("POST /admin/v1/users:import", &imports.bearer(&self.tokens[OPERATOR]));
    }

    fn clients(&mut self) {
        let client = self.name.clone();
        let body = json!({"client_id": client, "scope": "a b"});
        self.by(OFFICER, "POST /admin/v1/clients", &[], Some(&body));
        self.by(OFFICER, "PATCH /admin/v1/clients/{id}", &[&client], Some(&json!({"scope": "a"})));
        let secret = self.by(OFFICER, "POST /admin/v1/clients/{id}/secrets", &[&client], Some(&json!({})));
        let ends = "DELETE /admin/v1/clients/{id}/secrets/{secret}";
        self.by(OFFICER, ends, &[&client, &secret.text("id")], None);
        let keys: Value = serde_json::from_str(&assertions::key_set()).unwrap();
        self.by(OFFICER, "PUT /admin/v1/clients/{id}/keys", &[&client], Some(&keys));
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let now = gatepass_core::base::time::Time::from_unix(now);
        let claims = assertions::claims(&client, "http://gate.example", "once", now);
        let form = format!(
            "grant_type=client_credentials&scope=a&{}{}",
            assertions::TYPE,
            assertions::signed(&claims)
        );
        // The assertion is good for one use.
        for _ in 0..2 {
            self.sender.send("POST /oauth2/token", &TestRequest::form("/oauth2/token", &form));
        }
        let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "2"});
        self.by(OFFICER, "POST /admin/v1/clients/{id}/keys", &[&client], Some(&json!({"jwk": key})));
        self.by(OFFICER, "DELETE /admin/v1/clients/{id}/keys/{kid}", &[&client, "2"], None);
        self.by(OFFICER, "DELETE /admin/v1/clients/{id}", &[&client], None);
    }

    fn keys(&mut self) {
        let key = self.by(OFFICER, "POST /admin/v1/keys", &[], Some(&json!({"alg": "ES256"}))).text("kid");
        self.by(OFFICER, "POST /admin/v1/keys/{kid}/activate", &[&key], Some(&json!({"now": true})));
        self.by(OFFICER, "POST /admin/v1/keys/{kid}/stop", &[&key], None);
        let retires = TestRequest::new("DELETE", &format!("/admin/v1/keys/{key}?now=true"));
        self.sender.send("DELETE /admin/v1/keys/{kid}", &retires.bearer(&self.tokens[OFFICER]));
    }
}
