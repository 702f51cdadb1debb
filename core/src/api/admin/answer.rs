//! The answers of administration: one record, a page of them, or nothing.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use crate::http::response::Response;
use crate::store::page::Page;

/// `{"items": […], "next": …}`
#[derive(Serialize)]
struct Items<T> {
    items: Vec<T>,
    /// The cursor after the last item; null at the end of the list.
    next: Option<String>,
}

/// Returns 200 with `body`.
pub(crate) fn shown(body: &impl Serialize) -> Response {
    Response::json(200, body).uncached()
}

/// Returns 201 with `body`, which is at `location` from now on.
pub(crate) fn created(location: String, body: &impl Serialize) -> Response {
    Response::json(201, body).uncached().with("location", location)
}

/// Returns 204.
pub(crate) fn no_content() -> Response {
    Response::empty(204).uncached()
}

/// Returns 200 with a page, each record as `show` makes it.
pub(crate) fn page<'t, T, S: Serialize>(page: &'t Page<T>, show: impl Fn(&'t T) -> S) -> Response {
    let items = page.items.iter().map(show).collect();
    shown(&Items { items, next: page.next.as_ref().map(|cursor| cursor.0.clone()) })
}

/// Returns 200 with a whole list, which is short, as its one page.
pub(crate) fn all<'t, T, S: Serialize>(items: &'t [T], show: impl Fn(&'t T) -> S) -> Response {
    shown(&Items { items: items.iter().map(show).collect(), next: None })
}
