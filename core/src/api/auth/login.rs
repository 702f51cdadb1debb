//! `POST /auth/login`: a name and a password sign a person in, for the client that authenticates, or for nobody but this server. Nobody
//! learns from the answer, nor from how long it takes, whether there is such an account: the password is hashed and something is made
//! durable either way.

use alloc::{boxed::Box, format, string::String, vec, vec::Vec};

use crate::api::auth::origin::Origin;
use crate::api::auth::person_context::{PersonContext, PersonContextBody};
use crate::api::auth::sign_in::{PendingSignIn, SignInAttempt, SignInResult};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Endpoint, Hashing, Next, ParsedRequest, Pending};
use crate::api::guess::{GuessAccount, GuessSource};
use crate::api::lockout::{count_wrong, lock_ignored};
use crate::api::oauth::client_auth::{caller, redeemer};
use crate::api::reply::Reply;
use crate::api::scope_detail::{malformed_scope, scope_detail};
use crate::base::secret::SecretText;
use crate::engine::Engine;
use crate::http::authorization::Authorization;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::shape::{ReadBody, body};
use crate::policy::guess_counter::GuessCounter;
use crate::policy::scope_limit::ScopeLimit;
use crate::policy::ticket_redemption::Redeemer;
use crate::records::challenge::SignIn;
use crate::records::client::{AuthenticatedClient, Client};
use crate::records::client_credentials::ClientClaim;
use crate::records::id::UserId;
use crate::records::password::{Comparison, PasswordHash, Workspace};
use crate::records::scope::Scope;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::{Change, Outcome};
use crate::store::query::{Identity, LoginRecords, Named, Query, Records};

body! {
    /// A name and a password.
    struct LoginBody {
        /// The user name, e-mail address or telephone number.
        identity: String = "alice",
        /// The password.
        password: SecretText = "correct horse battery staple",
        /// The scope of the session. It may name `gatepass:admin`, for people with a role of administration.
        scope: Option<String> => ScopeRefused,
        ..context: PersonContextBody,
    }
}

/// A name and a password.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Login {
    identity: Identity,
    password: SecretText,
    /// The scope that is asked for.
    scope: Option<Scope>,
    /// The client that it is for, if one says so.
    redeemer: Redeemer,
    person: PersonContext,
    /// The hash that the password was compared with before, and the result.
    compared: Option<(PasswordHash, Comparison)>,
}

/// The account as it was read, the client that has authenticated, and the hash to compare the password with.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct AwaitComparison {
    records: Named<Box<LoginRecords>>,
    client: Option<Box<Client>>,
    /// The context of the person.
    ctx: Context,
    hash: PasswordHash,
}

/// A sign-in, or its refusal.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) enum PendingLogin {
    SignIn(PendingSignIn),
    /// The password was right, and the user may not have the scope.
    BeyondLimit(ScopeLimit),
}

impl Endpoint for Login {
    const DESCRIPTION: Description = Description::new("Signs in with a password")
        .takes::<LoginBody>()
        .signs_in()
        .refuses(&[Problem::LoginRefused, Problem::FactorNotEnrolled]);

    fn parse(Call { ctx, request, .. }: &Call<'_>) -> Result<Self, Reply> {
        let authorization = Authorization::of(request).map_err(|error| ctx.malformed(error))?;
        let redeemer = redeemer(authorization);
        let read = || {
            let LoginBody { identity, password, scope, context } = LoginBody::of_json(request)?;
            let identity = Identity(identity);
            let scope = scope.as_deref().map(Scope::parse).transpose();
            let scope = scope.map_err(|error| Problem::ScopeRefused.with(malformed_scope(error)))?;
            let person = PersonContext::of(request, &context, &redeemer)?;
            Ok(Self { identity, password, scope, redeemer, person, compared: None })
        };
        read().map_err(|error: RequestError| ctx.malformed(error))
    }
}

impl ParsedRequest for Login {
    type Pending = PendingLogin;
    type Hash = AwaitComparison;

    fn query(&self) -> Query {
        Query::Login(self.identity.clone()).by(self.redeemer.claimed())
    }

    fn client<'a>(&'a self, _: &Basis<'_>, records: &'a Records) -> Option<ClientClaim<'a>> {
        self.redeemer.claim(records.with_client().0)
    }

    /// Returns the guess at the name as it was sent: whether anybody has it is not told by how long one waits.
    fn guess(&self, basis: &Basis<'_>, records: &Records) -> Option<GuessSource> {
        let client = caller(basis, &self.redeemer, records.with_client().0).ok()?;
        let ctx = self.person.accept(basis.ctx, client.as_ref()).ok()?;
        self.scope(basis, client.as_ref().map(AuthenticatedClient::client)).ok()?;
        Some(ctx.guess_at(GuessAccount::of_name(&self.identity)))
    }

    fn decide(&self, basis: &Basis<'_>, records: Records) -> Decided<PendingLogin, AwaitComparison> {
        let (record, records) = records.by_client();
        let Records::Login(records) = records else { return Err(basis.ctx.internal()) };
        basis.require_signing_key(record.as_ref())?;
        let client = caller(basis, &self.redeemer, record.as_ref())?;
        let ctx = self.person.accept(basis.ctx, client.as_ref())?;
        self.scope(basis, client.as_ref().map(AuthenticatedClient::client))
            .map_err(|limit| beyond(&ctx, &limit))?;
        let client = client.map(|client| Box::new(client.client().clone()));
        let hash = records.one().and_then(|records| records.password.as_ref());
        let hash = hash.map_or_else(PasswordHash::of_nobody, |password| password.hash.clone());
        match &self.compared {
            Some((before, compared)) if *before == hash => {
                self.sign_in(&basis.at(&ctx), &records, client.as_deref(), compared)
            }
            Some(_) | None => Ok(Next::Hash(AwaitComparison { records, client, ctx, hash })),
        }
    }
}

impl Hashing<Login> for AwaitComparison {
    fn run(
        self,
        login: &mut Login,
        basis: &Basis<'_>,
        workspace: &mut Workspace,
    ) -> Decided<PendingLogin, Self> {
        let salt = basis.ctx.inputs.password_salt();
        let compared = self.hash.compare(&login.password, salt, workspace);
        let compared = compared.ok_or_else(|| basis.ctx.unavailable())?;
        let (_, compared) = login.compared.insert((self.hash, compared));
        let compared = compared.clone();
        login.sign_in(&basis.at(&self.ctx), &self.records, self.client.as_deref(), &compared)
    }
}

impl Login {
    /// Returns the scope that is asked for, or else that of everybody who signs in.
    fn scope(&self, basis: &Basis<'_>, client: Option<&Client>) -> Result<Scope, ScopeLimit> {
        let Some(scope) = &self.scope else { return Ok(basis.settings().user_scope.clone()) };
        ScopeLimit::of_sign_in(scope, client, basis.settings())?;
        Ok(scope.clone())
    }

    fn sign_in(
        &self,
        basis: &Basis<'_>,
        records: &Named<Box<LoginRecords>>,
        client: Option<&Client>,
        compared: &Comparison,
    ) -> Decided<PendingLogin, AwaitComparison> {
        let records = match records {
            Named::One(records) => records,
            Named::Nobody => {
                return Ok(Next::commit(vec![Change::DummyWrite], refused(Refusal::IdentityUnknown)));
            }
            Named::Several(users) => return Ok(refuse_ambiguous(basis.ctx, users, client)),
        };
        let (ctx, user, now) = (basis.ctx, &records.user, basis.now());
        let Some(password) = &records.password else {
            return Ok(refuse(ctx, (records, client), Refusal::PasswordMissing, Vec::new()));
        };
        let counter = GuessCounter::of_password(&user.id, password, &records.history, &self.person.place());
        if counter.is_locked(now) {
            return Ok(refuse(ctx, (records, client), Refusal::PasswordLocked, Vec::new()));
        }
        if !compared.good {
            let mut counted = count_wrong(ctx, &counter);
            counted.push(Change::CountFailure { user: user.id.clone(), at: now });
            return Ok(refuse(ctx, (records, client), Refusal::PasswordWrong, counted));
        }
        if !user.is_active() {
            return Ok(refuse(ctx, (records, client), Refusal::UserInactive, Vec::new()));
        }
        let scope = self.scope(basis, client).map_err(|limit| beyond(ctx, &limit))?;
        if let Err(limit) = ScopeLimit::of_user(&scope, user, basis.settings()) {
            let refused = refusal_event(ctx, (records, client), Refusal::NotGrantable);
            return Ok(Next::commit(vec![refused], PendingLogin::BeyondLimit(limit)));
        }
        let attempt = SignInAttempt {
            sign_in: SignIn::by_password(user.id.clone(), client, scope, self.person.place()),
            user,
            actor: None,
            client,
            factors: &records.factors,
            history: &records.history,
            ticket: None,
            address_mismatch: false,
        };
        let (result, mut changes) = SignInResult::decide(basis, &attempt, Origin::Seed)?;
        changes.extend(attempt.sign_in.clients().conditions());
        // Before the sign-in is remembered, which changes the places.
        changes.insert(0, counter.begin_anew());
        changes.extend(lock_ignored(ctx, &counter));
        changes.extend(compared.replacement.as_ref().map(|ours| Change::ReplacePasswordHash {
            user: user.id.clone(),
            before: password.hash.clone(),
            after: ours.clone(),
        }));
        Ok(Next::commit_in(basis.state_epoch, changes, PendingLogin::SignIn(PendingSignIn::First(result))))
    }
}

const fn refused(refusal: Refusal) -> PendingLogin {
    PendingLogin::SignIn(PendingSignIn::Refused(Problem::LoginRefused, refusal))
}

/// Refuses a scope that cannot be granted.
fn beyond(ctx: &Context, limit: &ScopeLimit) -> Reply {
    ctx.refuse(Problem::ScopeRefused.with(scope_detail(limit)), Refusal::NotGrantable)
}

/// Refuses an identifier of several users. Nobody guesses at one of them by that, so nothing is counted.
fn refuse_ambiguous(
    ctx: &Context,
    users: &[UserId],
    client: Option<&Client>,
) -> Next<PendingLogin, AwaitComparison> {
    let refusal = Refusal::IdentityAmbiguous;
    let users: Vec<&str> = users.iter().map(UserId::as_str).collect();
    let event = Event {
        refusal: Some(refusal),
        reason: Some(format!("the identifier of {}", users.join(", "))),
        client: client.map(|client| client.id.clone()),
        ..ctx.event(Kind::PasswordRefused)
    };
    Next::commit(vec![Change::Audit(event)], refused(refusal))
}

fn refuse(
    ctx: &Context,
    (records, client): (&LoginRecords, Option<&Client>),
    refusal: Refusal,
    mut changes: Vec<Change>,
) -> Next<PendingLogin, AwaitComparison> {
    changes.push(refusal_event(ctx, (records, client), refusal));
    Next::commit(changes, refused(refusal))
}

fn refusal_event(
    ctx: &Context,
    (records, client): (&LoginRecords, Option<&Client>),
    refusal: Refusal,
) -> Change {
    Change::Audit(Event {
        subject: Some(records.user.id.clone()),
        client: client.map(|client| client.id.clone()),
        refusal: Some(refusal),
        ..ctx.event(Kind::PasswordRefused)
    })
}

impl Pending for PendingLogin {
    /// Makes the reply. Every refusal counts as a wrong password: otherwise a right one could be told from it while the account is
    /// locked or disabled.
    fn applied(self, ctx: &Context, engine: &Engine) -> Reply {
        let sign_in = match self {
            Self::SignIn(sign_in) => sign_in,
            Self::BeyondLimit(limit) => return beyond(ctx, &limit),
        };
        let refused = matches!(sign_in, PendingSignIn::Refused(..));
        let reply = sign_in.applied(ctx, engine);
        if refused { reply.wrong() } else { reply }
    }

    /// Replies to a second conflict as to any other refusal. It is met by guesses at one account from many sides at once,
    /// and at a name that nobody has, nothing conflicts.
    fn failed(self, ctx: &Context, outcome: Outcome) -> Reply {
        match outcome {
            Outcome::Conflict => ctx.refuse(Problem::LoginRefused, Refusal::PasswordLocked).wrong(),
            Outcome::Applied | Outcome::NotApplied | Outcome::Unknown => ctx.undone(outcome),
        }
    }
}
