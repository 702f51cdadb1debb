//! The measured flows: their requests, and the credentials that their answers give.

use gatepass_tests::fixtures::PORTAL_SECRET;
use gatepass_tests::http::TestRequest;
use gatepass_tests::suite::{introspect, refresh, sign_in};
use serde_json::{Value, json};

use crate::measured_server::MeasuredServer;

/// The step from one user to the next, so that neighbours are far apart in the file.
const STRIDE: usize = 7919;

/// A measured flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    ClientCredentials,
    GenerateTicket,
    SignIn,
    Refresh,
    Userinfo,
    Introspection,
}

impl Flow {
    /// All flows, in an order in which each finds the credentials it needs.
    pub(crate) const ALL: [Self; 6] = [
        Self::ClientCredentials,
        Self::GenerateTicket,
        Self::SignIn,
        Self::Refresh,
        Self::Userinfo,
        Self::Introspection,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client credentials",
            Self::GenerateTicket => "generate-ticket *",
            Self::SignIn => "ticket sign-in *",
            Self::Refresh => "refresh *",
            Self::Userinfo => "userinfo",
            Self::Introspection => "introspection",
        }
    }

    pub(crate) const fn signs(self) -> bool {
        matches!(self, Self::ClientCredentials | Self::SignIn | Self::Refresh)
    }

    pub(crate) const fn verifies(self) -> bool {
        matches!(self, Self::GenerateTicket | Self::Userinfo | Self::Introspection)
    }
}

/// The credentials that were handed out and are still good.
#[derive(Default)]
pub(crate) struct IssuedCredentials {
    tickets: Vec<String>,
    access: Vec<String>,
    refresh: Vec<String>,
}

impl IssuedCredentials {
    /// Returns `count` requests of `flow`, each of which will be granted.
    pub(crate) fn requests(&mut self, flow: Flow, served: &MeasuredServer, count: usize) -> Vec<Vec<u8>> {
        let asks: Vec<TestRequest> = match flow {
            Flow::ClientCredentials => {
                let form = "grant_type=client_credentials&scope=orders%3Aread";
                vec![TestRequest::form("/oauth2/token", form).basic("portal", PORTAL_SECRET)]
            }
            Flow::GenerateTicket => {
                let token = served.target().service_token("ticket:issue");
                (0..count)
                    .map(|number| {
                        let user = format!("usr_person{}", number * STRIDE % served.people);
                        let body = json!({"user_id": user, "audience": "portal", "ttl": 3600});
                        TestRequest::json("/auth/generate-ticket", &body).bearer(&token)
                    })
                    .collect()
            }
            Flow::SignIn => self.tickets.drain(..count).map(|ticket| sign_in(&ticket)).collect(),
            Flow::Refresh => self.refresh.drain(..count).map(|token| refresh(&token)).collect(),
            Flow::Userinfo => self
                .access
                .iter()
                .take(count)
                .map(|token| TestRequest::new("GET", "/userinfo").bearer(token))
                .collect(),
            Flow::Introspection => self.access.iter().take(count).map(|token| introspect(token)).collect(),
        };
        asks.iter().map(|ask| ask.bytes(served.address())).collect()
    }

    /// Keeps the credentials in the answers to `flow`.
    pub(crate) fn keep(&mut self, flow: Flow, bodies: &[Vec<u8>]) {
        let bodies = bodies.iter().map(|body| serde_json::from_slice::<Value>(body).expect("JSON"));
        let text = |body: &Value, name: &str| body[name].as_str().expect("a text").to_owned();
        match flow {
            Flow::GenerateTicket => self.tickets.extend(bodies.map(|body| text(&body, "ticket"))),
            Flow::SignIn => {
                for body in bodies {
                    self.access.push(text(&body, "access_token"));
                    self.refresh.push(text(&body, "refresh_token"));
                }
            }
            Flow::ClientCredentials | Flow::Refresh | Flow::Userinfo | Flow::Introspection => {}
        }
    }
}
