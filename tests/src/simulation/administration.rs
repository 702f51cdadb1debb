//! Administration over HTTP: requests of those who have a role, and of everybody else who holds a token.

use gatepass_core::base::time::Time;
use gatepass_core::http::request::Request;
use gatepass_core::records::role::Role;
use serde_json::{Value, json};

use super::World;
use super::answers::claims;
use super::network::RequestKind;
use super::server::Flow;
use crate::fixtures::request;

/// The scope of administration.
pub(super) const SCOPE: &str = "gatepass:admin";

/// The users whom requests are about: those with a role at first, and one without.
const SUBJECTS: [&str; 5] = ["p00", "p15", "p30", "boss", "p03"];

/// The author of a commit.
#[derive(Clone, Debug)]
pub(super) enum Author {
    /// A command on the machine.
    Command,
    /// A request that administers nothing.
    Request,
    /// A request to administer that takes `role`, with these claims.
    Administrator { claims: Value, role: Role, now: Time, superseded: bool },
}

/// Returns true if a token of these claims may administer.
pub(super) fn administers(claims: &Value) -> bool {
    claims["scope"].as_str().is_some_and(|scope| scope.split(' ').any(|word| word == SCOPE))
}

impl World {
    /// Sends a request to administer for `from`, or for somebody who has `token` and does not wait for the answer.
    pub(super) fn request_administration(&mut self, from: Option<usize>, token: String) {
        let (role, method, path, body) = self.draw_administration();
        let asks = request(&format!("/admin/v1/{path}"), &format!("Bearer {token}"), &body);
        let asks = Request { method: method.into(), ..asks };
        self.call(from, RequestKind::Administer { token, role, what: format!("{method} {path}") }, asks);
    }

    fn draw_administration(&mut self) -> (Role, &'static str, String, Value) {
        let subject = self.rng.pick(&SUBJECTS);
        let role = self.rng.pick(&Role::ALL).as_str();
        let number = self.next_number();
        let (user, roles) = (format!("users/usr_{subject}"), format!("roles/usr_{subject}"));
        match self.rng.below(11) {
            0..3 => (Role::Officer, "PUT", roles, json!({"roles": [role]})),
            3 => (Role::Officer, "DELETE", roles, json!({})),
            4 => (Role::Officer, "GET", "roles".into(), json!({})),
            5 => (Role::Officer, "POST", "clients/backend/secrets".into(), json!({})),
            6 => (Role::Operator, "PATCH", user, json!({"email": format!("{subject}-{number}@example.org")})),
            7 => (Role::Operator, "PATCH", user, json!({"status": self.rng.pick(&["active", "disabled"])})),
            8 => (Role::Operator, "DELETE", "users/usr_boss/factors".into(), json!({})),
            9 => (Role::Operator, "POST", "users/usr_p03/password/require-change".into(), json!({})),
            _ => (Role::Operator, "DELETE", format!("{user}/sessions"), json!({})),
        }
    }

    /// Returns the same author, whose token may be superseded by now.
    pub(super) fn as_of_now(&self, author: Author) -> Author {
        let Author::Administrator { claims, role, now, .. } = author else { return author };
        let superseded = self.is_superseded(&claims);
        Author::Administrator { claims, role, now, superseded }
    }

    /// Returns the author of a flow's commit.
    pub(super) fn author(&self, flow: Option<u64>) -> Author {
        flow.and_then(|id| self.flows.get(&id)).map_or(Author::Command, |flow| self.author_of(flow))
    }

    /// Returns the author of what `flow` does.
    pub(super) fn author_of(&self, flow: &Flow) -> Author {
        let RequestKind::Administer { token, role, .. } = &flow.what else { return Author::Request };
        let claims = claims(token);
        let superseded = self.is_superseded(&claims);
        Author::Administrator { claims, role: *role, now: flow.now, superseded }
    }
}
