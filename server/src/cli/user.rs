//! `gatepass user`: people.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::{Args, Subcommand};
use gatepass_core::base::time::Time;
use gatepass_core::records::factor::AskFactor;
use gatepass_core::records::id::{UserId, UserRef};
use gatepass_core::records::user::{Gender, Status, User, Username};
use gatepass_core::store::audit::{Event, Kind};
use gatepass_core::store::change::Change;
use serde_json::Value;

use super::context::{Context, Site, random};
use super::edit::{ATTEMPTS, ask_factor, parsed, text};
use super::failure::Failure;
use super::output::Record;
use super::{enrol, password};

/// The longest address, in bytes of JSON, and how deep it nests.
const MAX_ADDRESS: usize = 4096;
const MAX_DEPTH: usize = 16;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Add a person
    Add {
        /// The name they sign in with
        username: String,
        #[command(flatten)]
        fields: Fields,
        /// Read a password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Change a person; what is not named stays, an empty value clears
    Set {
        /// Their id or user name
        id: String,
        /// Another name to sign in with
        #[arg(long)]
        username: Option<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// List everyone
    List,
    /// Show one person
    Show {
        /// Their id or user name
        id: String,
    },
    /// Keep a person out, and end their sessions
    Disable {
        /// Their id or user name
        id: String,
    },
    /// Let a disabled person in again; sessions that ended stay ended
    Enable {
        /// Their id or user name
        id: String,
    },
    /// Give a person a password, from standard input or asked for, and end their sessions
    SetPassword {
        /// Their id or user name
        id: String,
        /// Have them choose their own as soon as they sign in with it
        #[arg(long)]
        must_change: bool,
    },
    /// Have a person change their password before anything else, and end their sessions
    RequirePasswordChange {
        /// Their id or user name
        id: String,
    },
    /// Lift the locks that wrong passwords and codes have brought about
    Unlock {
        /// Their id or user name
        id: String,
    },
    /// Set up a TOTP device for a person and show its QR code, or verify its first code
    Totp {
        /// Their id or user name
        id: String,
        /// What they call the device
        #[arg(long, value_name = "NAME")]
        device_name: Option<String>,
        /// A first code of the newest device that was set up
        #[arg(long, value_name = "CODE", conflicts_with = "device_name")]
        verify: Option<String>,
    },
    /// Take every second factor and backup code of a person away, lift their lock, and end their sessions
    ResetMfa {
        /// Their id or user name
        id: String,
    },
    /// Delete a person with their sessions; tickets for them are refused from then on
    Delete {
        /// Their id or user name
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
    /// When they are asked for their second factor: never, risk or always [default: as everybody]
    #[arg(long, value_name = "WHEN")]
    second_factor: Option<String>,
}

impl Fields {
    fn apply(&self, user: &mut User) -> Result<(), Failure> {
        if let Some(email) = &self.email {
            user.email = text("an e-mail address", email, 254)?;
            if user.email.as_ref().is_some_and(|email| !email.contains('@')) {
                return Err(Failure::usage(format!(
                    "--email {email:?} is not an e-mail address: it has no @"
                )));
            }
        }
        if let Some(phone) = &self.phone {
            user.phone = text("a telephone number", phone, 64)?;
        }
        if let Some(name) = &self.name {
            user.name = text("a name", name, 256)?;
        }
        if let Some(gender) = &self.gender {
            user.gender = match gender.as_str() {
                "" => None,
                given => Some(Gender::parse(given).ok_or_else(|| {
                    Failure::usage(format!("--gender {given:?} is neither female nor male; empty clears it"))
                })?),
            };
        }
        if let Some(address) = &self.address {
            user.address = read_address(address)?;
        }
        if let Some(when) = &self.second_factor {
            user.second_factor = ask_factor(when)?;
        }
        Ok(())
    }
}

fn read_address(given: &str) -> Result<Option<String>, Failure> {
    if given.trim().is_empty() {
        return Ok(None);
    }
    let value: Value = parsed("--address", given, |text| serde_json::from_str(text))?;
    let text = value.to_string();
    if text.len() > MAX_ADDRESS || depth(&value) > MAX_DEPTH {
        return Err(Failure::usage(format!(
            "an address is at most {MAX_ADDRESS} bytes of JSON, {MAX_DEPTH} deep"
        )));
    }
    Ok((!value.is_null()).then_some(text))
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// What is shown of a person.
pub(super) fn record(user: &User) -> Record {
    let address = user.address.as_deref().map(|text| serde_json::from_str(text).unwrap_or(Value::Null));
    Record::new()
        .with("id", user.id.as_str())
        .with("username", user.username.as_str())
        .with("email", user.email.clone())
        .with("phone", user.phone.clone())
        .with("name", user.name.clone())
        .with("gender", user.gender.map(Gender::as_str))
        .with("address", address.unwrap_or(Value::Null))
        .with("status", user.status.as_str())
        .with("must_change_password", user.must_change_password)
        .with("password_changed_at", user.password_changed_at.map(Time::rfc3339))
        .with("second_factor", user.second_factor.map(AskFactor::as_str))
        .with("created_at", user.created_at.rfc3339())
        .with("updated_at", user.updated_at.rfc3339())
}

pub(super) fn event(kind: Kind, id: &UserId, now: Time) -> Change {
    Change::Audit(Event { subject: Some(id.clone()), ..Event::new(kind, now) })
}

/// Finds the person called `who`.
pub(super) fn find(site: &Site, who: &str) -> Result<User, Failure> {
    site.store.user(&UserRef::IdOrUsername(who.to_owned()))?.ok_or_else(|| {
        Failure::failed(format!("there is no user {who:?}: `gatepass user list` shows those there are"))
    })
}

/// A new person called `username`, with an identifier of 128 random bits.
pub(crate) fn blank(username: Username, now: Time) -> Result<User, Failure> {
    let id = format!("{}{}", User::ID_PREFIX, URL_SAFE_NO_PAD.encode(*random::<16>()?));
    let id =
        UserId::parse(&id).map_err(|bad| Failure::failed(format!("no identifier for the user: {bad}")))?;
    Ok(User {
        id,
        username,
        email: None,
        phone: None,
        name: None,
        gender: None,
        address: None,
        status: Status::Active,
        must_change_password: false,
        password_changed_at: None,
        second_factor: None,
        created_at: now,
        updated_at: now,
        epoch: 0,
        revision: 0,
    })
}

/// What writes a new person down.
pub(crate) fn added(user: User, now: Time) -> Vec<Change> {
    let event = event(Kind::UserAdded, &user.id, now);
    vec![Change::InsertUser(user), event]
}

/// Makes `change` to a person, on top of whatever others change at the same time. Where nothing changes, nothing
/// is written.
fn edit(
    site: &Site,
    who: &str,
    kind: Kind,
    mut change: impl FnMut(&mut User) -> Result<(), Failure>,
) -> Result<User, Failure> {
    // By id from here on, whatever happens to the name.
    let id = find(site, who)?.id;
    for _ in 0..ATTEMPTS {
        let before = find(site, id.as_str())?;
        let mut user = before.clone();
        change(&mut user)?;
        if user == before {
            return Ok(user);
        }
        user.updated_at = site.now;
        if site.try_commit(vec![Change::UpdateUser(user.clone()), event(kind, &id, site.now)])? {
            return Ok(user);
        }
        let taken = UserRef::Username(user.username.as_str().to_owned());
        if site.store.user(&taken)?.is_some_and(|other| other.id != id) {
            return Err(Failure::failed(format!(
                "the user name {:?} is taken: choose another",
                user.username.as_str()
            )));
        }
    }
    Err(Failure::failed(format!("user {who:?} is being changed by others all the time: try again")))
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let user = match verb {
        Verb::Add { username, fields, password_stdin } => add(context, &username, &fields, password_stdin)?,
        Verb::Set { id, username, fields } => {
            let username = username.map(|name| parsed("--username", &name, Username::parse)).transpose()?;
            edit(&context.site()?, &id, Kind::UserChanged, |user| {
                if let Some(username) = &username {
                    user.username = username.clone();
                }
                fields.apply(user)
            })?
        }
        Verb::List => {
            let site = context.reading()?;
            let mut rows = context.out.rows(&["id", "username", "name", "status", "created_at"])?;
            site.store.each_user(|user| Ok::<_, Failure>(rows.print(record(&user))?))?;
            return Ok(rows.end()?);
        }
        Verb::Show { id } => find(&context.reading()?, &id)?,
        Verb::Disable { id } => edit(&context.site()?, &id, Kind::UserDisabled, |user| {
            if user.is_active() {
                user.disable();
            }
            Ok(())
        })?,
        Verb::Enable { id } => edit(&context.site()?, &id, Kind::UserEnabled, |user| {
            user.enable();
            Ok(())
        })?,
        Verb::SetPassword { id, must_change } => password::set(context, &id, must_change)?,
        Verb::RequirePasswordChange { id } => {
            let site = context.site()?;
            edit(&site, &id, Kind::PasswordChangeRequired, |user| {
                if user.password_changed_at.is_none() {
                    return Err(Failure::failed(format!(
                        "{id:?} has no password to change: give one with `gatepass user set-password {id} --must-change`"
                    )));
                }
                if !user.must_change_password {
                    user.require_password_change();
                }
                Ok(())
            })?
        }
        Verb::Unlock { id } => password::unlock(&context.site()?, &id)?,
        Verb::Totp { id, verify: Some(code), .. } => return enrol::verify(context, &id, &code),
        Verb::Totp { id, device_name, verify: None } => {
            return enrol::set_up(context, &id, device_name.as_deref());
        }
        Verb::ResetMfa { id } => return enrol::reset(context, &id),
        Verb::Delete { id } => {
            let site = context.site()?;
            let user = find(&site, &id)?;
            let changes =
                vec![Change::DeleteUser(user.id.clone()), event(Kind::UserDeleted, &user.id, site.now)];
            site.commit(changes, || format!("user {id:?} is already gone"))?;
            let gone = Record::new().with("id", user.id.as_str()).with("username", user.username.as_str());
            return Ok(context.out.one(&gone.with("deleted", true))?);
        }
    };
    Ok(context.out.one(&record(&user))?)
}

fn add(context: &Context, username: &str, fields: &Fields, password_stdin: bool) -> Result<User, Failure> {
    let username = parsed("the user name", username, Username::parse)?;
    let mut user = blank(username, Time::default())?;
    fields.apply(&mut user)?;
    let hash = match password_stdin {
        true => Some(password::hash(&password::read(context, &user)?)?),
        false => None,
    };
    let site = context.site()?;
    (user.created_at, user.updated_at) = (site.now, site.now);
    user.password_changed_at = hash.as_ref().map(|_| site.now);
    let mut changes = added(user.clone(), site.now);
    changes.extend(hash.map(|hash| Change::SetPassword { user: user.id.clone(), hash }));
    site.commit(changes, || {
        let name = user.username.as_str();
        format!(
            "user {name:?} exists already: choose another name, or change it with `gatepass user set {name}`"
        )
    })?;
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_new_each_time() {
        let user = || blank(Username::parse("alice").unwrap(), Time::from_unix(1)).unwrap();
        assert_ne!(user().id, user().id);
        assert_eq!(user().id.as_str().len(), 4 + 22);
    }

    #[test]
    fn fields_are_set_cleared_or_refused() {
        let blank = blank(Username::parse("alice").unwrap(), Time::from_unix(1)).unwrap();
        let mut user = blank.clone();
        let set = Fields {
            email: Some("a@example.com".into()),
            gender: Some("female".into()),
            address: Some(" {\"b\": [1, 2]} ".into()),
            ..Fields::default()
        };
        set.apply(&mut user).unwrap();
        assert_eq!(user.address.as_deref(), Some(r#"{"b":[1,2]}"#));
        assert_eq!(user.gender, Some(Gender::Female));
        let clear = Fields {
            email: Some(" ".into()),
            gender: Some(String::new()),
            address: Some("null".into()),
            ..Fields::default()
        };
        clear.apply(&mut user).unwrap();
        assert!(user == blank);
        for wrong in [
            Fields { email: Some("nobody".into()), ..Fields::default() },
            Fields { phone: Some("1\n2".into()), ..Fields::default() },
            Fields { gender: Some("x".into()), ..Fields::default() },
            Fields { second_factor: Some("often".into()), ..Fields::default() },
            Fields { address: Some("{".into()), ..Fields::default() },
            Fields { address: Some(format!("{}1{}", "[".repeat(17), "]".repeat(17))), ..Fields::default() },
        ] {
            assert!(matches!(wrong.apply(&mut blank.clone()), Err(Failure::Usage(_))), "{wrong:?}");
        }
    }
}
