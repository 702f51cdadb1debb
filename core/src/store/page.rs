//! Long lists, a page at a time.

use alloc::string::String;
use alloc::vec::Vec;

/// The most records of one page.
pub const MAX_PAGE: usize = 500;

/// The place where a page ended. The store writes it in any form, and reads it again for the next page. What it finds for a
/// cursor that no page gave is up to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

/// A request for one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// The end of the page before; none for the first page.
    pub after: Option<Cursor>,
    limit: usize,
}

impl PageQuery {
    /// Asks for the records after `after`, as many as `limit`: at least one, and [`MAX_PAGE`] at most.
    pub fn new(after: Option<Cursor>, limit: usize) -> Self {
        Self { after, limit: limit.clamp(1, MAX_PAGE) }
    }

    /// Asks for the longest first page.
    pub const fn first() -> Self {
        Self { after: None, limit: MAX_PAGE }
    }

    /// Returns the most records that the page has.
    pub const fn limit(&self) -> usize {
        self.limit
    }
}

/// Some records of a list, in the order of the store. A record that exists all the while is on exactly one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The records.
    pub items: Vec<T>,
    /// The place where the next page begins; none if this is the last.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Makes a page of the records that were found after a cursor, each with the cursor after it. There may be more of them than
    /// `query` asks for, which tells that there is another page.
    pub fn of(query: &PageQuery, found: impl IntoIterator<Item = (T, Cursor)>) -> Self {
        let mut found = found.into_iter();
        let mut page = Self { items: Vec::new(), next: None };
        let mut last = None;
        for (item, cursor) in found.by_ref().take(query.limit) {
            page.items.push(item);
            last = Some(cursor);
        }
        page.next = last.filter(|_| found.next().is_some());
        page
    }
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { items: Vec::new(), next: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_last_page_has_no_next() {
        let numbers = |after: usize| (after..5).map(|n| (n, Cursor((n + 1).to_string())));
        let query = |limit| PageQuery::new(None, limit);
        let page = Page::of(&query(2), numbers(1));
        assert_eq!((page.items, page.next), ([1, 2].into(), Some(Cursor("3".into()))));
        let page = Page::of(&query(2), numbers(3));
        assert_eq!((page.items, page.next), ([3, 4].into(), None));
        assert_eq!(Page::of(&query(2), numbers(5)), Page::default());
        assert_eq!((query(0).limit(), query(501).limit()), (1, MAX_PAGE));
    }
}
