//! Services' tokens, introspection and revocation.

use serde_json::json;

use super::administration::{ADMIN, administers};
use super::model::{
    Access, Answer, Caller, Grant, Holder, MINUTE, Model, Name, Session, error, granted, is_within,
};
use super::operation::{Bearer, Token};

impl Model {
    pub(super) fn credentials(&mut self, caller: Caller, scope: Option<Name>) -> Answer {
        let Some(client) = self.is_proven(caller) else { return error(401, "invalid_client") };
        let (whole, default) = match client {
            "backend" => ("ticket:issue ticket:impersonate profile email phone", None),
            _ => ("orders:read orders:write", Some("orders:read")),
        };
        let may_have = |word: &'static str| {
            word == ADMIN || is_within(word, whole) && self.scope_of(client, word) == word
        };
        let Some(scope) = scope.or(default).filter(|scope| scope.split(' ').all(may_have)) else {
            return error(400, "invalid_scope");
        };
        if administers(scope) && self.clients[client].roles.is_empty() {
            return error(400, "invalid_scope").because("role");
        }
        let (kind, life) =
            if administers(scope) { ("administration", 15 * MINUTE) } else { ("service", 60 * MINUTE) };
        let (expires, state_epoch) = (self.now + life, self.state_epoch);
        let client_epoch = self.registration(client);
        self.access.push(Access {
            session: None,
            client,
            scope,
            expires,
            revoked: false,
            state_epoch,
            client_epoch,
        });
        let told = (state_epoch != 0).then_some(state_epoch);
        let claims = json!({
            "sub": client, "client_id": client, "scope": scope, "act": null, "sid": null, "state_epoch": told,
            "client_epoch": client_epoch.filter(|epoch| *epoch != 0),
        });
        let token = self.access.len() - 1;
        let says = json!({
            "access_token": token, "refresh_token": null, "expires_in": life, "scope": scope, "claims": claims,
        });
        granted(kind, says)
    }

    pub(super) fn user_info(&self, bearer: Bearer) -> Answer {
        match self.holder(bearer) {
            Holder::Nobody => error(401, "invalid_token"),
            Holder::Restricted(_) => error(401, "invalid_token"),
            Holder::Service(token) => {
                let client = self.access[token].client;
                granted("service", json!({"sub": client, "userName": client}))
            }
            Holder::Person(session) => {
                let user = self.sessions[session].grant.user;
                granted("person", json!({"sub": format!("usr_{user}"), "userName": user}))
            }
        }
    }

    pub(super) fn introspect(&self, token: Token, caller: Caller) -> Answer {
        let Some(client) = self.is_proven(caller) else { return error(401, "invalid_client") };
        let (kind, session, scope) = match token {
            Token::Access(bearer) => match self.holder(bearer) {
                Holder::Person(session) => {
                    ("access", Some(session), self.access(bearer).map(|at| self.access[at].scope))
                }
                Holder::Service(at) => {
                    let Access { client, scope, .. } = self.access[at];
                    let scope = self.scope_of(client, scope);
                    let says = json!({"active": true, "sub": client, "client_id": client, "scope": scope, "sid": null});
                    return granted("service", says);
                }
                Holder::Nobody | Holder::Restricted(_) => ("inactive", None, None),
            },
            Token::Refresh(pick) => {
                let token = self.refresh(pick).filter(|at| self.is_for(*at, Some(client)));
                let token = token.map(|at| &self.refresh[at]).filter(|token| token.used.is_none());
                let session = token.filter(|token| self.now < token.expires).map(|token| token.session);
                ("refresh", session.filter(|session| self.may_go_on(*session)), None)
            }
        };
        let Some(session) = session else {
            return granted(
                "inactive",
                json!({"active": false, "sub": null, "scope": null, "client_id": null}),
            );
        };
        let grant = self.sessions[session].grant;
        let Grant { user, actor, client, scope: whole, .. } = grant;
        let act = actor.map(|actor| json!({"sub": format!("usr_{actor}")}));
        let says = json!({
            "active": true, "sub": format!("usr_{user}"), "username": user, "client_id": client, "act": act,
            "scope": self.grantable(&grant, scope.unwrap_or(whole)), "sid": session,
        });
        granted(kind, says)
    }

    pub(super) fn revoke(&mut self, token: Token, caller: Caller) -> Answer {
        let Some(client) = self.is_proven(caller) else { return error(401, "invalid_client") };
        let revoked = match token {
            Token::Access(bearer) => {
                let good = !matches!(self.holder(bearer), Holder::Nobody);
                let token = self.access(bearer).filter(|at| good && self.access[*at].client == client);
                token.map(|at| self.access[at].revoked = true)
            }
            Token::Refresh(pick) => {
                let session = self.refresh(pick).map(|at| self.refresh[at].session);
                let theirs = |at: &usize| {
                    let Session { grant, state_epoch, .. } = &self.sessions[*at];
                    grant.client == client && *state_epoch == self.state_epoch && self.clients_stand(grant)
                };
                let session = session.filter(theirs);
                session.map(|at| self.sessions[at].ended = true)
            }
        };
        granted(if revoked.is_some() { "revoked" } else { "left alone" }, json!({"error": null}))
    }
}
