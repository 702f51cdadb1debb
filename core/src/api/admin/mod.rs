//! Administration over HTTP (`/admin/v1`): an operation of [`crate::admin`] becomes an endpoint by its [`AdminEndpoint`].
//!
//! [`Administered`] verifies the token, its scope and the role of its holder. It reads the holder and what the operation asks for in one
//! snapshot, and commits the operation's changes together with the condition that the holder still is who they were. One
//! dispatch serves every operation, so that a route costs a parser and a writer and no more.

mod accounts;
pub(crate) mod answer;
pub(crate) mod audit;
pub(crate) mod call;
pub(crate) mod client_keys;
pub(crate) mod client_secrets;
mod clients;
pub(crate) mod error;
mod import;
mod keys;
mod risk;
pub(crate) mod roles;
pub(crate) mod settings;
pub(crate) mod status;
mod task_operation;
mod tickets;
mod users;
mod variant;

use alloc::boxed::Box;
use alloc::{vec, vec::Vec};
use core::any::Any;
use core::fmt;

use crate::admin::{AdminError, Administrator, Decision, Operation, OperationInputs};
use crate::api::admin::call::AdminCall;
use crate::api::bearer::{Holder, Presented, unauthorized};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Flow, Hashing, Next, ParsedRequest, Pending};
use crate::api::guess::{GuessAccount, GuessSource};
use crate::api::person::Person;
use crate::api::reply::Reply;
use crate::api::step::Step;
use crate::api::task::{TaskAnswer, TaskRequest};
use crate::base::secret::SecretText;
use crate::engine::Engine;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::policy::administration::roles_that_count;
use crate::records::id::ClientId;
use crate::records::password::{PasswordHash, Workspace};
use crate::records::role::{Role, Roles};
use crate::records::scope::Scope;
use crate::store::audit::{Event, Kind, Refusal};
use crate::store::change::Change;
use crate::store::query::{AdministeredQuery, AdministeredRecords, BearerRecords, Query, Records};

/// An operation that has a row in the table of routes.
pub(crate) trait AdminEndpoint: Operation + Clone + PartialEq + Send + Sync + 'static {
    /// The roles, one of which its caller must have.
    const ROLES: Roles;

    /// The endpoint, for the document of the API.
    const DESCRIPTION: Description;

    /// Parses a request, its token apart.
    ///
    /// # Errors
    /// [`RequestError`] where it is malformed, or a value breaks a rule.
    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError>;

    /// Makes the answer. It is sent once everything is durable.
    fn respond(ctx: &Context, output: Self::Output) -> Response;

    /// Returns what is to be done outside the core before the operation decides, once.
    fn task(&self) -> Option<TaskRequest> {
        None
    }

    /// Takes the answer to the task.
    fn take_answer(&mut self, _answer: TaskAnswer) {}
}

/// The role of those who administer people.
const OPERATOR: Roles = Roles::of(&[Role::Operator]);

/// The role of those who administer clients, keys and roles.
const OFFICER: Roles = Roles::of(&[Role::Officer]);

/// The role of those who read the audit log.
const AUDITOR: Roles = Roles::of(&[Role::Auditor]);

/// Any [`AdminEndpoint`].
trait AdminRequest: fmt::Debug + Send + Sync {
    fn query(&self) -> Query;
    fn task(&self) -> Option<TaskRequest>;
    fn take_answer(&mut self, answer: TaskAnswer);
    fn decide(
        &self,
        ctx: &Context,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Response>, AdminError>;
    #[cfg_attr(
        not(feature = "unsound-cloneable-flows"),
        allow(dead_code, reason = "model checkers alone clone")
    )]
    fn cloned(&self) -> Box<dyn AdminRequest>;
    #[cfg_attr(
        not(feature = "unsound-cloneable-flows"),
        allow(dead_code, reason = "model checkers alone compare")
    )]
    fn is(&self, other: &dyn AdminRequest) -> bool;
    fn as_any(&self) -> &dyn Any;
}

impl<E: AdminEndpoint> AdminRequest for E {
    fn query(&self) -> Query {
        Operation::query(self)
    }

    fn task(&self) -> Option<TaskRequest> {
        AdminEndpoint::task(self)
    }

    fn take_answer(&mut self, answer: TaskAnswer) {
        AdminEndpoint::take_answer(self, answer);
    }

    fn decide(
        &self,
        ctx: &Context,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Response>, AdminError> {
        Ok(Operation::decide(self, inputs, records)?.map(|output| E::respond(ctx, output)))
    }

    fn cloned(&self) -> Box<dyn AdminRequest> {
        Box::new(self.clone())
    }

    fn is(&self, other: &dyn AdminRequest) -> bool {
        other.as_any().downcast_ref::<E>() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A request to administer.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Administered {
    presented: Presented,
    /// The roles, one of which its caller must have.
    roles: Roles,
    request: Result<AnyRequest, RequestError>,
    /// The hash of the password that an earlier decision asked to hash.
    password_hash: Option<PasswordHash>,
    /// True once the task was done or not.
    asked: bool,
}

/// An operation of any kind.
#[derive(Debug)]
struct AnyRequest(Box<dyn AdminRequest>);

#[cfg(feature = "unsound-cloneable-flows")]
impl Clone for AnyRequest {
    fn clone(&self) -> Self {
        Self(self.0.cloned())
    }
}

#[cfg(feature = "unsound-cloneable-flows")]
impl PartialEq for AnyRequest {
    fn eq(&self, other: &Self) -> bool {
        self.0.is(&*other.0)
    }
}

/// Begins a request that `E` parses.
pub(crate) fn begin<E: AdminEndpoint>(call: Call<'_>) -> Step {
    fn parse<E: AdminEndpoint>(call: &AdminCall<'_>) -> Result<Box<dyn AdminRequest>, RequestError> {
        let request: Box<dyn AdminRequest> = Box::new(E::parse(call)?);
        Ok(request)
    }
    begin_any(call, E::ROLES, parse::<E>)
}

fn begin_any(
    call: Call<'_>,
    roles: Roles,
    parse: fn(&AdminCall<'_>) -> Result<Box<dyn AdminRequest>, RequestError>,
) -> Step {
    let presented = match Presented::demanded(&call.ctx, call.request) {
        Ok(presented) => presented,
        Err(reply) => return Step::reply(&call.ctx, reply),
    };
    let request = AdminCall::of(&call).and_then(|call| parse(&call)).map(AnyRequest);
    Flow::begin_with(call.ctx, Administered { presented, roles, request, password_hash: None, asked: false })
}

/// An administrator: proof that the token, its scope and a role were verified as of one snapshot.
pub(crate) struct Authorized {
    administrator: Administrator,
    /// The client that the token was issued to.
    client: Option<ClientId>,
    /// The conditions that must still hold when something is written.
    conditions: Vec<Change>,
}

/// Verifies the token, its scope, and that its holder has one of the roles `allowed`.
pub(crate) fn authorize(
    presented: &Presented,
    allowed: Roles,
    basis: &Basis<'_>,
    bearer: &BearerRecords,
) -> Result<Authorized, Reply> {
    let ctx = basis.ctx;
    let token = presented.verify(basis, bearer).map_err(|refusal| unauthorized(ctx, refusal))?;
    let (authorized, roles) = match token.holder() {
        Holder::Client(client) => {
            let conditions = vec![Change::require_client(client)];
            let administrator = Administrator::Client(client.id.clone());
            (Authorized { administrator, client: None, conditions }, client.roles)
        }
        Holder::Person { user, session } if session.actor.is_none() => {
            let conditions = Person { user, session }.conditions();
            let administrator = Administrator::User(user.id.clone());
            let client = Some(session.client_id.clone()).filter(|client| *client != ClientId::own());
            (Authorized { administrator, client, conditions }, user.roles)
        }
        Holder::Person { .. } => {
            return Err(ctx.refuse(Problem::ImpersonationRefused, Refusal::Impersonated));
        }
        Holder::Restricted { .. } => {
            return Err(ctx.refuse(Problem::SessionRestricted, Refusal::SessionRestricted));
        }
    };
    if !token.scope().contains(Scope::ADMIN) {
        return Err(ctx.refuse(Problem::ScopeMissing, Refusal::ScopeMissing));
    }
    if !roles_that_count(roles, basis.settings()).intersects(allowed) {
        return Err(ctx.refuse(error::role_missing(allowed), Refusal::RoleMissing));
    }
    Ok(authorized)
}

impl Administered {
    fn authorize(&self, basis: &Basis<'_>, bearer: &BearerRecords) -> Result<Authorized, Reply> {
        authorize(&self.presented, self.roles, basis, bearer)
    }

    fn request(&self, ctx: &Context) -> Result<&dyn AdminRequest, Reply> {
        self.request
            .as_ref()
            .map(|request| &*request.0)
            .map_err(|error| ctx.problem_with_field(error.clone()).refused(Refusal::Malformed))
    }
}

fn administered(ctx: &Context, records: Records) -> Result<Box<AdministeredRecords>, Reply> {
    if let Records::Administered(found) = records { Ok(found) } else { Err(ctx.internal()) }
}

impl ParsedRequest for Administered {
    type Pending = PendingResponse;
    type Hash = AwaitPasswordHash;

    fn query(&self) -> Query {
        let bearer = self.presented.query().clone();
        match &self.request {
            Ok(request) => {
                Query::Administered(AdministeredQuery { bearer, query: Box::new(request.0.query()) })
            }
            // A caller without the role does not learn what is wrong with the request.
            Err(_) => Query::Administered(AdministeredQuery { bearer, query: Box::new(Query::Generation) }),
        }
    }

    fn task(&self, basis: &Basis<'_>, records: &Records) -> Option<TaskRequest> {
        if self.asked {
            return None;
        }
        let (Records::Administered(found), Ok(request)) = (records, &self.request) else { return None };
        let mut task = request.0.task()?;
        let authorized = self.authorize(basis, &found.bearer).ok()?;
        if let TaskRequest::ArchiveAudit(archive) = &mut task {
            let state = Change::RequireStateEpoch(basis.state_epoch);
            archive.conditions = [state].into_iter().chain(authorized.conditions.iter().cloned()).collect();
            archive.event = authorized.record(basis.ctx, Event::new(Kind::AuditArchived, basis.now()));
        }
        Some(task)
    }

    /// It is asked for no more.
    fn take_answer(&mut self, answer: TaskAnswer) {
        self.asked = true;
        if let Ok(request) = &mut self.request {
            request.0.take_answer(answer);
        }
    }

    fn decide(&self, basis: &Basis<'_>, records: Records) -> Decided<PendingResponse, AwaitPasswordHash> {
        let ctx = basis.ctx;
        let found = administered(ctx, records)?;
        let authorized = self.authorize(basis, &found.bearer)?;
        let inputs = OperationInputs {
            settings: basis.settings(),
            request: &ctx.inputs,
            state_epoch: basis.state_epoch,
            key_generation: basis.key_generation,
            password_hash: self.password_hash.as_ref(),
            administrator: &authorized.administrator,
        };
        match self.request(ctx)?.decide(ctx, &inputs, &found.records) {
            Err(failed) => Err(ctx.problem_with_field(failed)),
            Ok(Decision::Done(response)) => Ok(response.into()),
            Ok(Decision::HashPassword(_)) if self.password_hash.is_some() => Err(ctx.internal()),
            Ok(Decision::HashPassword(password)) => {
                let source = ctx.guess_at(account_of(&authorized.administrator));
                let key_generation = basis.key_generation;
                Ok(Next::Hash(AwaitPasswordHash { password, source, found, key_generation }))
            }
            Ok(Decision::Commit(plan)) => {
                let (planned, response) = plan.into_parts();
                let by = |event| authorized.record(ctx, event);
                let planned = planned.into_iter().map(|change| {
                    if let Change::Audit(event) = change { Change::Audit(by(event)) } else { change }
                });
                let changes = authorized.conditions.iter().cloned().chain(planned).collect();
                Ok(Next::commit_in(basis.state_epoch, changes, PendingResponse(response)))
            }
        }
    }
}

fn account_of(administrator: &Administrator) -> GuessAccount {
    match administrator {
        Administrator::User(user) => GuessAccount::of_user(user),
        Administrator::Client(client) => GuessAccount::of_client(client),
        Administrator::Machine => GuessAccount::of_client(&ClientId::own()),
    }
}

impl Authorized {
    /// Returns `event` with who did it, by which request.
    fn record(&self, ctx: &Context, event: Event) -> Event {
        let (by_user, by_client) = match &self.administrator {
            Administrator::User(user) => (Some(user.clone()), self.client.clone()),
            Administrator::Client(client) => (None, Some(client.clone())),
            Administrator::Machine => (None, None),
        };
        let Event { address, request, sent_request, .. } = ctx.event(event.kind);
        Event { by_user, by_client, address, request, sent_request, ..event }
    }
}

/// The answer to an operation whose changes are about to be durable.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct PendingResponse(Response);

impl Pending for PendingResponse {
    fn applied(self, _: &Context, _: &Engine) -> Reply {
        self.0.into()
    }
}

/// An operation that waits for a password to be hashed.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct AwaitPasswordHash {
    password: SecretText,
    source: GuessSource,
    found: Box<AdministeredRecords>,
    key_generation: u64,
}

impl Hashing<Administered> for AwaitPasswordHash {
    fn source(&self) -> Option<GuessSource> {
        Some(self.source)
    }

    fn run(
        self,
        request: &mut Administered,
        basis: &Basis<'_>,
        workspace: &mut Workspace,
    ) -> Decided<PendingResponse, Self> {
        let salt = basis.ctx.inputs.password_salt();
        let hash = PasswordHash::of(&self.password, salt, workspace);
        request.password_hash = Some(hash.ok_or_else(|| basis.ctx.unavailable())?);
        let basis = Basis { key_generation: self.key_generation, ..*basis };
        request.decide(&basis, Records::Administered(self.found))
    }
}
