//! Records for one case. Every case has names of its own, so that no two meet in one store.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::base::secret::SecretBytes;
use crate::base::time::Time;
use crate::crypto::OtpHash;
use crate::crypto::algorithm::Algorithm;
use crate::crypto::sha256;
use crate::records::challenge::{Answered, Challenge, ChallengeDigest, SignIn};
use crate::records::client::{Client, ClientSecret};
use crate::records::client_assertion::{AssertionDigest, UsedAssertion};
use crate::records::client_key::ClientKey;
use crate::records::delivery::{Delivery, OpenedSession, RequestDigest, TicketResult};
use crate::records::factor::{BackupDigest, Lockout, LockoutOf, OtpParameters, TotpDevice};
use crate::records::id::{ClientId, DeviceId, SecretId, SessionId, TicketId, UserId};
use crate::records::password::PasswordHash;
use crate::records::role::{Role, Roles};
use crate::records::scope::Scope;
use crate::records::session::{Purpose, RefreshDigest, RefreshToken, Rotation, Salt, Session};
use crate::records::sign_in_history::{DeviceMark, DeviceOnNetwork, Network};
use crate::records::signing_key::{KeyRecord, KeyState, StoredKey};
use crate::records::ticket::{Ticket, TicketDigest, TicketState};
use crate::records::user::{User, Username};
use crate::store::change::Change;

/// The time of everything.
pub(in crate::store::check) const NOW: Time = Time::from_unix(1_750_000_000);

/// The public keys of a client.
const KEYS: &str = r#"{"keys":[
    {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"钥匙 1"},
    {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","alg":"Ed25519"}
]}"#;

/// The records of one case, made from its number. The users `alice`, `bob` and `boss` and the clients `portal` and `backend` are there
/// from the start.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::check) struct Sample {
    pub(in crate::store::check) number: u64,
    pub(in crate::store::check) state_epoch: u64,
    /// The generation of the keys at the start of the case.
    pub(in crate::store::check) generation: u64,
}

impl Sample {
    fn name(&self, name: &str) -> String {
        format!("check{}-{name}", self.number)
    }

    /// Returns true if `id` names a record of this case.
    pub(in crate::store::check) fn is_name(&self, id: &str) -> bool {
        id.contains(&self.name(""))
    }

    fn bytes(&self, kind: &str, number: u64) -> [u8; 32] {
        sha256(format!("check {} {kind} {number}", self.number).as_bytes())
    }

    pub(in crate::store::check) fn user_id(&self, name: &str) -> UserId {
        UserId::known(format!("{}{}", User::ID_PREFIX, self.name(name)))
    }

    pub(in crate::store::check) fn user(&self, name: &str) -> User {
        User::new(self.user_id(name), Username::known(self.name(name)), NOW)
    }

    /// Alice with every member set.
    pub(in crate::store::check) fn alice_in_full(&self) -> User {
        User {
            email: Some(format!("{}-É@Example.com", self.name("alice"))),
            phone: Some(format!("+44 20 7946 {:05}", self.number)),
            name: Some("Alice Liddell".into()),
            gender: Some(crate::records::user::Gender::Female),
            address: Some(r#"{"locality":"牛津"}"#.into()),
            must_change_password: true,
            password_changed_at: Some(NOW),
            second_factor: Some(crate::records::factor::AskFactor::Always),
            roles: Roles::of(&[Role::Operator, Role::Auditor]),
            updated_at: NOW.plus(9),
            ..self.user("alice")
        }
    }

    pub(in crate::store::check) fn client_id(&self, name: &str) -> ClientId {
        ClientId::known(self.name(name))
    }

    pub(in crate::store::check) fn client(&self, name: &str) -> Client {
        let mut client = Client::new(self.client_id(name), scope("profile"), self.number << 20, NOW);
        client.secrets.push(self.secret("secret", &self.name("secret"), None));
        client
    }

    fn secret(&self, name: &str, text: &str, expires_at: Option<Time>) -> ClientSecret {
        let id = SecretId::known(self.name(name));
        ClientSecret { expires_at, ..ClientSecret::new(id, text, NOW) }
    }

    /// The portal with every member set.
    pub(in crate::store::check) fn portal_in_full(&self) -> Client {
        let secret = |text: &str, expires_at| self.secret(text, text, expires_at);
        Client {
            name: Some("门户".into()),
            default_scope: scope("orders:read"),
            audiences: vec!["https://orders.example".into(), "https://stock.example".into()],
            token_lifetime: Some(60),
            user_token_lifetime: Some(61),
            second_factor: Some(crate::records::factor::AskFactor::Never),
            trusted_context: true,
            keys: ClientKey::read_set(KEYS.as_bytes()).unwrap_or_default(),
            roles: Roles::of(&[Role::Officer]),
            signing_algorithm: Some(Algorithm::Es256),
            secrets: vec![
                secret("one", None),
                ClientSecret { last_used_at: Some(NOW.plus(7)), ..secret("two", Some(NOW.plus(60))) },
            ],
            ..self.client("portal")
        }
    }

    pub(in crate::store::check) fn assertion(&self, number: u64) -> AssertionDigest {
        AssertionDigest(self.bytes("assertion", number))
    }

    pub(in crate::store::check) fn use_assertion(&self, number: u64) -> Change {
        Change::UseAssertion(UsedAssertion { digest: self.assertion(number), expires_at: NOW.plus(60) })
    }

    /// The people and services of every case.
    pub(in crate::store::check) fn everybody(&self) -> Vec<Change> {
        let users = ["alice", "bob", "boss"].map(|name| Change::InsertUser(self.user(name)));
        let clients = ["portal", "backend"].map(|name| Change::InsertClient(self.client(name)));
        users.into_iter().chain(clients).collect()
    }

    pub(in crate::store::check) fn ticket(&self, number: u64) -> Ticket {
        Ticket {
            id: TicketId::known(self.name(&format!("ticket{number}"))),
            digest: TicketDigest(self.bytes("ticket", number)),
            user_id: self.user_id("alice"),
            client_id: self.client_id("portal"),
            issuer: None,
            for_audience: false,
            bind: false,
            scope: scope("profile"),
            client_ip: None,
            impersonation: None,
            issued_at: NOW,
            expires_at: NOW.plus(300),
            state: TicketState::Live,
            state_epoch: self.state_epoch,
            client_epoch: Some(self.client("portal").epoch),
        }
    }

    pub(in crate::store::check) fn issue(&self, number: u64) -> Change {
        Change::InsertTicket(self.ticket(number))
    }

    pub(in crate::store::check) fn spend(&self, number: u64) -> Change {
        Change::SpendTicket { digest: self.ticket(number).digest, at: NOW.plus(1), delivery: None }
    }

    /// Spends a ticket with an `Idempotency-Key`.
    pub(in crate::store::check) fn spend_for(&self, number: u64, result: TicketResult) -> Change {
        let delivery = Some(self.delivery(number, result));
        Change::SpendTicket { digest: self.ticket(number).digest, at: NOW.plus(1), delivery }
    }

    pub(in crate::store::check) fn repeat(&self, number: u64, first: bool) -> Change {
        Change::RepeatTicket { digest: self.ticket(number).digest, first }
    }

    pub(in crate::store::check) fn revoke(&self, number: u64) -> Change {
        Change::RevokeTicket { id: self.ticket(number).id, at: NOW.plus(2) }
    }

    fn delivery<R>(&self, number: u64, result: R) -> Box<Delivery<R>> {
        let (request, salt) =
            (RequestDigest(self.bytes("request", number)), Salt(self.bytes("salt", number)));
        Box::new(Delivery { request, salt, result, repeated: 0 })
    }

    pub(in crate::store::check) fn session_id(&self, number: u64) -> SessionId {
        SessionId::known(self.name(&format!("session{number:03}")))
    }

    /// The `jti` of an access token of the session.
    pub(in crate::store::check) fn token_id(&self, session: u64) -> String {
        self.name(&format!("token{session}"))
    }

    pub(in crate::store::check) fn session(&self, number: u64) -> Session {
        Session {
            id: self.session_id(number),
            user_id: self.user_id("alice"),
            user_epoch: 0,
            actor: None,
            client_id: self.client_id("portal"),
            bind: false,
            for_audience: false,
            purpose: Purpose::Anything,
            scope: scope("profile"),
            auth_time: NOW,
            methods: vec!["ticket".into()],
            expires_at: NOW.plus(86_400),
            ended_at: None,
            state_epoch: self.state_epoch,
            client_epoch: Some(self.client("portal").epoch),
            issuer: None,
            signed_in_at: NOW,
        }
    }

    pub(in crate::store::check) fn refresh_digest(&self, number: u64) -> RefreshDigest {
        RefreshDigest(self.bytes("refresh", number))
    }

    /// An unused refresh token of `session`.
    pub(in crate::store::check) fn refresh(&self, number: u64, session: u64) -> RefreshToken {
        RefreshToken {
            digest: self.refresh_digest(number),
            session_id: self.session_id(session),
            issued_at: NOW,
            expires_at: NOW.plus(3_600),
            rotation: None,
            number: 0,
            refreshes: 0,
            recorded_at: None,
        }
    }

    /// Inserts `session` and the refresh token of the same number.
    pub(in crate::store::check) fn begin_session(&self, session: Session, refresh: u64) -> Change {
        let token = RefreshToken { session_id: session.id.clone(), ..self.refresh(refresh, 0) };
        Change::InsertSession { session, refresh: Some(token) }
    }

    pub(in crate::store::check) fn begin(&self, number: u64) -> Change {
        self.begin_session(self.session(number), number)
    }

    pub(in crate::store::check) fn end(&self, number: u64) -> Change {
        Change::EndSession { id: self.session_id(number), at: NOW.plus(3) }
    }

    /// Uses the refresh token `from`, whose successor `to` has the number `number` in `session`.
    pub(in crate::store::check) fn rotate(&self, from: u64, to: u64, session: u64, number: u64) -> Change {
        let successor = RefreshToken {
            number,
            recorded_at: Some(NOW.plus(number)),
            issued_at: NOW.plus(number),
            ..self.refresh(to, session)
        };
        let rotation = Rotation {
            at: NOW.plus(number),
            salt: Salt(self.bytes("rotation", to)),
            successor: successor.digest,
        };
        Change::RotateRefresh { digest: self.refresh_digest(from), rotation, successor, recorded: 0 }
    }

    pub(in crate::store::check) fn opened(&self, session: u64) -> OpenedSession {
        OpenedSession { id: self.session_id(session), refresh: Some(self.refresh_digest(session)) }
    }

    pub(in crate::store::check) fn challenge_digest(&self, number: u64) -> ChallengeDigest {
        ChallengeDigest(self.bytes("challenge", number))
    }

    pub(in crate::store::check) fn challenge(&self, number: u64) -> Challenge {
        Challenge {
            digest: self.challenge_digest(number),
            sign_in: SignIn::by_ticket(&self.ticket(number), self.place(number)),
            user_epoch: 0,
            actor_epoch: None,
            expires_at: NOW.plus(300),
            wrong: 0,
            answered: None,
            state_epoch: self.state_epoch,
            issued_at: NOW,
        }
    }

    pub(in crate::store::check) fn ask(&self, number: u64) -> Change {
        Change::InsertChallenge(self.challenge(number))
    }

    pub(in crate::store::check) fn count_wrong(&self, number: u64, wrong: u32, answered: bool) -> Change {
        Change::CountWrong { digest: self.challenge_digest(number), wrong, answered }
    }

    pub(in crate::store::check) fn answer(&self, number: u64, wrong: u32) -> Change {
        let answered = Answered { at: NOW.plus(4), delivery: None };
        Change::AnswerChallenge { digest: self.challenge_digest(number), wrong, answered }
    }

    /// Answers a challenge with an `Idempotency-Key`, which opens `session`.
    pub(in crate::store::check) fn answer_for(&self, number: u64, wrong: u32, session: u64) -> Change {
        let delivery = Some(self.delivery(number, self.opened(session)));
        let answered = Answered { at: NOW.plus(4), delivery };
        Change::AnswerChallenge { digest: self.challenge_digest(number), wrong, answered }
    }

    pub(in crate::store::check) fn repeat_answer(&self, number: u64, wrong: u32, first: bool) -> Change {
        Change::RepeatAnswer { digest: self.challenge_digest(number), wrong, first }
    }

    pub(in crate::store::check) fn device_id(&self, number: u64) -> DeviceId {
        DeviceId::known(self.name(&format!("device{number}")))
    }

    pub(in crate::store::check) fn device(&self, number: u64, user: &str) -> TotpDevice {
        TotpDevice {
            id: self.device_id(number),
            user_id: self.user_id(user),
            name: Some("电话".into()),
            parameters: OtpParameters { hash: OtpHash::Sha512, digits: 8 },
            secret: SecretBytes::new(self.bytes("device", number).to_vec()),
            created_at: NOW.plus(number),
            verified_at: None,
            verified_by: None,
            vouched_for: number % 2 == 1,
            last_step: 0,
        }
    }

    pub(in crate::store::check) fn enrol(&self, number: u64) -> Change {
        Change::InsertDevice(self.device(number, "alice"))
    }

    pub(in crate::store::check) fn verify(&self, number: u64, step: u64) -> Change {
        Change::VerifyDevice {
            id: self.device_id(number),
            session: Some(self.session_id(1)),
            step,
            at: NOW.plus(5),
        }
    }

    pub(in crate::store::check) fn use_step(&self, number: u64, before: u64, step: u64) -> Change {
        Change::UseStep { id: self.device_id(number), step, before }
    }

    pub(in crate::store::check) fn remove(&self, number: u64, counts: bool) -> Change {
        Change::DeleteDevice { id: self.device_id(number), counts }
    }

    pub(in crate::store::check) fn code(&self, number: u64) -> BackupDigest {
        BackupDigest(self.bytes("code", number))
    }

    /// Gives alice backup codes, which come with `device`.
    pub(in crate::store::check) fn add_codes(
        &self,
        device: u64,
        codes: impl IntoIterator<Item = u64>,
    ) -> Change {
        let codes = codes.into_iter().map(|code| self.code(code)).collect();
        Change::AddBackupCodes { user: self.user_id("alice"), device: self.device_id(device), codes }
    }

    pub(in crate::store::check) fn use_code(&self, user: &str, code: u64) -> Change {
        Change::UseBackupCode { user: self.user_id(user), code: self.code(code) }
    }

    pub(in crate::store::check) fn place(&self, number: u64) -> DeviceOnNetwork {
        let network = Network::of([10, 0, u8::try_from(number % 5).unwrap_or_default(), 1].into());
        DeviceOnNetwork { device: DeviceMark(self.bytes("place", number)), network }
    }

    pub(in crate::store::check) fn learn(&self, place: u64, at: Time) -> Change {
        Change::RecordSignIn { user: self.user_id("alice"), place: self.place(place), at }
    }

    /// Sets a lockout that `place` of alice has of its own.
    pub(in crate::store::check) fn guess_at(
        &self,
        place: u64,
        of: LockoutOf,
        before: Lockout,
        after: Lockout,
    ) -> Change {
        Change::SetPlaceLockout { user: self.user_id("alice"), place: self.place(place), of, before, after }
    }

    pub(in crate::store::check) fn fail(&self, at: Time) -> Change {
        Change::CountFailure { user: self.user_id("alice"), at }
    }

    /// A password's hash, as another program may have made it.
    pub(in crate::store::check) fn hash(&self, number: u64) -> PasswordHash {
        let output = crate::base::base64url::encode(&self.bytes("password", number)).replace(['-', '_'], "A");
        let text = format!("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ${output}");
        PasswordHash::parse(&text).unwrap_or_else(|_| PasswordHash::of_nobody())
    }

    /// Replaces the hash of alice's password.
    pub(in crate::store::check) fn replace_hash(&self, before: u64, after: u64) -> Change {
        Change::ReplacePasswordHash {
            user: self.user_id("alice"),
            before: self.hash(before),
            after: self.hash(after),
        }
    }

    pub(in crate::store::check) fn key_id(&self, number: u64) -> String {
        self.name(&format!("key{number}"))
    }

    /// Inserts a key after so many changes of the keys.
    pub(in crate::store::check) fn insert_key(&self, number: u64, state: KeyState, changes: u64) -> Change {
        self.insert_key_for(Algorithm::Es384, number, (state, false), changes)
    }

    /// Inserts a key of `algorithm`, which is beside the default key or not, after so many changes of the keys.
    pub(in crate::store::check) fn insert_key_for(
        &self,
        algorithm: Algorithm,
        number: u64,
        (state, beside): (KeyState, bool),
        changes: u64,
    ) -> Change {
        let id = self.key_id(number);
        let created_at = NOW.plus(number);
        let record = KeyRecord { id, algorithm, state, created_at, beside, retire_from: None };
        let private_jwk = SecretBytes::new(self.bytes("key", number).to_vec());
        let generation = self.generation.saturating_add(changes);
        let retire_from = NOW.plus(1000 + number);
        Change::InsertKey { key: Box::new(StoredKey { record, private_jwk }), generation, retire_from }
    }

    pub(in crate::store::check) fn set_password(&self, number: u64) -> Change {
        Change::SetPassword { user: self.user_id("alice"), hash: self.hash(number) }
    }
}

pub(in crate::store::check) fn scope(text: &str) -> Scope {
    Scope::parse(text).unwrap_or_default()
}
