//! A session's tokens, and refreshing.

use serde_json::json;

use super::administration::administers;
use super::model::{
    Access, Answer, Caller, DAY, ISSUER, MINUTE, Model, Name, Refresh, Session, error, granted, is_within,
    refused,
};

impl Model {
    pub(super) fn refresh_token(&mut self, session: usize) -> usize {
        let expires = self.sessions[session].expires.min(self.now + 14 * DAY);
        self.refresh.push(Refresh { session, expires, used: None });
        self.refresh.len() - 1
    }

    /// Issues an access token of `session`, and returns the answer with it.
    pub(super) fn tokens(
        &mut self,
        kind: &str,
        session: usize,
        scope: Option<Name>,
        refresh: Option<usize>,
    ) -> Answer {
        let Session { grant, amr, expires, .. } = self.sessions[session].clone();
        let scope = scope.unwrap_or_else(|| self.grantable(&grant, grant.scope));
        let left = expires - self.now;
        // A token that administers lives as long as its session.
        let life = if administers(scope) { left } else { left.min(30 * MINUTE) };
        let token = Access {
            session: Some(session),
            client: grant.client,
            scope,
            expires: self.now + life,
            revoked: false,
            state_epoch: self.state_epoch,
            client_epoch: None,
        };
        self.access.push(token);
        let act = grant.actor.map(|actor| json!({"sub": format!("usr_{actor}")}));
        let aud = if grant.audience { json!([ISSUER, grant.client]) } else { json!(ISSUER) };
        let (must_change, notice) = self.password_notice(grant.user);
        let restricted = self.sessions[session].restricted;
        let mut answer = granted(
            kind,
            json!({
                "access_token": self.access.len() - 1, "refresh_token": refresh, "expires_in": life,
                "requires_mfa": false, "challenge_token": null, "user_id": format!("usr_{}", grant.user),
                "must_change_password": must_change, "password_warning": notice,
                "claims": {
                    "sub": format!("usr_{}", grant.user), "client_id": grant.client, "aud": aud, "scope": scope,
                    "amr": amr, "act": act, "sid": session, "state_epoch": null, "client_epoch": null,
                },
                "must_enrol": (grant.scope == "gatepass:enrol").then_some(true),
            }),
        );
        if restricted {
            answer.says["user"] = json!(null);
        }
        answer
    }

    pub(super) fn refreshed(
        &mut self,
        token: Option<usize>,
        caller: Caller,
        grant: bool,
        scope: Option<Name>,
    ) -> Answer {
        let refusal = if grant { error(400, "invalid_grant") } else { refused(40020) };
        let client = self.is_proven(caller);
        if client.is_none() && (grant || caller != Caller::Nobody) {
            return if grant { error(401, "invalid_client") } else { refusal.because("client") };
        }
        let Some(at) = token else { return refusal.because("unknown") };
        if self.sessions[self.refresh[at].session].state_epoch != self.state_epoch {
            return refusal.because("superseded");
        }
        if !self.is_for(at, client) {
            return refusal.because("not theirs");
        }
        let Refresh { session, expires, used } = self.refresh[at];
        let lost = |(used_at, next): &(u64, usize)| {
            let next = &self.refresh[*next];
            self.now < used_at + 10 && next.used.is_none() && self.now < next.expires
        };
        if used.is_some_and(|used| !lost(&used)) {
            // A reused token was copied.
            self.sessions[session].ended = true;
            return refusal.because("reused");
        }
        if !self.may_go_on(session) {
            return refusal.because("others");
        }
        if used.is_none() && self.now >= expires {
            return refusal.because("expired");
        }
        let scope = scope.filter(|_| grant);
        let grant_now = self.sessions[session].grant;
        let left = self.grantable(&grant_now, grant_now.scope);
        if scope.is_some_and(|scope| !is_within(scope, left)) {
            return error(400, "invalid_scope");
        }
        let (kind, next) = match used {
            Some((_, next)) => ("again", next),
            None => ("refreshed", self.refresh_token(session)),
        };
        self.refresh[at].used = used.or(Some((self.now, next)));
        let mut answer = self.tokens(kind, session, scope, Some(next));
        if grant {
            let oauth = ["requires_mfa", "user_id", "must_change_password", "password_warning", "must_enrol"];
            answer
                .says
                .as_object_mut()
                .expect("an object")
                .retain(|member, _| !oauth.contains(&member.as_str()));
            answer.says["scope"] = answer.says["claims"]["scope"].clone();
        }
        answer
    }

    /// Returns true if `client`, or no client, may present the refresh token, and its session is live apart from its
    /// actor.
    pub(super) fn is_for(&self, token: usize, client: Option<Name>) -> bool {
        let session = &self.sessions[self.refresh[token].session];
        let grant = &session.grant;
        client.map_or(!grant.bind, |client| client == grant.client)
            && !session.ended
            && self.now < session.expires
            && self.is_active(grant.user)
            && self.epochs(grant)[0] == session.epochs[0]
    }

    /// Returns true if client, actor and password allow the session to go on.
    pub(super) fn may_go_on(&self, session: usize) -> bool {
        let grant = &self.sessions[session].grant;
        self.is_live(session) && !self.must_change(grant)
    }
}
