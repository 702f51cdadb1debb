//! `gatepass user`: users.

use clap::{Args, Subcommand};
use gatepass_core::admin::roles::SetUserRoles;
use gatepass_core::admin::users::{
    AddUser, DeleteUser, DisableUser, EnableUser, ListUsers, RequirePasswordChange, SetPassword, SetUser,
    ShowAccount, ShowUser, UnlockUser,
};
use gatepass_core::admin::{AdminError, Invalid, Obstacle, Operation, UserFields, UserSearch};
use gatepass_core::base::time::Time;
use gatepass_core::records::factor::AskFactor;
use gatepass_core::records::id::UserRef;
use gatepass_core::records::identifier::NumberingPlan;
use gatepass_core::records::user::{Gender, User, Username};
use serde_json::Value;

use super::context::Context;
use super::edit::{ask_factor, named, parsed, role_words, roles};
use super::{factors, import, lockouts, password};
use crate::error::ProgramError;
use crate::output::Record;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Add a user
    Add {
        /// The name they sign in with
        username: String,
        #[command(flatten)]
        fields: Fields,
        /// Read a password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Change a user; an option left out changes nothing, an empty value clears
    Set {
        /// Their id, user name, e-mail address or telephone number
        id: String,
        /// The new name they sign in with
        #[arg(long)]
        username: Option<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// List every user, or those who are searched for
    List {
        /// Only users with this text in their id, user name, e-mail address, telephone number or name, whatever the case
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
    },
    /// Show one user
    Show {
        /// Their id, user name, e-mail address or telephone number
        id: String,
    },
    /// Disable a user, and end their sessions
    Disable {
        /// Their id, user name, e-mail address or telephone number
        id: String,
    },
    /// Enable a disabled user; sessions that ended stay ended
    Enable {
        /// Their id, user name, e-mail address or telephone number
        id: String,
    },
    /// Set a user's password, read from standard input or a prompt, and end their sessions
    SetPassword {
        /// Their id, user name, e-mail address or telephone number
        id: String,
        /// Make them choose their own when they sign in with it
        #[arg(long)]
        must_change: bool,
    },
    /// Make a user change their password at the next sign-in, and end their sessions
    RequirePasswordChange {
        /// Their id, user name, e-mail address or telephone number
        id: String,
    },
    /// Remove the locks that wrong passwords and codes caused
    Unlock {
        /// Their id, user name, e-mail address or telephone number
        id: String,
    },
    /// Set up a TOTP device for a user and show its QR code, or verify its first code
    Totp {
        /// Their id, user name, e-mail address or telephone number
        id: String,
        /// A name for the device
        #[arg(long, value_name = "NAME")]
        device_name: Option<String>,
        /// A first code of the newest device that was set up
        #[arg(long, value_name = "CODE", conflicts_with = "device_name")]
        verify: Option<String>,
    },
    /// Remove every second factor and backup code of a user and their lock, and end their sessions
    ResetMfa {
        /// Their id, user name, e-mail address or telephone number
        id: String,
    },
    /// Add and change many users, whose passwords may be hashed by other programs; run again, it goes on where it stopped
    Import(import::Import),
    /// Print every user as a line that `import` reads
    Export(import::Export),
    /// Delete a user and their sessions; tickets for them are refused from now on
    Delete {
        /// Their id, user name, e-mail address or telephone number
        id: String,
    },
}

#[derive(Debug, Default, Args)]
pub(super) struct Fields {
    /// E-mail address
    #[arg(long)]
    email: Option<String>,
    /// Telephone number
    #[arg(long)]
    phone: Option<String>,
    /// Full name
    #[arg(long)]
    name: Option<String>,
    /// female or male
    #[arg(long)]
    gender: Option<String>,
    /// Any JSON value
    #[arg(long, value_name = "JSON")]
    address: Option<String>,
    /// When a second factor is asked of them: never, risk or always [default: as configured]
    #[arg(long, value_name = "WHEN")]
    second_factor: Option<String>,
    /// What they may administer over HTTP: operator, officer or auditor; may be repeated where separate_roles is false
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
}

impl Fields {
    fn read(&self) -> Result<UserFields, ProgramError> {
        let mut fields = UserFields::default();
        if let Some(email) = &self.email {
            fields = fields.email(email).map_err(|error| {
                if matches!(error, AdminError::Invalid { reason: Invalid::NoAtSign, .. }) {
                    ProgramError::usage(format!("--email {email:?} is not an e-mail address: it has no @"))
                } else {
                    error.into()
                }
            })?;
        }
        if let Some(phone) = &self.phone {
            fields = fields.phone(phone)?;
        }
        if let Some(name) = &self.name {
            fields = fields.name(name)?;
        }
        if let Some(gender) = &self.gender {
            fields = fields.gender(match gender.as_str() {
                "" => None,
                given => Some(Gender::parse(given).ok_or_else(|| {
                    ProgramError::usage(format!(
                        "--gender {given:?} is neither female nor male; empty clears it"
                    ))
                })?),
            });
        }
        if let Some(address) = &self.address {
            let value = match address.trim() {
                "" => Value::Null,
                _ => parsed("--address", address, |text| serde_json::from_str(text))?,
            };
            fields = fields.address(&value)?;
        }
        if let Some(when) = &self.second_factor {
            fields = fields.second_factor(ask_factor(when)?);
        }
        Ok(fields)
    }
}

/// Returns the facts to show about a user.
fn record(user: &User, plan: Option<&NumberingPlan>) -> Record {
    let forms = user.canonical_identifiers(plan);
    let forms: Value =
        forms.map(|(kind, form)| (kind.as_str().to_owned(), Value::from(form.as_str()))).collect();
    let address = user.address.as_deref().map(|text| serde_json::from_str(text).unwrap_or(Value::Null));
    Record::new()
        .with("id", user.id.as_str())
        .with("username", user.username.as_str())
        .with("email", user.email.clone())
        .with("phone", user.phone.clone())
        .with("canonical", forms)
        .with("name", user.name.clone())
        .with("gender", user.gender.map(Gender::as_str))
        .with("address", address.unwrap_or(Value::Null))
        .with("status", user.status.as_str())
        .with("must_change_password", user.must_change_password)
        .with("password_changed_at", user.password_changed_at.map(Time::rfc3339))
        .with("second_factor", user.second_factor.map(AskFactor::as_str))
        .with("roles", role_words(user.roles))
        .with("created_at", user.created_at.rfc3339())
        .with("updated_at", user.updated_at.rfc3339())
}

fn changing(who: &str) -> String {
    format!("user {who:?} is being changed by others all the time: try again")
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    let user = match verb {
        Verb::Add { username, fields, password_stdin } => add(context, &username, &fields, password_stdin)?,
        Verb::Set { id, username, fields } => set(context, &id, username.as_deref(), &fields)?,
        Verb::List { search } => {
            let admin = context.reading()?;
            let plan = context.numbering_plan()?;
            let search = search.as_deref().map(UserSearch::new);
            let mut rows = context.out.rows(&["id", "username", "name", "status", "created_at"])?;
            let list = |page| ListUsers { page, search: search.clone() };
            admin.pages(list, |user| Ok(rows.print(record(&user, plan.as_ref()))?))?;
            return Ok(rows.end()?);
        }
        Verb::Show { id } => {
            let account = context.reading()?.run(ShowAccount { user: named(&id) })?;
            let lockouts = lockouts::of(&account, context.out.json);
            let record = record(&account.user, context.numbering_plan()?.as_ref());
            let record = match lockouts {
                None => record,
                Some(lockouts) => record.with("lockouts", lockouts),
            };
            return Ok(context.out.one(&record)?);
        }
        Verb::Disable { id } => change(context, &id, DisableUser { user: named(&id) })?,
        Verb::Enable { id } => change(context, &id, EnableUser { user: named(&id) })?,
        Verb::SetPassword { id, must_change } => {
            let admin = context.writing()?;
            let user = admin.run(ShowUser { user: named(&id) })?;
            let password = password::ask(&user)?;
            let set = SetPassword { user: UserRef::from(&user.id), password, must_change };
            admin.run(set).map_err(|error| error.or_conflict(|| changing(&id)))?
        }
        Verb::RequirePasswordChange { id } => {
            let required = context.writing()?.run(RequirePasswordChange { user: named(&id) });
            required.map_err(|error| {
                let none = format!(
                    "{id:?} has no password to change: give one with `gatepass user set-password {id} --must-change`"
                );
                error.into_message_of([
                    (AdminError::Conflict, changing(&id)),
                    (AdminError::Refused(Obstacle::NoPassword), none),
                ])
            })?
        }
        Verb::Unlock { id } => {
            let unlocked = context.writing()?.run(UnlockUser { user: named(&id) });
            unlocked.map_err(|error| {
                error.or_conflict(|| format!("user {id:?} is being guessed at all the time: try again"))
            })?
        }
        Verb::Totp { id, verify: Some(code), .. } => return factors::verify(context, &id, code),
        Verb::Totp { id, device_name, verify: None } => {
            return factors::set_up(context, &id, device_name.as_deref());
        }
        Verb::Import(arguments) => return import::import(context, &arguments),
        Verb::Export(arguments) => return import::export(context, &arguments),
        Verb::ResetMfa { id } => return factors::reset(context, &id),
        Verb::Delete { id } => {
            let user = change(context, &id, DeleteUser { user: named(&id) })?;
            let gone = Record::new().with("id", user.id.as_str()).with("username", user.username.as_str());
            return Ok(context.out.one(&gone.with("deleted", true))?);
        }
    };
    Ok(context.out.one(&record(&user, context.numbering_plan()?.as_ref()))?)
}

/// Runs `operation` on the user called `who`.
fn change<O: Operation>(context: &Context, who: &str, operation: O) -> Result<O::Output, ProgramError> {
    context.writing()?.run(operation).map_err(|error| error.or_conflict(|| changing(who)))
}

fn add(
    context: &Context,
    username: &str,
    fields: &Fields,
    password_stdin: bool,
) -> Result<User, ProgramError> {
    let username = parsed("the user name", username, Username::parse)?;
    let (fields, roles) = (fields.read()?, roles(context, &fields.roles)?);
    let password = if password_stdin { Some(password::read()?) } else { None };
    let admin = context.writing()?;
    let user = admin.run(AddUser { username, fields, password })?;
    let Some(roles) = roles else { return Ok(user) };
    let name = user.username.as_str();
    admin.run(SetUserRoles { user: UserRef::from(&user.id), roles }).map_err(|error| {
        ProgramError::failed(format!(
            "user {name:?} was added, and has no role: {}",
            ProgramError::from(error)
        ))
    })
}

fn set(context: &Context, who: &str, username: Option<&str>, fields: &Fields) -> Result<User, ProgramError> {
    let username = username.map(|name| parsed("--username", name, Username::parse)).transpose()?;
    let (fields, roles) = (fields.read()?, roles(context, &fields.roles)?);
    let admin = context.writing()?;
    let changed = admin.run(SetUser { user: named(who), username, fields });
    let user = changed.map_err(|error| error.or_conflict(|| changing(who)))?;
    let Some(roles) = roles else { return Ok(user) };
    let changed = admin.run(SetUserRoles { user: UserRef::from(&user.id), roles });
    changed.map_err(|error| error.or_conflict(|| changing(who)))
}
