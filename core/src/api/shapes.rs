//! The bodies of the answers, field by field as the origin documents have them. A key that does not apply is
//! absent, except in [`UserInfo`], whose seven keys are always there.

use alloc::{string::String, vec::Vec};

use serde_json::Value;

use crate::http::problem::Problem;
use crate::http::shape::{Kind, Member, Nullable, Object, Schema, Shape, answer};
use crate::jose::claims::{Actor, Audience};
use crate::policy::password::{Standing, Warning};
use crate::records::client::Client;
use crate::records::risk::Level;
use crate::records::scope::Scope;
use crate::records::session::Purpose;
use crate::records::user::{Gender, User};

answer! {
    /// The risk of a sign-in.
    pub(crate) struct RiskAssessment<'a> {
        /// `low`, `medium` or `high`.
        level: &'a str [names(&LEVELS)] = "low",
        /// The weights of the signals that were raised, added up.
        score: u8 [within(0, 100)] = 0,
        /// True if a second factor is asked for.
        require_mfa: bool = false,
        /// The second factors that the user has.
        recommended_mfa_methods: Option<&'a [&'a str]> = ["totp"],
    }
}

answer! {
    /// The result of a sign-in that waits for a second factor. There are no tokens yet.
    pub(crate) struct ChallengeResponse<'a> {
        /// True.
        requires_mfa: bool = true,
        /// The challenge, to be sent to `/auth/mfa/verify-challenge` with a code.
        challenge_token: &'a str = "chg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        /// The second factors that are accepted.
        required_mfa_methods: &'a [&'a str] = ["totp"],
        /// The reason why a second factor is asked for.
        mfa_check_reason: &'a str = "new_device",
        /// `low`, `medium` or `high`.
        risk_level: &'a str [names(&LEVELS)] = "low",
        /// The risk in detail.
        risk_assessment: RiskAssessment<'a>,
    }
}

answer! {
    /// The result of a sign-in. Members are absent where they do not apply.
    pub(crate) struct LoginResponse<'a> {
        /// The access token, a JWT.
        access_token: &'a str,
        /// The refresh token, which is used once. A session that is good for one thing alone has none.
        refresh_token: Option<&'a str> = "rft_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        /// `Bearer`.
        token_type: &'a str [names(&["Bearer"])] = "Bearer",
        /// The lifetime of the access token in seconds.
        expires_in: u64 = 1800,
        /// The user who is signed in. Absent where the session is good for one thing alone.
        user: Option<Account<'a>>,
        /// The id of who is signed in.
        user_id: &'a str = "usr_alice",
        /// False: there are tokens.
        requires_mfa: bool = false,
        /// The reason why a second factor has to be enrolled.
        mfa_check_reason: Option<&'a str>,
        /// The second factors that can be enrolled.
        required_mfa_methods: Option<&'a [&'a str]>,
        /// `low`, `medium` or `high`.
        risk_level: Option<&'a str> [names(&LEVELS)] = "low",
        /// The risk in detail.
        risk_assessment: Option<RiskAssessment<'a>>,
        /// True if the token is good for enrolling a second factor alone.
        must_enrol: Option<bool>,
        ..password: PasswordNotice,
    }
}

/// The levels of risk.
const LEVELS: [&str; 3] = [Level::Low.as_str(), Level::Medium.as_str(), Level::High.as_str()];

impl<'a> LoginResponse<'a> {
    /// Tokens for `user`; the access token with its life in seconds. A session that is good for one thing alone says which, and nothing of
    /// the account: it is no sign-in yet.
    pub(crate) fn new(
        (access_token, expires_in): (&'a str, u64),
        refresh_token: Option<&'a str>,
        user: &'a User,
        password: Standing,
        purpose: Purpose,
    ) -> Self {
        let whole = purpose == Purpose::Anything;
        Self {
            access_token,
            refresh_token,
            token_type: "Bearer",
            expires_in,
            user: whole.then(|| Account::new(user, password)),
            user_id: user.id.as_str(),
            password: password.into(),
            requires_mfa: false,
            mfa_check_reason: None,
            required_mfa_methods: None,
            risk_level: None,
            risk_assessment: None,
            must_enrol: (purpose == Purpose::Enrol).then_some(true),
        }
    }

    /// The same, with how the sign-in was judged.
    pub(crate) fn judged(self, risk: RiskAssessment<'a>) -> Self {
        Self { risk_level: Some(risk.level), risk_assessment: Some(risk), ..self }
    }
}

answer! {
    /// The age of a password.
    pub(crate) struct PasswordNotice {
        /// True if the token is good for changing the password alone.
        must_change_password: bool = false,
        /// The days until the password expires.
        password_expires_in: Option<u64>,
        /// `expiring`, `expired_grace` or `expired`.
        password_warning: Option<&'static str> [names(&["expiring", "expired_grace", "expired"])],
    }
}

impl From<Standing> for PasswordNotice {
    fn from(standing: Standing) -> Self {
        Self {
            must_change_password: standing.must_change,
            password_expires_in: standing.expires_in,
            password_warning: standing.warning.map(Warning::as_str),
        }
    }
}

answer! {
    /// The account of who signed in.
    pub(crate) struct Account<'a> {
        /// The id.
        id: &'a str = "usr_alice",
        /// The user name.
        username: &'a str = "alice",
        /// The e-mail address.
        email: Option<&'a str> = "alice@example.com",
        /// The telephone number.
        phone: Option<&'a str>,
        /// `active` or `disabled`.
        status: &'a str = "active",
        /// The time when the account was added.
        created_at: String [format("date-time")] = "2026-01-01T00:00:00Z",
        ..password: PasswordNotice,
    }
}

impl<'a> Account<'a> {
    fn new(user: &'a User, password: Standing) -> Self {
        Self {
            id: user.id.as_str(),
            username: user.username.as_str(),
            email: user.email.as_deref(),
            phone: user.phone.as_deref(),
            status: user.status.as_str(),
            created_at: user.created_at.rfc3339(),
            password: password.into(),
        }
    }
}

answer! {
    /// An access token (RFC 6749 §5.1).
    pub(crate) struct AccessToken<'a> {
        /// The access token, a JWT.
        access_token: &'a str,
        /// Its lifetime in seconds.
        expires_in: u64 = 3600,
        /// `Bearer`.
        token_type: &'a str [names(&["Bearer"])] = "Bearer",
        /// The scope that was granted.
        scope: &'a str = "ticket:issue",
        /// The next refresh token, for the grant `refresh_token` alone.
        refresh_token: Option<&'a str>,
    }
}

answer! {
    /// The state of a token (RFC 7662 §2.2). An inactive one has no other member.
    #[derive(Default)]
    pub(crate) struct Introspection<'a> {
        /// True if the token is good.
        active: bool = true,
        /// Its scope.
        scope: Option<&'a str> = "ticket:issue",
        /// The client that it was issued to, or for.
        client_id: Option<&'a str> = "portal",
        /// The user name, of a user's token.
        username: Option<&'a str>,
        /// `Bearer`, of an access token.
        token_type: Option<&'a str> [names(&["Bearer"])],
        /// The time when it expires, in seconds since 1970.
        exp: Option<u64>,
        /// The time when it was issued.
        iat: Option<u64>,
        /// The user or the client that it speaks for.
        sub: Option<&'a str>,
        /// The servers that it is for.
        aud: Option<Audience<'a>>,
        /// The issuer.
        iss: Option<&'a str>,
        /// Its id, of an access token.
        jti: Option<&'a str>,
        /// The session, of a user's token.
        sid: Option<&'a str>,
        /// The actor (RFC 8693 §4.1).
        act: Option<Actor<'a>>,
    }
}

answer! {
    /// A TOTP device that was just set up. It counts once a first code was verified.
    pub(crate) struct Enrolment<'a> {
        /// The device's id.
        device_id: &'a str = "dev_AAAAAAAAAAAAAAAAAAAAAA",
        /// The secret, in Base32, for typing it in.
        secret: &'a str,
        /// An image of `qr_code_url`, as a data URI.
        qr_code: &'a str,
        /// The `otpauth://` URI.
        qr_code_url: &'a str,
        /// The backup codes, with the first device alone.
        backup_codes: Option<Vec<&'a str>>,
    }
}

answer! {
    /// A TOTP device as its owner sees it.
    pub(crate) struct DeviceEntry<'a> {
        /// The id.
        device_id: &'a str = "dev_AAAAAAAAAAAAAAAAAAAAAA",
        /// The name.
        device_name: Option<&'a str> = "Phone",
        /// The hash function of its codes.
        algorithm: &'a str = "SHA1",
        /// The digits of its codes.
        digits: u8 = 6,
        /// The seconds that a code lasts.
        period: u64 = 30,
        /// True once a first code was verified.
        verified: bool = true,
        /// The time when it was set up.
        created_at: String [format("date-time")] = "2026-01-01T00:00:00Z",
    }
}

answer! {
    /// A session as its owner sees it.
    pub(crate) struct SessionEntry<'a> {
        /// The id.
        id: &'a str = "ses_AAAAAAAAAAAAAAAAAAAAAA",
        /// The client that the sign-in was for.
        client_id: &'a str = "portal",
        /// The scope.
        scope: &'a str = "profile",
        /// The time of the sign-in.
        created_at: String [format("date-time")] = "2026-01-01T00:00:00Z",
        /// The time when it ends.
        expires_at: String [format("date-time")] = "2026-01-31T00:00:00Z",
        /// True of the session that asks.
        current: bool = true,
        /// The user who acts in it as its user.
        actor: Option<&'a str>,
    }
}

answer! {
    /// A ticket that was just issued.
    pub(crate) struct IssuedTicket<'a> {
        /// The ticket. It is shown here alone.
        ticket: &'a str = "tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        /// Its lifetime in seconds.
        expires_in: u32 = 120,
    }
}

answer! {
    /// The person or service of a token: seven members that are always there, then the OpenID Connect names (Core §5.1) that the
    /// granted scope brings.
    pub(crate) struct UserInfo<'a> {
        /// The user's id, or the client id.
        sub: &'a str = "usr_alice",
        /// The user name, or the client id.
        user_name as "userName": &'a str = "alice",
        /// The full name, or the client's name.
        name: Nullable<&'a str> = "Alice",
        /// The telephone number.
        phone_number_origin as "phoneNumber": Nullable<&'a str> = null,
        /// The e-mail address.
        email: Nullable<&'a str> = "alice@example.com",
        /// `female`, `male` or null.
        gender: Nullable<Gender> = null,
        /// The address: any JSON value, or null.
        address: Value = null,
        /// The user name, with the scope `profile`.
        preferred_username: Option<&'a str>,
        /// The time when the account was last changed, with the scope `profile`.
        updated_at: Option<u64>,
        /// The telephone number, with the scope `phone`.
        phone_number: Option<&'a str>,
        /// False, with the scope `email`: addresses are not verified here.
        email_verified: Option<bool>,
    }
}

impl<'a> UserInfo<'a> {
    /// For a person's token with `scope`.
    pub(crate) fn of_user(user: &'a User, scope: &Scope) -> Self {
        let profile = scope.contains("profile");
        Self {
            sub: user.id.as_str(),
            user_name: user.username.as_str(),
            name: Nullable(user.name.as_deref()),
            phone_number_origin: Nullable(user.phone.as_deref()),
            email: Nullable(user.email.as_deref()),
            gender: Nullable(user.gender),
            address: user
                .address
                .as_deref()
                .and_then(|a| serde_json::from_str(a).ok())
                .unwrap_or(Value::Null),
            preferred_username: profile.then_some(user.username.as_str()),
            updated_at: profile.then_some(user.updated_at.unix()),
            phone_number: user.phone.as_deref().filter(|_| scope.contains("phone")),
            // Nothing here ever verifies an address, and the claim must not suggest it.
            email_verified: user.email.as_ref().filter(|_| scope.contains("email")).map(|_| false),
        }
    }

    /// For a service's own token.
    pub(crate) fn of_client(client: &'a Client) -> Self {
        Self {
            sub: client.id.as_str(),
            user_name: client.id.as_str(),
            name: Nullable(client.name.as_deref()),
            phone_number_origin: Nullable(None),
            email: Nullable(None),
            gender: Nullable(None),
            address: Value::Null,
            preferred_username: None,
            updated_at: None,
            phone_number: None,
            email_verified: None,
        }
    }
}

answer! {
    /// Authorization server metadata (RFC 8414 §2).
    pub(crate) struct Metadata<'a> {
        /// The issuer.
        issuer: &'a str,
        /// The URL of `/oauth2/token`.
        token_endpoint: String [format("uri")],
        /// The URL of `/userinfo`.
        userinfo_endpoint: String [format("uri")],
        /// The URL of the key set.
        jwks_uri: String [format("uri")],
        /// The URL of `/oauth2/introspect`.
        introspection_endpoint: String [format("uri")],
        /// The URL of `/oauth2/revoke`.
        revocation_endpoint: String [format("uri")],
        /// The scopes that a user's token may have.
        scopes_supported: Vec<&'a str>,
        /// There is no authorization endpoint.
        response_types_supported: &'a [&'a str],
        /// The grant types of `/oauth2/token`.
        grant_types_supported: &'a [&'a str],
        /// The ways in which a client authenticates at `/oauth2/token`.
        token_endpoint_auth_methods_supported: &'a [&'a str],
        /// The algorithms of client assertions there.
        token_endpoint_auth_signing_alg_values_supported: Vec<&'a str>,
        /// The ways in which a client authenticates at `/oauth2/introspect`.
        introspection_endpoint_auth_methods_supported: &'a [&'a str],
        /// The algorithms of client assertions there.
        introspection_endpoint_auth_signing_alg_values_supported: Vec<&'a str>,
        /// The ways in which a client authenticates at `/oauth2/revoke`.
        revocation_endpoint_auth_methods_supported: &'a [&'a str],
        /// The algorithms of client assertions there.
        revocation_endpoint_auth_signing_alg_values_supported: Vec<&'a str>,
    }
}

answer! {
    /// The same with what OpenID Connect Discovery §3 requires beside it. No ID token is issued here; the algorithms
    /// are those of the published keys.
    pub(crate) struct OpenIdMetadata<'a> {
        /// `public`.
        subject_types_supported: &'a [&'a str],
        /// The algorithms of the published keys.
        id_token_signing_alg_values_supported: Vec<&'a str>,
        ..metadata: Metadata<'a>,
    }
}

impl Shape for Audience<'_> {
    const SCHEMA: Schema = Schema::of(Kind::AnyOf(&[Schema::TEXT, Schema::of(Kind::List(&Schema::TEXT))]));
}

impl Shape for Actor<'_> {
    const SCHEMA: Schema = Schema::of(Kind::Object(&Object {
        name: "Actor",
        doc: "Who acts as the user.",
        members: &[Member {
            name: "sub",
            doc: "The user's id.",
            required: true,
            nullable: false,
            schema: Schema::TEXT,
            problem: Problem::BadJson,
            example: "\"usr_admin\"",
        }],
        included: &[],
    }));
}

/// The key set, which [`crate::jose`] writes.
pub(crate) enum JwkSet {}

impl Shape for JwkSet {
    const SCHEMA: Schema = Schema::of(Kind::Object(&Object {
        name: "JwkSet",
        doc: "A set of public keys (RFC 7517 §5).",
        members: &[Member {
            name: "keys",
            doc: "The keys.",
            required: true,
            nullable: false,
            schema: Schema::of(Kind::List(&Schema::of(Kind::Object(&Object {
                name: "Jwk",
                doc: "A public key (RFC 7517 §4), with the members of its type.",
                members: &[
                    jwk_member("kty", true, "The type of the key."),
                    jwk_member("kid", true, "Its id, as in the header of a token."),
                    jwk_member("alg", true, "The algorithm that it is for."),
                    jwk_member("use", true, "`sig`."),
                    jwk_member("n", false, "The modulus of an RSA key."),
                    jwk_member("e", false, "The exponent of an RSA key."),
                    jwk_member("crv", false, "The curve."),
                    jwk_member("x", false, "The x coordinate of a point on the curve, or the key of an OKP."),
                    jwk_member("y", false, "The y coordinate."),
                ],
                included: &[],
            })))),
            problem: Problem::BadJson,
            example: "",
        }],
        included: &[],
    }));
}

const fn jwk_member(name: &'static str, required: bool, doc: &'static str) -> Member {
    let (schema, problem) = (Schema::TEXT, Problem::BadJson);
    Member { name, doc, required, nullable: false, schema, problem, example: "" }
}
