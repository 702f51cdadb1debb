//! The table of canonical identifiers, made anew where it was made by other rules or another numbering plan.

use gatepass_core::records::identifier::{CanonicalIdentifier, IdentifierKind, NumberingPlan};

use super::connection::{Connection, DatabaseError};
use super::connector::Connector;
use super::load::Parameter;
use crate::store::backend::Access;
use crate::store::error::StoreError;
use crate::store::notice::Notice;

/// The users of one statement.
const PAGE: usize = 4096;

const FOUND: &str = "SELECT identifier_rules, numbering_plan FROM meta";

/// No commit is under way then, and none begins.
const FOUND_ALONE: &str = "SELECT identifier_rules, numbering_plan FROM meta FOR UPDATE";

/// Returns the rules of this binary, as text.
pub(super) fn rules() -> String {
    let (rules, (major, minor, patch)) = CanonicalIdentifier::RULES;
    format!("{rules} of Unicode {major}.{minor}.{patch}")
}

/// The rules and the plan by which the table was made.
struct Made {
    rules: String,
    plan: Option<String>,
}

impl Made {
    async fn read(connection: &Connection, sql: &'static str) -> Result<Option<Self>, DatabaseError> {
        let rows = connection.query(sql, &[]).await?;
        Ok(rows.first().map(|row| Self { rules: row.get(0), plan: row.get(1) }))
    }

    /// Returns the plan by which the table has to be made, if it was not made so.
    fn due(self, wanted: Option<&Option<NumberingPlan>>) -> Option<Option<NumberingPlan>> {
        let found = self.plan.and_then(|text| NumberingPlan::parse(&text).ok());
        let plan = wanted.cloned().unwrap_or_else(|| found.clone());
        (self.rules != rules() || plan != found).then_some(plan)
    }
}

/// Makes the table anew, in the transaction that is open, if it was not made by the rules of this binary and by the plan `wanted`, or else
/// by that of the database. Only a server does so.
pub(super) async fn bring_up_to_date(
    connection: &Connection,
    connector: &Connector,
    access: Access,
    wanted: Option<&Option<NumberingPlan>>,
) -> Result<(), StoreError> {
    let failed = |error: DatabaseError| connector.error(&error);
    let due = |made: Option<Made>| made.and_then(|made| made.due(wanted));
    if due(Made::read(connection, FOUND).await.map_err(failed)?).is_none() {
        return Ok(());
    }
    if access != Access::Serve {
        return Err(StoreError::IdentifiersNotMade(connector.address.clone().into()));
    }
    // Another process may have been faster.
    let Some(plan) = due(Made::read(connection, FOUND_ALONE).await.map_err(failed)?) else { return Ok(()) };
    make(connection, plan.as_ref()).await.map_err(failed)?;
    let sql = "UPDATE meta SET identifier_rules = $1, numbering_plan = $2";
    let values: Vec<Parameter> = vec![Box::new(rules()), Box::new(plan.map(|plan| plan.to_string()))];
    connection.query(sql, &values).await.map_err(failed)?;
    let ambiguous = count_ambiguous(connection).await.map_err(failed)?;
    if ambiguous > 0 {
        tracing::warn!("{}", Notice::AmbiguousIdentifiers(ambiguous));
    }
    Ok(())
}

/// Makes every row, a page of users at a time.
async fn make(connection: &Connection, plan: Option<&NumberingPlan>) -> Result<(), DatabaseError> {
    tracing::info!("making the table of identifiers");
    connection.run("DELETE FROM identifiers").await?;
    let mut after = String::new();
    loop {
        let most: Vec<Parameter> =
            vec![Box::new(after.clone()), Box::new(i64::try_from(PAGE).unwrap_or(i64::MAX))];
        let sql = "SELECT id, username, email, phone FROM users WHERE id > $1 ORDER BY id LIMIT $2";
        let users = connection.query(sql, &most).await?;
        let (mut ids, mut kinds, mut forms) = (Vec::new(), Vec::new(), Vec::new());
        for user in &users {
            after = user.get(0);
            for (kind, column) in IdentifierKind::ALL.into_iter().zip(1_usize..) {
                if let Some(text) = user.get::<_, Option<&str>>(column) {
                    ids.push(after.clone());
                    kinds.push(kind.as_str());
                    forms.push(CanonicalIdentifier::of(text, plan).as_str().to_owned());
                }
            }
        }
        let rows: Vec<Parameter> = vec![Box::new(ids), Box::new(kinds), Box::new(forms)];
        let sql = "INSERT INTO identifiers (user_id, kind, canonical) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])";
        connection.query(sql, &rows).await?;
        if users.len() < PAGE {
            return Ok(());
        }
    }
}

/// Returns how many forms name several users.
async fn count_ambiguous(connection: &Connection) -> Result<u64, DatabaseError> {
    let sql = "SELECT count(*) FROM (SELECT FROM identifiers GROUP BY canonical HAVING min(user_id) <> max(user_id)) forms";
    let rows = connection.query(sql, &[]).await?;
    Ok(rows.first().map_or(0, |row| row.get::<_, i64>(0).unsigned_abs()))
}
