//! Importing users: many in one commit, all of them or none.
//!
//! A line names a user by id, or else by user name. Whoever is not there is added, and whoever is there is changed in what the line
//! says. A line that changes nothing is left out, so an import that was interrupted is simply run again. A password belongs to its user once they
//! have signed in with it or chosen one here: from then on an import leaves it alone.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde_json::{Map, Value};

use crate::admin::error::{AdminError, Obstacle};
use crate::admin::fields::UserFields;
use crate::admin::roles::{leave_an_officer, take_from_user};
use crate::admin::step::{Decision, Operation, OperationInputs, Plan};
use crate::admin::users::{check_password, event, require_free, signs_in_alike, wanted};
use crate::base::base64url::prefixed;
use crate::base::json::{JsonError, parse_object};
use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::crypto::seed::Label;
use crate::records::factor::AskFactor;
use crate::records::id::{UserId, UserRef};
use crate::records::identifier::{CanonicalIdentifier, NumberingPlan};
use crate::records::password::{PasswordHash, PasswordHashError, Workspace};
use crate::records::user::{Gender, Status, User, Username, UsernameError};
use crate::store::audit::Kind;
use crate::store::change::Change;
use crate::store::query::{ImportedRecords, Named, Query, Records, UserQuery};

/// The most lines of one commit.
pub const MAX_LINES: usize = 500;
/// The most bytes of a line.
pub const MAX_LINE: usize = 65536;
/// The most errors that are told.
pub const MAX_ERRORS: usize = 100;

/// The members of a line, which are the columns of a table, too.
pub const MEMBERS: [&str; 14] = [
    "id",
    "username",
    "email",
    "phone",
    "name",
    "gender",
    "address",
    "second_factor",
    "status",
    "must_change_password",
    "password_hash",
    "password",
    "password_changed_at",
    "created_at",
];

/// Adds and changes users, all of them in one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportUsers {
    /// The users, at most [`MAX_LINES`].
    pub lines: Vec<ImportLine>,
    /// Checks everything, and writes nothing.
    pub dry_run: bool,
}

/// A line of an import: the values of one user. Those that are not named stay as they are.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ImportLine {
    number: u64,
    id: Option<UserId>,
    username: Option<Username>,
    fields: UserFields,
    status: Option<Status>,
    must_change_password: Option<bool>,
    password: Option<ImportedPassword>,
    password_changed_at: Option<Time>,
    created_at: Option<Time>,
}

impl fmt::Debug for ImportLine {
    /// Shows the number alone: personal data stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportLine").field("number", &self.number).finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, Eq)]
enum ImportedPassword {
    /// It is hashed before anything is written.
    Plain(SecretText),
    Hash(PasswordHash),
}

/// The result of an import, line by line.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ImportReport {
    /// The result of each line, in their order.
    pub lines: Vec<ImportedLine>,
}

/// The result of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedLine {
    /// The number of the line.
    pub line: u64,
    /// The user.
    pub user: UserId,
    /// The effect, or what it would be.
    pub outcome: ImportOutcome,
    /// True if the line has another password than the user, who keeps theirs.
    pub kept_password: bool,
}

/// The effect of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// The user was added.
    Added,
    /// The user was changed.
    Changed,
    /// The user was as the line says.
    Unchanged,
}

impl ImportReport {
    /// Returns the number of lines with this outcome.
    pub fn count(&self, outcome: ImportOutcome) -> usize {
        self.lines.iter().filter(|line| line.outcome == outcome).count()
    }

    /// Returns the number of users who keep another password than their line has.
    pub fn kept_passwords(&self) -> usize {
        self.lines.iter().filter(|line| line.kept_password).count()
    }
}

/// Everything that is wrong with an import. Nothing of it was written.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ImportErrors {
    /// The errors by line, at most [`MAX_ERRORS`].
    pub errors: Vec<LineError>,
    /// The number of further errors.
    pub more: usize,
}

impl ImportErrors {
    /// Adds an error.
    pub fn push(&mut self, error: LineError) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// Adds all of `others`.
    pub fn append(&mut self, others: Self) {
        others.errors.into_iter().for_each(|error| self.push(error));
        self.more = self.more.saturating_add(others.more);
    }

    /// Returns true if nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }
}

impl fmt::Display for ImportErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.errors.iter().enumerate() {
            write!(f, "{}{error}", if number == 0 { "" } else { "; " })?;
        }
        if self.more > 0 {
            write!(f, "; and {} more", self.more)?;
        }
        Ok(())
    }
}

/// An error of one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// The number of the line.
    pub line: u64,
    /// The reason.
    pub fault: LineFault,
}

/// The reason why a line is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineFault {
    /// It has more bytes than [`MAX_LINE`].
    TooLong,
    /// It is no JSON object.
    Json(JsonError),
    /// It has a member that users do not have.
    UnknownMember(String),
    /// The row of a table has another number of cells than its header.
    Cells {
        /// The cells of the row.
        cells: usize,
        /// The columns of the table.
        columns: usize,
    },
    /// Roles of administration are not imported.
    Roles,
    /// It says neither who is changed nor how somebody new is called.
    NoUsername,
    /// The member is no text.
    NoText(&'static str),
    /// The member is neither true nor false.
    NoFlag(&'static str),
    /// The member is none of these words.
    NoneOf(&'static str, &'static [&'static str]),
    /// The member is no JSON.
    NoJson(&'static str),
    /// The member is no time, or one in the future.
    NoTime(&'static str),
    /// The id is not one of a user.
    Id,
    /// The text is no user name.
    Username(UsernameError),
    /// The text is taken for no password hash.
    PasswordHash(PasswordHashError),
    /// It has a password and a hash.
    TwoPasswords,
    /// Its password was not hashed before.
    PlainPassword,
    /// Another line is about the same user, or has one of the identifiers.
    Repeated(u64),
    /// A rule of the operations on users is broken.
    Rule(Box<AdminError>),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.fault)
    }
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "over {MAX_LINE} bytes"),
            Self::Json(error) => write!(f, "no JSON object: {error}"),
            Self::UnknownMember(name) => {
                write!(f, "{name:?} is none of")?;
                MEMBERS.iter().try_for_each(|known| write!(f, " {known}"))
            }
            Self::Cells { cells, columns } => {
                write!(f, "{cells} cells, where the table has {columns} columns")
            }
            Self::Roles => f.write_str("roles are not imported: leave `roles` out"),
            Self::NoUsername => f.write_str("there is no such user, and `username` is missing for a new one"),
            Self::NoText(member) => write!(f, "{member} is no text"),
            Self::NoFlag(member) => write!(f, "{member} is neither true nor false"),
            Self::NoneOf(member, words) => {
                write!(f, "{member} is none of")?;
                words.iter().try_for_each(|word| write!(f, " {word}"))
            }
            Self::NoJson(member) => write!(f, "{member} is no JSON"),
            Self::NoTime(member) => {
                write!(f, "{member} is no time like 2026-01-31T12:00:00Z that has been")
            }
            Self::Id => write!(
                f,
                "an id is {} and further characters of A-Z a-z 0-9 . _ ~ -, 64 in all",
                User::ID_PREFIX
            ),
            Self::Username(error) => error.fmt(f),
            Self::PasswordHash(error) => write!(f, "password_hash {error}"),
            Self::TwoPasswords => f.write_str("password and password_hash exclude each other"),
            Self::PlainPassword => f.write_str("give the password as `password_hash`"),
            Self::Repeated(line) => {
                write!(f, "line {line} is about the same user, or has the same identifier")
            }
            Self::Rule(error) => error.fmt(f),
        }
    }
}

/// The lines that have each identifier, so that no two have the same.
#[derive(Debug)]
pub struct ImportedIdentifiers {
    plan: Option<NumberingPlan>,
    lines: BTreeMap<CanonicalIdentifier, u64>,
}

impl ImportedIdentifiers {
    /// Begins without any, to be compared by `plan`.
    pub const fn new(plan: Option<NumberingPlan>) -> Self {
        Self { plan, lines: BTreeMap::new() }
    }

    /// Adds those of `line`.
    ///
    /// # Errors
    /// [`LineFault::Repeated`] where another line has one of them.
    pub fn add(&mut self, line: &ImportLine) -> Result<(), LineError> {
        let mut repeated = None;
        for (_, text) in wanted(line.username.as_ref(), &line.fields) {
            let form = CanonicalIdentifier::of(text, self.plan.as_ref());
            let first = *self.lines.entry(form).or_insert(line.number);
            repeated = repeated.or(Some(first).filter(|first| *first != line.number));
        }
        repeated.map_or(Ok(()), |first| Err(line.error(LineFault::Repeated(first))))
    }
}

impl ImportLine {
    /// Reads line `number` of JSON lines: one object. `null` clears a value.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(number: u64, json: &[u8]) -> Result<Self, Vec<LineError>> {
        let error = |fault| Vec::from([LineError { line: number, fault }]);
        if json.len() > MAX_LINE {
            return Err(error(LineFault::TooLong));
        }
        let members = parse_object(json).map_err(|wrong| error(LineFault::Json(wrong)))?;
        Self::of_members(number, &members)
    }

    /// Reads line `number` of a table, whose columns are [`MEMBERS`]. An empty cell says nothing.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn of_cells<'a>(
        number: u64,
        cells: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<LineError>> {
        let (mut members, mut errors) = (Map::new(), Vec::new());
        for (name, cell) in cells.filter(|(_, cell)| !cell.is_empty()) {
            let value = match name {
                "must_change_password" => match cell {
                    "true" | "1" => Value::Bool(true),
                    "false" | "0" => Value::Bool(false),
                    _ => Value::String(cell.into()),
                },
                "address" => serde_json::from_str(cell).unwrap_or_else(|_| {
                    errors.push(LineError { line: number, fault: LineFault::NoJson("address") });
                    Value::Null
                }),
                _ => Value::String(cell.into()),
            };
            members.insert(name.into(), value);
        }
        match Self::of_members(number, &members) {
            Ok(line) if errors.is_empty() => Ok(line),
            Ok(_) => Err(errors),
            Err(others) => Err(errors.into_iter().chain(others).collect()),
        }
    }

    fn of_members(number: u64, members: &Map<String, Value>) -> Result<Self, Vec<LineError>> {
        let mut line = Self { number, ..Self::default() };
        let mut errors = Vec::new();
        for (name, value) in members {
            let known = MEMBERS.iter().find(|known| *known == name);
            let read = match known {
                None if name == "roles" => Err(LineFault::Roles),
                None => Err(LineFault::UnknownMember(name.chars().take(64).collect())),
                Some(member) => line.read(member, value),
            };
            errors.extend(read.err().map(|fault| LineError { line: number, fault }));
        }
        if line.id.is_none() && line.username.is_none() && errors.is_empty() {
            errors.push(line.error(LineFault::NoUsername));
        }
        if errors.is_empty() { Ok(line) } else { Err(errors) }
    }

    /// Reads one member.
    fn read(&mut self, member: &'static str, value: &Value) -> Result<(), LineFault> {
        let rule = |error| LineFault::Rule(Box::new(error));
        if member == "address" {
            self.fields = core::mem::take(&mut self.fields).address(value).map_err(rule)?;
            return Ok(());
        }
        if member == "must_change_password" {
            let flag = value.as_bool().or_else(|| value.is_null().then_some(false));
            self.must_change_password = Some(flag.ok_or(LineFault::NoFlag(member))?);
            return Ok(());
        }
        // An empty text clears, as everywhere.
        let text = if value.is_null() { "" } else { value.as_str().ok_or(LineFault::NoText(member))? };
        let fields = core::mem::take(&mut self.fields);
        let word = |words: &'static [&'static str]| LineFault::NoneOf(member, words);
        self.fields = match member {
            "email" => fields.email(text).map_err(rule)?,
            "phone" => fields.phone(text).map_err(rule)?,
            "name" => fields.name(text).map_err(rule)?,
            "gender" => match text {
                "" => fields.gender(None),
                text => fields.gender(Some(Gender::parse(text).ok_or(word(&["female", "male"]))?)),
            },
            "second_factor" => match text {
                "" => fields.second_factor(None),
                text => {
                    let ask = AskFactor::parse(text).ok_or(word(&["never", "risk", "always"]))?;
                    fields.second_factor(Some(ask))
                }
            },
            _ => fields,
        };
        // What was cleared: nobody is without these.
        if text.is_empty() {
            return match member {
                "id" => Err(LineFault::Id),
                "username" => Err(LineFault::Username(UsernameError::Malformed)),
                "status" => Err(word(&["active", "disabled"])),
                _ => Ok(()),
            };
        }
        let time = || {
            let time = Time::of_rfc3339(text);
            time.ok_or(LineFault::NoTime(member))
        };
        match member {
            "id" => {
                let id = UserId::parse(text).ok().filter(|id| id.as_str().starts_with(User::ID_PREFIX));
                self.id = Some(id.ok_or(LineFault::Id)?);
            }
            "username" => self.username = Some(Username::parse(text).map_err(LineFault::Username)?),
            "status" => {
                self.status = Some(match text {
                    "active" => Status::Active,
                    "disabled" => Status::Disabled,
                    _ => return Err(word(&["active", "disabled"])),
                });
            }
            "password_hash" => {
                let hash = PasswordHash::import(text).map_err(LineFault::PasswordHash)?;
                self.give(ImportedPassword::Hash(hash))?;
            }
            "password" => self.give(ImportedPassword::Plain(SecretText::new(text.into())))?,
            "password_changed_at" => self.password_changed_at = Some(time()?),
            "created_at" => self.created_at = Some(time()?),
            _ => {}
        }
        Ok(())
    }

    fn give(&mut self, password: ImportedPassword) -> Result<(), LineFault> {
        if self.password.is_some() {
            return Err(LineFault::TwoPasswords);
        }
        self.password = Some(password);
        Ok(())
    }

    /// Returns the number of the line.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Returns true if it has a password that is not hashed yet.
    pub const fn has_plain_password(&self) -> bool {
        matches!(self.password, Some(ImportedPassword::Plain(_)))
    }

    /// Hashes the password, if it is not hashed yet, with 16 random bytes that nothing else is made of. Takes some 20 ms; none where there is
    /// no memory for it.
    pub fn hash_password(&mut self, salt: [u8; 16], workspace: &mut Workspace) -> Option<()> {
        if let Some(ImportedPassword::Plain(password)) = &self.password {
            self.password = Some(ImportedPassword::Hash(PasswordHash::of(password, salt, workspace)?));
        }
        Some(())
    }

    fn error(&self, fault: LineFault) -> LineError {
        LineError { line: self.number, fault }
    }

    fn query(&self) -> UserQuery {
        let user = match (&self.id, &self.username) {
            (Some(id), _) => UserRef::from(id),
            (None, Some(username)) => UserRef::Username(username.as_str().to_owned()),
            (None, None) => UserRef::Any(String::new()),
        };
        let identifiers = wanted(self.username.as_ref(), &self.fields);
        UserQuery { user, identifiers: identifiers.into_iter().map(|(_, text)| text.to_owned()).collect() }
    }

    /// Decides on this line, which is the `place`th of its import.
    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        found: &ImportedRecords,
        (place, dry_run): (u32, bool),
    ) -> Result<(ImportedLine, Vec<Change>), LineFault> {
        let now = inputs.request.now;
        for (member, time) in
            [("created_at", self.created_at), ("password_changed_at", self.password_changed_at)]
        {
            if time.is_some_and(|time| time.is_ahead_of(now)) {
                return Err(LineFault::NoTime(member));
            }
        }
        require_free(wanted(self.username.as_ref(), &self.fields), &found.owners).map_err(LineFault::from)?;
        match &found.user {
            Named::Nobody => self.add(inputs, (place, dry_run)),
            Named::One(user) => self.change(inputs, user, found, dry_run),
            Named::Several(users) => {
                let identifier = self.query().user.as_str().to_owned();
                Err(AdminError::Ambiguous { identifier, users: users.clone() }.into())
            }
        }
    }

    fn add(
        &self,
        inputs: &OperationInputs<'_>,
        (place, dry_run): (u32, bool),
    ) -> Result<(ImportedLine, Vec<Change>), LineFault> {
        let now = inputs.request.now;
        let username = self.username.clone().ok_or(LineFault::NoUsername)?;
        let id = match &self.id {
            Some(id) => id.clone(),
            None => {
                let drawn = inputs.request.seed.numbered(Label::User, place);
                let drawn = drawn.expose().get(..16).unwrap_or_default();
                UserId::parse(&prefixed(User::ID_PREFIX, drawn)).map_err(|_| LineFault::Id)?
            }
        };
        let mut user = User::new(id, username, self.created_at.unwrap_or(now));
        user.updated_at = now;
        self.fields.apply(&mut user);
        user.status = self.status.unwrap_or(Status::Active);
        let hash = self.hash_for(inputs, &user, dry_run)?;
        user.password_changed_at = self.password.as_ref().map(|_| self.password_changed_at.unwrap_or(now));
        user.must_change_password = self.must_change_password.unwrap_or_default();
        require_password(&user)?;
        let set = hash.map(|hash| Change::SetPassword { user: user.id.clone(), hash });
        let line = ImportedLine {
            line: self.number,
            user: user.id.clone(),
            outcome: ImportOutcome::Added,
            kept_password: false,
        };
        let added = event(inputs, Kind::UserAdded, &user.id);
        Ok((line, [Change::InsertUser(user), added].into_iter().chain(set).collect()))
    }

    fn change(
        &self,
        inputs: &OperationInputs<'_>,
        found: &User,
        records: &ImportedRecords,
        dry_run: bool,
    ) -> Result<(ImportedLine, Vec<Change>), LineFault> {
        let now = inputs.request.now;
        let (mut user, mut events) = (found.clone(), Vec::new());
        if let Some(username) = &self.username {
            user.username = username.clone();
        }
        self.fields.apply(&mut user);
        if user != *found {
            events.push(Kind::UserChanged);
        }
        // Theirs from the first sign-in on, and the same again changes nothing.
        let stored = records.password.as_ref().map(|password| &password.hash);
        let is_same = match (&self.password, stored) {
            (Some(ImportedPassword::Hash(hash)), Some(stored)) => hash == stored,
            _ => false,
        };
        let is_theirs = stored.is_some_and(|stored| !stored.is_foreign());
        let mut set = None;
        let gets_password = self.password.is_some() && !is_same && !is_theirs;
        if gets_password {
            let hash = self.hash_for(inputs, &user, dry_run)?;
            user.set_password(self.password_changed_at.unwrap_or(now));
            events.push(Kind::PasswordSet);
            set = hash.map(|hash| Change::SetPassword { user: user.id.clone(), hash });
        }
        match self.must_change_password {
            Some(true) if !user.must_change_password => {
                if !gets_password {
                    user.require_password_change();
                    events.push(Kind::PasswordChangeRequired);
                }
                user.must_change_password = true;
            }
            Some(false) if user.must_change_password => {
                user.must_change_password = false;
                if !events.contains(&Kind::UserChanged) {
                    events.push(Kind::UserChanged);
                }
            }
            Some(_) | None => {}
        }
        match self.status {
            Some(Status::Disabled) if user.is_active() => {
                user.disable();
                events.push(Kind::UserDisabled);
            }
            Some(Status::Active) if !user.is_active() => {
                user.enable();
                events.push(Kind::UserEnabled);
            }
            Some(_) | None => {}
        }
        require_password(&user)?;
        let mut roles = Vec::new();
        if events.contains(&Kind::UserDisabled) {
            roles.extend(leave_an_officer(inputs, found, records.another_officer)?);
        }
        let of_sign_in = [Kind::PasswordSet, Kind::PasswordChangeRequired, Kind::UserEnabled];
        if !signs_in_alike(found, &user) || events.iter().any(|kind| of_sign_in.contains(kind)) {
            let mut taken = found.clone();
            roles.extend(take_from_user(inputs, &mut taken, records.another_officer)?);
            if taken.roles != found.roles {
                user.set_roles(taken.roles);
            }
        }
        let is_changed = !events.is_empty();
        let line = ImportedLine {
            line: self.number,
            user: user.id.clone(),
            outcome: if is_changed { ImportOutcome::Changed } else { ImportOutcome::Unchanged },
            kept_password: self.password.is_some() && is_theirs && !is_same,
        };
        if !is_changed {
            return Ok((line, Vec::new()));
        }
        user.updated_at = now;
        let events = events.into_iter().map(|kind| event(inputs, kind, &found.id));
        Ok((line, [Change::UpdateUser(user)].into_iter().chain(set).chain(events).chain(roles).collect()))
    }

    /// Returns the hash of the line's password, which is to become one of `user`; none in a dry run where it is not hashed yet.
    fn hash_for(
        &self,
        inputs: &OperationInputs<'_>,
        user: &User,
        dry_run: bool,
    ) -> Result<Option<PasswordHash>, LineFault> {
        match &self.password {
            None => Ok(None),
            Some(ImportedPassword::Hash(hash)) => Ok(Some(hash.clone())),
            Some(ImportedPassword::Plain(password)) => {
                check_password(password, user, inputs.settings)?;
                if dry_run { Ok(None) } else { Err(LineFault::PlainPassword) }
            }
        }
    }
}

/// Checks that whoever has to change their password has one.
fn require_password(user: &User) -> Result<(), LineFault> {
    if user.must_change_password && user.password_changed_at.is_none() {
        return Err(AdminError::Refused(Obstacle::NoPassword).into());
    }
    Ok(())
}

impl From<AdminError> for LineFault {
    fn from(error: AdminError) -> Self {
        Self::Rule(Box::new(error))
    }
}

impl Operation for ImportUsers {
    type Output = ImportReport;

    fn query(&self) -> Query {
        Query::Import(self.lines.iter().take(MAX_LINES).map(ImportLine::query).collect())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<ImportReport>, AdminError> {
        let Records::Import(found) = records else { return Err(AdminError::Internal) };
        if self.lines.len() > MAX_LINES {
            return Err(AdminError::TooManyLines);
        }
        let (mut report, mut changes) = (ImportReport::default(), Vec::new());
        let mut errors = ImportErrors::default();
        let mut identifiers = ImportedIdentifiers::new(found.numbering_plan.clone());
        let mut users = BTreeMap::new();
        for ((line, found), place) in self.lines.iter().zip(&found.users).zip(0..) {
            if let Err(error) = identifiers.add(line) {
                errors.push(error);
                continue;
            }
            match line.decide(inputs, found, (place, self.dry_run)) {
                Ok((done, written)) => {
                    let first = *users.entry(done.user.clone()).or_insert(line.number);
                    if first != line.number {
                        errors.push(line.error(LineFault::Repeated(first)));
                    }
                    report.lines.push(done);
                    changes.extend(written);
                }
                Err(fault) => errors.push(line.error(fault)),
            }
        }
        if !errors.is_empty() {
            return Err(AdminError::Import(Box::new(errors)));
        }
        if self.dry_run || changes.is_empty() {
            return Ok(Decision::Done(report));
        }
        Ok(Plan::new(changes, report).into())
    }
}
