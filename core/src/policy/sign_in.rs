//! The whole decision on who has passed the first factor: what else their sign-in needs.

use crate::policy::password::{Standing, standing};
use crate::policy::risk::{Circumstances, assess};
use crate::records::client::Client;
use crate::records::factor::{AskFactor, Factors};
use crate::records::risk::Assessment;
use crate::records::session::Purpose;
use crate::records::user::User;
use crate::settings::{AddressMismatch, Settings, Unenrolled};
use crate::store::audit::Refusal;

/// Somebody whose ticket or password was good.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The user to be signed in.
    pub user: &'a User,
    /// The client it is for.
    pub client: Option<&'a Client>,
    /// The second factors of who is at the keyboard: the actor's, where somebody acts as the user.
    pub factors: &'a Factors,
    /// True if they ask for administration.
    pub administers: bool,
    /// The rest of what is known.
    pub circumstances: Circumstances<'a>,
}

/// The verdict about a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They are signed in.
    SignIn,
    /// They are signed in for changing their password, and for nothing else.
    ChangePassword,
    /// They are asked for a second factor, for this reason.
    Challenge(&'static str),
    /// They are signed in for enrolling a second factor, and for nothing else.
    Enrol(&'static str),
    /// They should show a second factor, for this reason, and have none.
    Refuse(&'static str),
}

impl Verdict {
    /// Returns its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign in",
            Self::ChangePassword => "change password",
            Self::Challenge(_) => "challenge",
            Self::Enrol(_) => "enrol",
            Self::Refuse(_) => "refuse",
        }
    }

    /// Returns the reason for a second factor, if one is asked for.
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::SignIn | Self::ChangePassword => None,
            Self::Challenge(reason) | Self::Enrol(reason) | Self::Refuse(reason) => Some(reason),
        }
    }
}

/// A decision, with what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The risk.
    pub assessment: Assessment,
    /// The state of the user's password.
    pub password: Standing,
    /// The verdict.
    pub verdict: Verdict,
}

/// Returns what refuses `candidate` before their risk is judged, the first in the order of a sign-in.
pub fn refused_before(settings: &Settings, candidate: &Candidate<'_>) -> Option<Refusal> {
    let Candidate { user, client, circumstances, .. } = *candidate;
    let Circumstances { person, ticket, address_mismatch, impersonation, now, .. } = circumstances;
    let actor = impersonation.then_some(person);
    let must_change = |actor| standing(actor, settings.password_age, now).must_change;
    let refused = [
        (ticket.is_some_and(|(_, expires)| now >= expires), Refusal::TicketExpired),
        (address_mismatch && settings.address_mismatch == AddressMismatch::Refuse, Refusal::AddressMismatch),
        (client.is_some_and(|client| !client.enabled), Refusal::ClientInactive),
        (actor.is_some_and(|actor| !actor.is_active()), Refusal::ActorInactive),
        (actor.is_some_and(must_change), Refusal::PasswordExpired),
        (!user.is_active(), Refusal::UserInactive),
    ];
    refused.into_iter().find_map(|(holds, refusal)| holds.then_some(refusal))
}

/// Decides on `candidate`.
pub fn decide(settings: &Settings, candidate: &Candidate<'_>) -> Decision {
    let Candidate { user, factors, administers, circumstances, .. } = *candidate;
    let assessment = assess(&settings.risk, &circumstances);
    let password = standing(user, settings.password_age, circumstances.now);
    let acts = circumstances.impersonation;
    let unenrolled = if administers { Unenrolled::Enrol } else { settings.second_factor.unenrolled };
    let verdict = match (reason(settings, candidate, &assessment), unenrolled) {
        (Some(reason), _) if factors.is_enrolled() => Verdict::Challenge(reason),
        (Some(reason), Unenrolled::Refuse) => Verdict::Refuse(reason),
        (_, _) if password.purpose(acts) == Purpose::ChangePassword => Verdict::ChangePassword,
        (Some(reason), Unenrolled::Enrol) if acts => Verdict::Refuse(reason),
        (Some(reason), Unenrolled::Enrol) => Verdict::Enrol(reason),
        (Some(_), Unenrolled::SignIn) | (None, _) => Verdict::SignIn,
    };
    Decision { assessment, password, verdict }
}

/// Returns the reason for a second factor, if one is called for: that administration is asked for, or else the strongest signal of a risk that is high enough, or else the
/// policy that asks for one whatever the risk.
fn reason(settings: &Settings, candidate: &Candidate<'_>, assessment: &Assessment) -> Option<&'static str> {
    if candidate.administers {
        return Some("administration");
    }
    let (rules, acts) = (&settings.second_factor, candidate.circumstances.impersonation);
    let own = candidate.circumstances.person.second_factor;
    let for_client = candidate.client.and_then(|client| client.second_factor);
    let ask = match own {
        Some(ask) => ask,
        None if acts => rules.ask_actor,
        None => for_client.unwrap_or(rules.ask),
    };
    let risky = (assessment.score >= settings.risk.second_factor).then(|| assessment.strongest()).flatten();
    match (ask, risky) {
        (AskFactor::Never, _) | (AskFactor::Risk, None) => None,
        (AskFactor::Risk | AskFactor::Always, Some(signal)) => Some(signal.as_str()),
        (AskFactor::Always, None) if acts => Some("impersonation"),
        (AskFactor::Always, None) => Some("policy"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Time;
    use crate::policy::risk::tests::{NOON, Scene, ago, place};
    use crate::records::client::tests::client;
    use crate::records::factor::tests::device;
    use crate::records::sign_in_history::SignInHistory;
    use crate::settings::{Issuer, PasswordAge};
    use alloc::string::{String, ToString};
    use alloc::{format, vec, vec::Vec};

    /// The whole decision, a row for each case, as an operator would read it.
    const GOLDEN: &str = include_str!("golden.txt");

    /// Applies a word of the first column.
    fn bring_about(word: &str, scene: &mut Scene, case: &mut Case) {
        let day = 86_400;
        match word {
            "usual" => {}
            "first-device" => scene.history = SignInHistory::default(),
            "new-device" => scene.place = place("phone", "192.0.2.1"),
            "new-network" => scene.place = place("laptop", "203.0.113.1"),
            "old-ticket" => scene.ticket = Some((ago(280), ago(280).plus(300))),
            "password" => scene.ticket = None,
            "elsewhere" => scene.address_mismatch = true,
            "failures" => scene.history.failures = vec![ago(60); 4],
            "long-away" => scene.history.places[0].last_at = ago(100 * day),
            "odd-hour" => (scene.history.hours[12], scene.history.hours[3]) = (0, 30),
            "acting" => scene.impersonation = true,
            "changed" => scene.person.updated_at = ago(60),
            "must-change" => case.user.must_change_password = true,
            "expiring" => case.user.password_changed_at = Some(ago(80 * day)),
            "in-grace" => case.user.password_changed_at = Some(ago(93 * day)),
            "expired" => case.user.password_changed_at = Some(ago(98 * day)),
            "enrolled" => {
                case.factors.devices =
                    vec![crate::records::factor::TotpDevice { verified_at: Some(NOON), ..device() }];
            }
            "set-up" => case.factors.devices = vec![device()],
            "ask=never" => case.settings.second_factor.ask = AskFactor::Never,
            "ask=always" => case.settings.second_factor.ask = AskFactor::Always,
            "actor=never" => case.settings.second_factor.ask_actor = AskFactor::Never,
            "actor=risk" => case.settings.second_factor.ask_actor = AskFactor::Risk,
            "client=never" => case.client.second_factor = Some(AskFactor::Never),
            "client=always" => case.client.second_factor = Some(AskFactor::Always),
            "user=never" => scene.person.second_factor = Some(AskFactor::Never),
            "user=risk" => scene.person.second_factor = Some(AskFactor::Risk),
            "user=always" => scene.person.second_factor = Some(AskFactor::Always),
            "none=refuse" => case.settings.second_factor.unenrolled = Unenrolled::Refuse,
            "administers" => case.administers = true,
            "none=enrol" => case.settings.second_factor.unenrolled = Unenrolled::Enrol,
            other => panic!("{other} is no word of the table"),
        }
    }

    struct Case {
        settings: Settings,
        user: User,
        client: Client,
        factors: Factors,
        administers: bool,
    }

    fn decided(words: &str) -> String {
        let day = 86_400;
        let mut settings = Settings::new(Issuer::parse("http://gate.example").unwrap());
        settings.password_age = Some(PasswordAge { life: 90 * day, warning: 14 * day, grace: 7 * day });
        let mut scene = Scene::usual();
        let mut case = Case {
            settings,
            user: User {
                password_changed_at: Some(Time::from_unix(NOON.unix() - 86_400)),
                ..scene.person.clone()
            },
            client: client("portal", "", "right"),
            factors: Factors::default(),
            administers: false,
        };
        for word in words.split_whitespace() {
            bring_about(word, &mut scene, &mut case);
        }
        scene.enrolled = case.factors.is_enrolled();
        let decision = decide(
            &case.settings,
            &Candidate {
                user: &case.user,
                client: Some(&case.client),
                factors: &case.factors,
                administers: case.administers,
                circumstances: scene.circumstances(),
            },
        );
        let Decision { assessment, password, verdict } = decision;
        let mut words: Vec<String> = vec![format!("{} {}", assessment.score, assessment.level.as_str())];
        words.push(verdict.as_str().into());
        words.extend(verdict.reason().map(|reason| format!("for {reason}")));
        words.extend(password.warning.map(|warning| warning.as_str().to_string()));
        words.join(", ")
    }

    #[test]
    fn the_golden_table() {
        let rows: Vec<&str> =
            GOLDEN.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        assert!(rows.len() >= 40, "{} rows", rows.len());
        for row in rows {
            let (words, expected) = row.split_once('|').expect("two columns");
            assert_eq!(decided(words), expected.trim(), "{words}");
        }
    }

    /// In every case, only users with a factor are challenged, and only those without one are refused or sent to enrol.
    #[test]
    fn nobody_is_asked_for_what_they_do_not_have() {
        let ways = ["usual", "new-device", "acting", "failures elsewhere", "password administers"];
        let factors = ["", "enrolled", "set-up"];
        let asks = ["", "ask=never", "ask=always", "user=always", "client=always", "user=never ask=always"];
        let nones = ["", "none=refuse", "none=enrol"];
        for way in ways {
            for has in factors {
                for ask in asks {
                    for none in nones {
                        let words = decided(&format!("{way} {has} {ask} {none}"));
                        let challenged = words.contains("challenge");
                        let sent = words.contains("enrol") || words.contains("refuse");
                        assert!(!(challenged && has != "enrolled"), "{way} {has} {ask} {none}: {words}");
                        assert!(!(sent && has == "enrolled"), "{way} {has} {ask} {none}: {words}");
                    }
                }
            }
        }
    }
}
