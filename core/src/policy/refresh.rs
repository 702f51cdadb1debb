//! The one place where the use of a refresh token is decided (RFC 9700 §4.14.2).

use crate::base::time::Time;
use crate::policy::password::standing;
use crate::records::client::Client;
use crate::records::id::ClientId;
use crate::records::scope::Scope;
use crate::records::session::{Purpose, RefreshToken, Rotation, Session};
use crate::records::user::User;
use crate::settings::Settings;
use crate::store::audit::Refusal;
use crate::store::query::Family;

/// The verdict about a presented refresh token.
#[derive(Debug)]
pub(crate) enum Verdict<'a> {
    /// It is used, and has a successor.
    Rotate(Granted<'a>),
    /// It was used a moment ago and its answer may have been lost: the same successor again.
    Again(Granted<'a>),
    /// It was used before: somebody has a copy, and the whole family ends.
    Reused,
    /// It is refused, and nothing changes.
    Refuse(Refusal),
}

/// The grant of a refresh token.
#[derive(Debug)]
pub(crate) struct Granted<'a> {
    /// The user who is signed in.
    pub(crate) user: &'a User,
    /// The part of the session's scope that may be granted now.
    pub(crate) scope: Scope,
}

/// The party that presents a refresh token, as far as it is proven.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Presenter<'a> {
    /// Somebody: the token is the credential.
    Anybody,
    /// This client, which has authenticated.
    Client(&'a ClientId),
}

/// The time that one audit row about the refreshes of a session stands for, in seconds.
const RECORD_EVERY: u64 = 3600;

/// Returns how many refreshes an audit row is to tell of where `token` is used `now`; none where it is only counted. The first
/// refresh of a session has a row, and so has the first one an hour or more after a row. A row of a time that has not come yet
/// is as good as none.
pub(crate) fn refreshes_to_record(token: &RefreshToken, now: Time) -> Option<u32> {
    let is_recent = |at: Time| at <= now && at.until(now) < RECORD_EVERY;
    if token.recorded_at.is_some_and(is_recent) { None } else { Some(token.refreshes.saturating_add(1)) }
}

/// Decides on a refresh token that exists.
pub(crate) fn decide<'a>(
    family: &'a Family,
    presenter: Presenter<'_>,
    settings: &Settings,
    state_epoch: u64,
    now: Time,
) -> Verdict<'a> {
    // Before a reuse is looked for: who used it, and when, was lost with the newer state.
    if family.session.state_epoch != state_epoch {
        return Verdict::Refuse(Refusal::StateSuperseded);
    }
    let user = match admit(family, presenter, now) {
        Ok(user) => user,
        Err(refusal) => return Verdict::Refuse(refusal),
    };
    // Before anything that may pass: a copy shown while the client is disabled is a copy still.
    let again = match &family.refresh.rotation {
        None => false,
        Some(rotation) if is_a_lost_answer(family, rotation, settings, now) => true,
        Some(_) => return Verdict::Reused,
    };
    match others_stand(&Parties::of(family), settings, now) {
        Err(refusal) => Verdict::Refuse(refusal),
        // A session that administers has no refresh token.
        Ok(_) if !family.session.is_prolonged() => Verdict::Refuse(Refusal::NotGrantable),
        Ok(scope) if again => Verdict::Again(Granted { user, scope }),
        Ok(scope) if now < family.refresh.expires_at => Verdict::Rotate(Granted { user, scope }),
        Ok(_) => Verdict::Refuse(Refusal::RefreshExpired),
    }
}

/// Returns true if a used token was used within the grace, and its successor is unused.
fn is_a_lost_answer(family: &Family, rotation: &Rotation, settings: &Settings, now: Time) -> bool {
    let lately = rotation.at.until(now) < settings.refresh_grace.into() && !rotation.at.is_ahead_of(now);
    let unused =
        |s: &RefreshToken| s.digest == rotation.successor && s.rotation.is_none() && now < s.expires_at;
    lately && family.successor.as_ref().is_some_and(unused)
}

/// Returns the session's user, if the session is not over and the presenter may use it.
fn admit<'a>(family: &'a Family, presenter: Presenter<'_>, now: Time) -> Result<&'a User, Refusal> {
    let session = &family.session;
    match presenter {
        Presenter::Anybody if session.bind => return Err(Refusal::RedeemerUnproven),
        Presenter::Anybody => {}
        Presenter::Client(id) if *id != session.client_id => return Err(Refusal::AudienceMismatch),
        Presenter::Client(_) => {}
    }
    let user = family.user.as_ref().filter(|user| user.is_active()).ok_or(Refusal::UserInactive)?;
    if session.signed_in_at.is_ahead_of(now) {
        return Err(Refusal::DatedAhead);
    }
    if session.is_over(user.epoch, now) { Err(Refusal::SessionOver) } else { Ok(user) }
}

/// A session, and everyone it rests on as they are now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parties<'a> {
    pub(crate) session: &'a Session,
    pub(crate) user: Option<&'a User>,
    pub(crate) actor: Option<&'a User>,
    pub(crate) client: Option<&'a Client>,
    /// The issuer, where it is another client.
    pub(crate) issuer: Option<&'a Client>,
}

impl<'a> Parties<'a> {
    const fn of(family: &'a Family) -> Self {
        Self {
            session: &family.session,
            user: family.user.as_ref(),
            actor: family.actor.as_ref(),
            client: family.client.as_ref(),
            issuer: family.issuer.as_ref(),
        }
    }
}

/// Checks that the clients, the actor and the password still stand, and returns what may be granted now. A session for one purpose needs
/// no password that stands.
pub(crate) fn others_stand(parties: &Parties<'_>, settings: &Settings, now: Time) -> Result<Scope, Refusal> {
    let session = parties.session;
    let issuing = session.clients().stand(parties.client, parties.issuer)?;
    if let Some(actor) = &session.actor {
        let acting = parties.actor.filter(|acting| acting.is_active());
        if acting.ok_or(Refusal::ActorInactive)?.epoch != actor.epoch {
            return Err(Refusal::SessionOver);
        }
    } else if session.purpose == Purpose::Anything
        && parties.user.is_some_and(|user| standing(user, settings.password_age, now).must_change)
    {
        // Signing in anew is told what has to be done.
        return Err(Refusal::PasswordExpired);
    }
    Ok(issuing.grantable(&session.scope, settings))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ticket_redemption::tests::user;
    use crate::records::client::Client;
    use crate::records::client::tests::client;
    use crate::records::id::{SessionId, UserId};
    use crate::records::session::{Actor, RefreshDigest, Salt};
    use crate::settings::Issuer;
    use alloc::vec;

    const NOW: Time = Time::from_unix(1_000);

    /// A plain session of alice for `backend`, with a token that was not used.
    fn family() -> Family {
        let id = SessionId::parse("ses_1").unwrap();
        Family {
            refresh: RefreshToken {
                digest: RefreshDigest([1; 32]),
                session_id: id.clone(),
                issued_at: Time::from_unix(900),
                expires_at: Time::from_unix(2_000),
                rotation: None,
                number: 0,
                refreshes: 0,
                recorded_at: None,
            },
            successor: None,
            session: Session {
                id,
                user_id: UserId::parse("alice").unwrap(),
                user_epoch: 0,
                actor: None,
                client_id: ClientId::parse("backend").unwrap(),
                bind: false,
                for_audience: false,
                purpose: Purpose::Anything,
                scope: Scope::default(),
                auth_time: Time::from_unix(900),
                methods: vec![],
                expires_at: Time::from_unix(3_000),
                ended_at: None,
                state_epoch: 3,
                client_epoch: Some(0),
                issuer: None,
                signed_in_at: Time::from_unix(900),
            },
            user: Some(user("alice")),
            actor: None,
            client: Some(client("backend", "", "right")),
            issuer: None,
        }
    }

    /// The same by a ticket of another client, which then changed.
    fn issued_by(f: &mut Family, id: &str, change: impl Fn(&mut Client)) {
        let mut issuer = client(id, "", "s");
        f.session.issuer = Some(issuer.reference());
        change(&mut issuer);
        f.issuer = Some(issuer);
    }

    fn boss() -> Option<Actor> {
        Some(Actor { id: UserId::parse("boss").unwrap(), epoch: 0 })
    }

    /// The same, used `ago` seconds ago for a successor that was not used.
    fn used(f: &mut Family, ago: u64) {
        used_at(f, Time::from_unix(1_000 - ago));
    }

    fn used_at(f: &mut Family, at: Time) {
        let successor = RefreshDigest([2; 32]);
        f.successor = Some(RefreshToken { digest: successor, issued_at: at, ..f.refresh.clone() });
        f.refresh.rotation = Some(Rotation { at, salt: Salt([0; 32]), successor });
    }

    #[derive(Debug, PartialEq)]
    enum Short {
        Rotate,
        Again,
        Reused,
        Refuse(Refusal),
    }

    type Case = (&'static str, fn(&mut Family), Option<&'static str>, Short);

    #[test]
    fn what_becomes_of_a_refresh_token() {
        use Short::{Again, Refuse, Reused, Rotate};
        let table: &[Case] = &[
            ("unused", |_| {}, None, Rotate),
            ("unused, by its client", |_| {}, Some("backend"), Rotate),
            ("unused, by another", |_| {}, Some("other"), Refuse(Refusal::AudienceMismatch)),
            ("bound, by nobody", |f| f.session.bind = true, None, Refuse(Refusal::RedeemerUnproven)),
            ("bound, by its client", |f| f.session.bind = true, Some("backend"), Rotate),
            ("its last second", |f| f.refresh.expires_at = Time::from_unix(1_001), None, Rotate),
            ("expired", |f| f.refresh.expires_at = NOW, None, Refuse(Refusal::RefreshExpired)),
            ("used just now", |f| used(f, 0), None, Again),
            ("used a minute from now", |f| used_at(f, NOW.plus(60)), None, Again),
            ("used by a clock that was ahead", |f| used_at(f, NOW.plus(61)), None, Reused),
            (
                "of a session that is dated ahead",
                |f| f.session.signed_in_at = NOW.plus(61),
                None,
                Refuse(Refusal::DatedAhead),
            ),
            ("used within the grace", |f| used(f, 9), None, Again),
            ("used before the grace", |f| used(f, 10), None, Reused),
            ("used long ago", |f| used(f, 90), None, Reused),
            (
                "used lately, and its successor too",
                |f| {
                    used(f, 1);
                    let rotation = f.refresh.rotation.clone();
                    f.successor.as_mut().unwrap().rotation = rotation;
                },
                None,
                Reused,
            ),
            (
                "used lately, its successor gone",
                |f| {
                    used(f, 1);
                    f.successor = None;
                },
                None,
                Reused,
            ),
            ("used, by another", |f| used(f, 90), Some("other"), Refuse(Refusal::AudienceMismatch)),
            (
                "of an earlier state epoch",
                |f| f.session.state_epoch = 2,
                None,
                Refuse(Refusal::StateSuperseded),
            ),
            ("of a later state epoch", |f| f.session.state_epoch = 4, None, Refuse(Refusal::StateSuperseded)),
            (
                "used long ago, in another state epoch",
                |f| {
                    used(f, 90);
                    f.session.state_epoch = 2;
                },
                None,
                Refuse(Refusal::StateSuperseded),
            ),
            (
                "used just now, in another state epoch",
                |f| {
                    used(f, 0);
                    f.session.state_epoch = 2;
                },
                None,
                Refuse(Refusal::StateSuperseded),
            ),
            ("session over", |f| f.session.expires_at = NOW, None, Refuse(Refusal::SessionOver)),
            ("session ended", |f| f.session.ended_at = Some(NOW), None, Refuse(Refusal::SessionOver)),
            (
                "every session ended",
                |f| f.user.as_mut().unwrap().epoch = 1,
                None,
                Refuse(Refusal::SessionOver),
            ),
            ("user disabled", |f| f.user.as_mut().unwrap().disable(), None, Refuse(Refusal::UserInactive)),
            ("user gone", |f| f.user = None, None, Refuse(Refusal::UserInactive)),
            (
                "client disabled",
                |f| f.client.as_mut().unwrap().enabled = false,
                None,
                Refuse(Refusal::ClientInactive),
            ),
            (
                "a copy, while the client is disabled",
                |f| {
                    used(f, 90);
                    f.client.as_mut().unwrap().enabled = false;
                },
                None,
                Reused,
            ),
            (
                "a copy, while the actor is disabled",
                |f| {
                    used(f, 90);
                    f.session.actor = boss();
                },
                None,
                Reused,
            ),
            (
                "a lost answer, and the client disabled since",
                |f| {
                    used(f, 1);
                    f.client.as_mut().unwrap().enabled = false;
                },
                None,
                Refuse(Refusal::ClientInactive),
            ),
            (
                "a client of the same name",
                |f| f.client.as_mut().unwrap().epoch = 7,
                None,
                Refuse(Refusal::ClientInactive),
            ),
            (
                "a client of the same name, registered at the same time",
                |f| f.client = Some(Client { epoch: 7, created_at: NOW, ..client("backend", "", "right") }),
                None,
                Refuse(Refusal::ClientInactive),
            ),
            (
                "a client that was disabled and is enabled again",
                |f| {
                    let client = f.client.as_mut().unwrap();
                    client.disable();
                    client.enable();
                },
                None,
                Refuse(Refusal::ClientInactive),
            ),
            ("client gone", |f| f.client = None, None, Refuse(Refusal::ClientInactive)),
            (
                "of the command line, without a client",
                |f| (f.session.client_id, f.session.client_epoch, f.client) = (ClientId::admin(), None, None),
                None,
                Rotate,
            ),
            (
                "of the command line, with a client of that name",
                |f| (f.session.client_id, f.session.client_epoch) = (ClientId::admin(), None),
                None,
                Rotate,
            ),
            (
                "of a client called admin, which is gone",
                |f| (f.session.client_id, f.client) = (ClientId::admin(), None),
                None,
                Refuse(Refusal::ClientInactive),
            ),
            ("issued by another", |f| issued_by(f, "issuer", |_| {}), None, Rotate),
            (
                "issued by another, disabled since",
                |f| issued_by(f, "issuer", Client::disable),
                None,
                Refuse(Refusal::ClientInactive),
            ),
            (
                "issued by another, added anew since",
                |f| issued_by(f, "issuer", |issuer| issuer.epoch = 7),
                None,
                Refuse(Refusal::ClientInactive),
            ),
            (
                "issued by another, gone",
                |f| {
                    issued_by(f, "issuer", |_| {});
                    f.issuer = None;
                },
                None,
                Refuse(Refusal::ClientInactive),
            ),
            (
                "acted by the boss",
                |f| (f.session.actor, f.actor) = (boss(), Some(user("boss"))),
                None,
                Rotate,
            ),
            (
                "acted by the boss, whose sessions were ended since",
                |f| (f.session.actor, f.actor) = (boss(), Some(User { epoch: 1, ..user("boss") })),
                None,
                Refuse(Refusal::SessionOver),
            ),
            ("acted by nobody", |f| f.session.actor = boss(), None, Refuse(Refusal::ActorInactive)),
            (
                "acted by the boss, whose sessions were ended",
                |f| {
                    (f.session.actor, f.actor) = (boss(), Some(user("boss")));
                    f.actor.as_mut().unwrap().end_sessions();
                },
                None,
                Refuse(Refusal::SessionOver),
            ),
        ];
        let settings = Settings::new(Issuer::parse("http://gate.example").unwrap());
        for (what, alter, by, expected) in table {
            let mut family = family();
            alter(&mut family);
            let id = by.map(|id| ClientId::parse(id).unwrap());
            let presenter = id.as_ref().map_or(Presenter::Anybody, Presenter::Client);
            let verdict = match decide(&family, presenter, &settings, 3, NOW) {
                Verdict::Rotate(_) => Rotate,
                Verdict::Again(_) => Again,
                Verdict::Reused => Reused,
                Verdict::Refuse(refusal) => Refuse(refusal),
            };
            assert_eq!(verdict, *expected, "{what}");
        }
        let without_grace = Settings { refresh_grace: 0, ..settings };
        let mut family = family();
        used(&mut family, 0);
        assert!(matches!(decide(&family, Presenter::Anybody, &without_grace, 3, NOW), Verdict::Reused));
    }

    #[test]
    fn refreshes_have_one_row_an_hour() {
        let at = |unix| Some(Time::from_unix(unix));
        for (recorded_at, refreshes, now, expected) in [
            (None, 0, 10, Some(1)),
            (None, 4, 10, Some(5)),
            (at(10), 0, 10, None),
            (at(10), 7, 3_609, None),
            (at(10), 7, 3_610, Some(8)),
            (at(10), 0, 9_999, Some(1)),
            // After the clock was set back.
            (at(10), 2, 9, Some(3)),
            (at(10), u32::MAX, 3_610, Some(u32::MAX)),
        ] {
            let token = RefreshToken { refreshes, recorded_at, ..family().refresh };
            let found = refreshes_to_record(&token, Time::from_unix(now));
            assert_eq!(found, expected, "{recorded_at:?} {refreshes} {now}");
        }
    }

    #[test]
    fn the_tokens_that_a_session_has_no_room_for() {
        for (number, last) in
            [(0, None), (8, None), (9, Some(0)), (10, Some(1)), (u64::MAX, Some(u64::MAX - 9))]
        {
            let token = RefreshToken { number, ..family().refresh };
            assert_eq!(token.last_deleted(), last, "{number}");
        }
    }
}
