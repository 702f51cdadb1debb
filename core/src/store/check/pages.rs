//! Lists: each record of a case is on exactly one page, whatever the bound.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;

use crate::store::Store;
use crate::store::check::names::query_name;
use crate::store::check::sample::Sample;
use crate::store::memory::Tables;
use crate::store::page::{MAX_PAGE, Page, PageQuery};
use crate::store::query::{Query, Records, RoleHolder, SessionPageQuery};

/// A list that was not as it should be: the query's name, and what was found.
pub(super) type Wrong = (&'static str, String);

/// One list: how it is asked for, how its answer is read, and the name of a record.
struct List<T> {
    query: fn(&Sample, PageQuery) -> Query,
    read: fn(Records) -> Option<Page<T>>,
    name: fn(&T) -> &str,
}

/// Compares every list with that of `expected`, as far as the records of the case go. Returns the queries that were asked.
pub(super) fn check(
    store: &impl Store,
    sample: &Sample,
    expected: &Tables,
) -> Result<Vec<&'static str>, Wrong> {
    let users = List {
        query: |_, page| Query::UserPage(page),
        read: |records| if let Records::UserPage(page) = records { Some(page) } else { None },
        name: |user| user.id.as_str(),
    };
    let clients = List {
        query: |_, page| Query::ClientPage(page),
        read: |records| if let Records::ClientPage(page) = records { Some(page) } else { None },
        name: |client| client.id.as_str(),
    };
    let tickets = List {
        query: |_, page| Query::TicketPage(page),
        read: |records| if let Records::TicketPage(page) = records { Some(page) } else { None },
        name: |ticket| ticket.id.as_str(),
    };
    let role_holders = List {
        query: |_, page| Query::RoleHolderPage(page),
        read: |records| if let Records::RoleHolderPage(page) = records { Some(page) } else { None },
        name: |holder| match holder {
            RoleHolder::User(user) => user.id.as_str(),
            RoleHolder::Client(client) => client.id.as_str(),
        },
    };
    let sessions = List {
        query: |_, page| Query::SessionPage(SessionPageQuery { user: None, page }),
        read: |records| if let Records::SessionPage(page) = records { Some(page) } else { None },
        name: |records| records.session.id.as_str(),
    };
    let of_alice = List {
        query: |sample, page| {
            Query::SessionPage(SessionPageQuery { user: Some(sample.user_id("alice")), page })
        },
        ..sessions
    };
    let mut asked = Vec::new();
    users.check(store, sample, expected, &mut asked)?;
    clients.check(store, sample, expected, &mut asked)?;
    role_holders.check(store, sample, expected, &mut asked)?;
    tickets.check(store, sample, expected, &mut asked)?;
    sessions.check(store, sample, expected, &mut asked)?;
    of_alice.check(store, sample, expected, &mut asked)?;
    Ok(asked)
}

impl<T: Debug + PartialEq> List<T> {
    fn check(
        &self,
        store: &impl Store,
        sample: &Sample,
        expected: &Tables,
        asked: &mut Vec<&'static str>,
    ) -> Result<(), Wrong> {
        let name = query_name(&(self.query)(sample, PageQuery::first()));
        let wrong = |found| Err((name, found));
        let expected = self.walk(sample, MAX_PAGE, |query| expected.read(query).records)?;
        let found = self.walk(sample, MAX_PAGE, |query| store.read(query).records)?;
        asked.push(name);
        let (expected, listed) = (self.of_the_case(sample, &expected), self.of_the_case(sample, &found));
        for (id, record) in &expected {
            match listed.get(id) {
                None => return wrong(format!("no page with {id}")),
                Some(other) if other != record => {
                    return wrong(format!("{other:?} where {record:?} is right"));
                }
                Some(_) => {}
            }
        }
        if let Some(id) = listed.keys().find(|id| !expected.contains_key(*id)) {
            return wrong(format!("{id}, which is gone or another user's"));
        }
        // Where a page is short, its borders are in other places.
        if sample.number == 0 && self.walk(sample, 1, |query| store.read(query).records)? != found {
            return wrong("other records where a page has one record".into());
        }
        Ok(())
    }

    fn of_the_case<'a>(&self, sample: &Sample, records: &'a [T]) -> BTreeMap<&'a str, &'a T> {
        let names = records.iter().map(|record| ((self.name)(record), record));
        names.filter(|(id, _)| sample.is_name(id)).collect()
    }

    /// Follows the list from page to page.
    fn walk(&self, sample: &Sample, limit: usize, read: impl Fn(&Query) -> Records) -> Result<Vec<T>, Wrong> {
        let (mut all, mut names, mut after) = (Vec::new(), BTreeSet::new(), None);
        loop {
            let query = (self.query)(sample, PageQuery::new(after.take(), limit));
            let name = query_name(&query);
            let Some(page) = (self.read)(read(&query)) else {
                return Err((name, "an answer of another shape".into()));
            };
            if page.items.len() > limit {
                return Err((
                    name,
                    format!("{} records where at most {limit} were asked for", page.items.len()),
                ));
            }
            for record in page.items {
                if !names.insert(String::from((self.name)(&record))) {
                    return Err((name, format!("{} twice", (self.name)(&record))));
                }
                all.push(record);
            }
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }
}
