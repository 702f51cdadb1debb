//! The table of canonical identifiers: one row for each identifier of each user, in the form in which it is compared.
//!
//! A change of a user's record changes its rows in the same transaction. All of them are made anew, in batches, where the rules or the
//! numbering plan have changed: by a start that has the file alone. The store answers nothing until that is done.

use gatepass_core::records::id::UserRef;
use gatepass_core::records::identifier::{CanonicalIdentifier, IdentifierKind, NumberingPlan};
use gatepass_core::records::user::{User, Username};
use gatepass_core::store::query::{IdentifierOwner, MAX_NAMESAKES, Named};
use rusqlite::{Connection, Row, TransactionBehavior, params};

use super::batch;
use super::read::{every, first, user_by_id_text};
use super::transaction_error::TransactionError;
use super::values::decoder;
use crate::store::rows::{self, Columns, NO_META, columns};

/// The users of one batch. More of them at once write fewer pages of the index twice.
const BATCH: i64 = 65_536;
/// The cache while rows are made, in KiB: parts of the index are written many times.
const CACHE: i64 = 32 * 1024;

/// The state of the table.
struct Made {
    rules: Option<String>,
    plan: Option<NumberingPlan>,
    until: Option<i64>,
}

impl Made {
    fn read(db: &Connection) -> Result<Self, TransactionError> {
        let sql = "SELECT identifier_rules, numbering_plan, identifiers_made FROM meta";
        let read = |row: &Row<'_>| {
            let mut c = Columns::of(row, "meta");
            let rules = c.maybe("identifier_rules", rows::owned)?;
            let plan = c.maybe("numbering_plan", |text| NumberingPlan::parse(text).ok())?;
            Ok(Self { rules, plan, until: row.get("identifiers_made")? })
        };
        first(db, sql, [], read)?.ok_or(NO_META.into())
    }

    fn is_by(&self, plan: Option<&NumberingPlan>) -> bool {
        self.rules.as_deref() == Some(&*rules()) && self.plan.as_ref() == plan
    }
}

/// Returns the rules of this binary, as text.
pub(super) fn rules() -> String {
    let (rules, (major, minor, patch)) = CanonicalIdentifier::RULES;
    format!("{rules} of Unicode {major}.{minor}.{patch}")
}

/// Returns the numbering plan of the file.
pub(super) fn plan(db: &Connection) -> Result<Option<NumberingPlan>, TransactionError> {
    let sql = "SELECT numbering_plan FROM meta";
    let read = decoder("meta", |c| c.maybe("numbering_plan", |text| NumberingPlan::parse(text).ok()));
    Ok(first(db, sql, [], read)?.flatten())
}

/// Returns true if the rows have to be made anew, or to the end: by the plan of the file, if `wanted` is none.
pub(super) fn are_due(
    db: &Connection,
    wanted: Option<&Option<NumberingPlan>>,
) -> Result<bool, TransactionError> {
    let made = Made::read(db)?;
    let plan = wanted.map_or(made.plan.as_ref(), Option::as_ref);
    Ok(made.until.is_some() || !made.is_by(plan))
}

/// Makes the rows, in one transaction for each batch. An interrupted run is taken up where it ended.
pub(super) fn make(
    db: &mut Connection,
    wanted: Option<&Option<NumberingPlan>>,
) -> Result<(), TransactionError> {
    db.pragma_update(None, "cache_size", -CACHE)?;
    while let Some(next) = make_next(db, wanted, BATCH)? {
        tracing::info!(until = next, "making the table of identifiers");
    }
    Ok(())
}

/// Makes the rows of the next users, if there are any. Returns the last of them; none after the last batch.
fn make_next(
    db: &mut Connection,
    wanted: Option<&Option<NumberingPlan>>,
    batch: i64,
) -> Result<Option<i64>, TransactionError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let made = Made::read(&tx)?;
    let plan = wanted.map_or(made.plan.as_ref(), Option::as_ref);
    let until = if made.is_by(plan) { made.until } else { Some(i64::MIN) };
    let Some(until) = until else { return Ok(None) };
    let next = make_batch(&tx, until, plan, batch)?;
    if next.is_none() {
        find_ambiguous(&tx)?;
    }
    tx.execute(
        "UPDATE meta SET identifier_rules = ?1, numbering_plan = ?2, identifiers_made = ?3",
        params![rules(), plan.map(NumberingPlan::to_string), next],
    )?;
    batch::number(&tx)?;
    tx.commit()?;
    Ok(next)
}

/// Makes the rows of the next users after `until`. Returns the last of them; none after the last batch.
fn make_batch(
    db: &Connection,
    until: i64,
    plan: Option<&NumberingPlan>,
    batch: i64,
) -> Result<Option<i64>, TransactionError> {
    db.prepare_cached(
        "DELETE FROM identifiers WHERE user > ?1 AND user <= (SELECT coalesce(max(seq), ?1) FROM \
         (SELECT seq FROM users WHERE seq > ?1 ORDER BY seq LIMIT ?2))",
    )?
    .execute([until, batch])?;
    let mut insert = db.prepare_cached(INSERT)?;
    let sql = "SELECT seq, username, email, phone FROM users WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let mut select = db.prepare_cached(sql)?;
    let mut found = select.query([until, batch])?;
    let (mut last, mut count) = (None, 0);
    while let Some(row) = found.next()? {
        let seq: i64 = row.get(0)?;
        for (kind, column) in IdentifierKind::ALL.into_iter().zip(1..) {
            let text = row.get_ref(column)?.as_str_or_null();
            let text = text.map_err(|_| TransactionError::Row { table: "users", column: kind.as_str() })?;
            if let Some(text) = text {
                insert.execute(params![seq, kind.as_str(), CanonicalIdentifier::of(text, plan).as_str()])?;
            }
        }
        (last, count) = (Some(seq), count + 1);
    }
    Ok(last.filter(|_| count == batch))
}

const INSERT: &str = "INSERT INTO identifiers (user, kind, canonical) VALUES (?1, ?2, ?3)";

/// Notes the forms that several users have.
pub(super) fn find_ambiguous(db: &Connection) -> Result<(), TransactionError> {
    db.execute("DELETE FROM ambiguous_identifiers", [])?;
    db.execute(
        "INSERT INTO ambiguous_identifiers SELECT canonical FROM identifiers INDEXED BY identifiers_by_canonical \
         GROUP BY canonical HAVING min(user) <> max(user)",
        [],
    )?;
    Ok(())
}

/// Returns how many forms name several users still.
pub(super) fn count_ambiguous(db: &Connection) -> Result<u64, TransactionError> {
    let sql = "SELECT count(*) FROM ambiguous_identifiers a WHERE \
               (SELECT min(user) <> max(user) FROM identifiers i WHERE i.canonical = a.canonical)";
    let count = first(db, sql, [], decoder("ambiguous_identifiers", |c| c.number("count")))?;
    Ok(count.unwrap_or_default())
}

/// A form that several users have, and each of them with the kind that it is of theirs.
pub(super) struct Ambiguous {
    pub(super) canonical: String,
    pub(super) owners: Vec<IdentifierOwner>,
}

/// Returns the forms that several users have, at most `most`. It reads the whole table.
pub(super) fn ambiguous(db: &Connection, most: usize) -> Result<Vec<Ambiguous>, TransactionError> {
    let sql = "SELECT canonical FROM identifiers INDEXED BY identifiers_by_canonical GROUP BY canonical \
               HAVING min(user) <> max(user) LIMIT ?1";
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let forms: Vec<String> = every(db, sql, [limit], |row| Ok(row.get(0)?))?;
    let with_owners = |canonical: String| {
        let owners = every(db, OWNERS, params![canonical, "", namesakes()], owner)?;
        Ok(Ambiguous { canonical, owners })
    };
    forms.into_iter().map(with_owners).collect()
}

fn namesakes() -> i64 {
    i64::try_from(MAX_NAMESAKES).unwrap_or(i64::MAX)
}

const OWNERS: &str = "SELECT u.id, u.username, i.kind FROM (SELECT user, kind FROM identifiers WHERE canonical = ?1 \
     AND user IS NOT (SELECT seq FROM users WHERE id = ?2) \
     ORDER BY user, CASE kind WHEN 'username' THEN 0 WHEN 'email' THEN 1 ELSE 2 END LIMIT ?3) i \
     CROSS JOIN users u ON u.seq = i.user ORDER BY u.id, CASE i.kind WHEN 'username' THEN 0 WHEN 'email' THEN 1 ELSE 2 END";

fn owner(row: &Row<'_>) -> Result<IdentifierOwner, TransactionError> {
    let mut c = Columns::of(row, "identifiers");
    Ok(IdentifierOwner {
        user: c.parsed("id", rows::user_id)?,
        username: c.parsed("username", |text| Username::stored(text).ok())?,
        kind: c.parsed("kind", IdentifierKind::parse)?,
    })
}

/// Returns, for each of `texts`, a user who has it, but for the one with the id `but`.
pub(super) fn owners(
    db: &Connection,
    texts: &[String],
    but: &str,
) -> Result<Vec<Option<IdentifierOwner>>, TransactionError> {
    let plan = plan(db)?;
    let owner_of = |text: &String| {
        let form = CanonicalIdentifier::of(text, plan.as_ref());
        first(db, OWNERS, params![form.as_str(), but, 1], owner)
    };
    texts.iter().map(owner_of).collect()
}

/// Returns the user whom `who` names.
pub(super) fn named(db: &Connection, who: &UserRef) -> Result<Named<User>, TransactionError> {
    match who {
        UserRef::Any(text) => match user_by_id_text(db, text)? {
            Some(user) => Ok(Named::One(user)),
            None => Ok(identified(db, text)?.0),
        },
        UserRef::Username(text) => {
            let (named, form, plan) = identified(db, text)?;
            Ok(named.filter(|user| CanonicalIdentifier::of(user.username.as_str(), plan.as_ref()) == form))
        }
    }
}

// Not in the order of the index over ids, which would be read from its start. A placeholder may be the number of thousands: they are not
// all read.
const IDENTIFIED: &str = concat!(
    "SELECT ",
    columns!(users),
    " FROM users WHERE seq IN (SELECT DISTINCT user FROM identifiers WHERE canonical = ?1 ORDER BY user LIMIT ?2) ORDER BY +id"
);

/// Returns the user who has the identifier, its form, and the plan that the form is made by.
pub(super) fn identified(
    db: &Connection,
    text: &str,
) -> Result<(Named<User>, CanonicalIdentifier, Option<NumberingPlan>), TransactionError> {
    let plan = plan(db)?;
    let form = CanonicalIdentifier::of(text, plan.as_ref());
    let mut users = every(db, IDENTIFIED, params![form.as_str(), namesakes()], decoder("users", rows::user))?;
    let named = match users.len() {
        0 | 1 => users.pop().into(),
        _ => Named::Several(users.into_iter().map(|user| user.id).collect()),
    };
    Ok((named, form, plan))
}

/// Brings the rows of a user up to date with the record that was written. Conflicts where somebody else has what the user did not have.
pub(super) fn update(db: &Connection, user: &User) -> Result<(), TransactionError> {
    let seq: Option<i64> =
        first(db, "SELECT seq FROM users WHERE id = ?1", [user.id.as_str()], |row| Ok(row.get(0)?))?;
    let seq = seq.ok_or(TransactionError::Conflict)?;
    let plan = plan(db)?;
    let read = |row: &Row<'_>| {
        let mut c = Columns::of(row, "identifiers");
        let kind = c.parsed("kind", IdentifierKind::parse)?;
        Ok((kind, CanonicalIdentifier::known(c.parsed("canonical", rows::owned)?)))
    };
    let mut before = every(db, "SELECT kind, canonical FROM identifiers WHERE user = ?1", [seq], read)?;
    before.sort_unstable();
    let after: Vec<_> = user.canonical_identifiers(plan.as_ref()).collect();
    if before == after {
        return Ok(());
    }
    for (_, form) in &after {
        let had = before.iter().any(|(_, other)| other == form);
        let taken = "SELECT 1 FROM identifiers WHERE canonical = ?1 AND user <> ?2";
        if !had && db.prepare_cached(taken)?.exists(params![form.as_str(), seq])? {
            return Err(TransactionError::Conflict);
        }
    }
    db.prepare_cached("DELETE FROM identifiers WHERE user = ?1")?.execute([seq])?;
    let mut insert = db.prepare_cached(INSERT)?;
    for (kind, form) in after {
        insert.execute(params![seq, kind.as_str(), form.as_str()])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::schema;

    /// A database with users of these names, numbers and addresses, from before their forms were kept.
    fn database(users: &[(&str, Option<&str>, Option<&str>)]) -> Connection {
        let db = Connection::open_in_memory().unwrap();
        schema::bring_up_to_date(&db, 0).unwrap();
        db.execute_batch(
            "PRAGMA foreign_keys = ON; INSERT INTO meta (id, generation, clock_mark, clock_resets, audit_seq, audit_mac, \
             audit_seal, audit_key, master_check, commits, commit_id, installation) \
             VALUES (1, 1, 0, 0, 0, x'', x'', x'', x'', 0, randomblob(16), randomblob(16))",
        )
        .unwrap();
        for (number, (name, email, phone)) in users.iter().enumerate() {
            let sql = "INSERT INTO users (id, username, email, phone, status, must_change_password, created_at, updated_at, \
                       epoch, revision) VALUES (?1, ?2, ?3, ?4, 'active', 0, 0, 0, 0, 0)";
            db.execute(sql, params![format!("usr_{number}"), name, email, phone]).unwrap();
        }
        db
    }

    fn forms(db: &Connection) -> Vec<(i64, String, String)> {
        let sql = "SELECT user, kind, canonical FROM identifiers ORDER BY user, kind";
        every(db, sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap()
    }

    fn plan_of(text: &str) -> Option<NumberingPlan> {
        NumberingPlan::parse(text).ok()
    }

    const PEOPLE: &[(&str, Option<&str>, Option<&str>)] = &[
        ("alice", Some("Alice@Example.com"), Some("+86 138 0013 8000")),
        ("alice@example.com", None, None),
        ("Jos\u{e9}", None, Some("13800138000")),
        ("Jose\u{301}", None, None),
        ("bob", Some("bob@example.com"), None),
        ("carol", Some("BOB@example.com"), None),
    ];

    #[test]
    fn rows_are_made_in_batches_and_an_interrupted_run_goes_on() {
        let mut whole = database(PEOPLE);
        make(&mut whole, None).unwrap();
        assert_eq!(forms(&whole).len(), 11);
        assert_eq!(count_ambiguous(&whole).unwrap(), 3);
        for batch in 1..=7 {
            for wanted in [None, Some(plan_of("86")), Some(plan_of("49/0"))] {
                let mut db = database(PEOPLE);
                assert!(are_due(&db, None).unwrap());
                // Begun by one plan, and then by the wanted one from the start.
                make_next(&mut db, Some(&plan_of("1/1")), batch).unwrap();
                while make_next(&mut db, wanted.as_ref(), batch).unwrap().is_some() {
                    assert!(are_due(&db, wanted.as_ref()).unwrap());
                }
                assert!(!are_due(&db, wanted.as_ref()).unwrap() && !are_due(&db, None).unwrap());
                let plan = plan(&db).unwrap();
                let mut expected = database(PEOPLE);
                make(&mut expected, Some(&plan)).unwrap();
                assert_eq!(forms(&db), forms(&expected), "{batch} {wanted:?}");
                assert_eq!(count_ambiguous(&db).unwrap(), count_ambiguous(&expected).unwrap());
                make(&mut db, wanted.as_ref()).unwrap();
                assert_eq!(forms(&db), forms(&expected), "made once");
            }
        }
    }

    #[test]
    fn another_plan_or_other_rules_make_them_anew() {
        let mut db = database(PEOPLE);
        make(&mut db, None).unwrap();
        let number = |db: &Connection| {
            let sql = "SELECT canonical FROM identifiers WHERE user = 3 AND kind = 'phone'";
            db.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap()
        };
        assert_eq!(number(&db), "13800138000");
        make(&mut db, Some(&plan_of("86"))).unwrap();
        assert_eq!((number(&db), count_ambiguous(&db).unwrap()), ("+8613800138000".into(), 4));
        assert!(!are_due(&db, None).unwrap() && are_due(&db, Some(&None)).unwrap());
        make(&mut db, Some(&None)).unwrap();
        assert_eq!((number(&db), count_ambiguous(&db).unwrap()), ("13800138000".into(), 3));
        db.execute("UPDATE meta SET identifier_rules = '0 of Unicode 1.0.0'", []).unwrap();
        db.execute("UPDATE identifiers SET canonical = 'old' || user || kind", []).unwrap();
        assert!(are_due(&db, None).unwrap());
        make(&mut db, None).unwrap();
        assert_eq!((number(&db), count_ambiguous(&db).unwrap()), ("13800138000".into(), 3));
    }

    /// Returns how many steps the database takes to run a statement to its end.
    fn steps(db: &Connection, sql: &str, params: impl rusqlite::Params) -> i32 {
        let mut statement = db.prepare(sql).unwrap();
        let mut rows = statement.query(params).unwrap();
        while rows.next().unwrap().is_some() {}
        drop(rows);
        statement.get_status(rusqlite::StatementStatus::VmStep)
    }

    #[test]
    fn an_identifier_of_thousands_is_looked_up_like_one_of_a_few() {
        let lookups = [10, 5000].map(|count| {
            let names: Vec<String> = (0..count).map(|number| format!("user{number}")).collect();
            let users: Vec<_> = names.iter().map(|name| (&**name, None, Some("000 0000 0000"))).collect();
            let mut db = database(&users);
            make(&mut db, None).unwrap();
            let form = CanonicalIdentifier::of("000 0000 0000", None);
            let Named::Several(users) = identified(&db, "000 0000 0000").unwrap().0 else {
                panic!("several")
            };
            assert_eq!(users.len(), MAX_NAMESAKES);
            assert!(users.is_sorted());
            let owner = owners(&db, &["000 0000 0000".into()], "usr_0").unwrap();
            assert_eq!(owner.first().unwrap().as_ref().unwrap().user.as_str(), "usr_1");
            [
                steps(&db, IDENTIFIED, params![form.as_str(), namesakes()]),
                steps(&db, OWNERS, params![form.as_str(), "usr_0", 1]),
                steps(&db, OWNERS, params![form.as_str(), "", namesakes()]),
            ]
        });
        assert_eq!(lookups[0], lookups[1]);
    }

    #[test]
    fn ambiguous_forms_are_listed_with_their_owners() {
        let mut db = database(PEOPLE);
        make(&mut db, None).unwrap();
        let found = ambiguous(&db, 100).unwrap().into_iter().map(|form| {
            let owners = form.owners.into_iter().map(|owner| (owner.user.to_string(), owner.kind));
            (form.canonical, owners.collect::<Vec<_>>())
        });
        let owner = |number: u32, kind| (format!("usr_{number}"), kind);
        assert_eq!(
            found.collect::<Vec<_>>(),
            [
                (
                    "Jos\u{e9}".into(),
                    vec![owner(2, IdentifierKind::Username), owner(3, IdentifierKind::Username)]
                ),
                (
                    "alice@example.com".into(),
                    vec![owner(0, IdentifierKind::Email), owner(1, IdentifierKind::Username)]
                ),
                (
                    "bob@example.com".into(),
                    vec![owner(4, IdentifierKind::Email), owner(5, IdentifierKind::Email)]
                ),
            ]
        );
        assert_eq!(ambiguous(&db, 2).unwrap().len(), 2);
        db.execute("DELETE FROM users WHERE seq IN (2, 3)", []).unwrap();
        assert_eq!((count_ambiguous(&db).unwrap(), ambiguous(&db, 100).unwrap().len()), (1, 1));
        assert!(forms(&db).iter().all(|(user, ..)| ![2, 3].contains(user)), "they go with their users");
    }
}
