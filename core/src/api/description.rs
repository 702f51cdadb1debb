//! The description of an endpoint, for the document of the API (`/openapi.json`). What the route itself tells is not repeated: the
//! path, the authentication, and the errors that every such route has.
#![allow(dead_code, reason = "the document of the API reads them")]

use crate::http::problem::Problem;
use crate::http::shape::{Object, ReadBody, Schema, Shape};

/// What an endpoint takes and answers.
pub(crate) struct Description {
    /// What it does, in a few words that begin with a verb.
    pub(crate) summary: &'static str,
    pub(crate) query: Option<&'static Object>,
    pub(crate) body: Option<&'static Object>,
    /// The status of success.
    pub(crate) status: u16,
    pub(crate) answer: Answered,
    /// The problems that are its own.
    pub(crate) problems: &'static [Problem],
}

/// The body of a success.
#[derive(Clone, Copy)]
pub(crate) enum Answered {
    /// There is none.
    Nothing,
    /// A value by itself.
    Bare(Schema),
    /// A page of a list of these.
    Page(Schema),
    /// A SimpleResponse, with `data` where there is any.
    Simple(Option<Schema>),
}

impl Description {
    /// An endpoint that is not described yet.
    pub(crate) const NONE: Self = Self::new("");

    /// An endpoint that takes nothing and answers 200 as a SimpleResponse.
    pub(crate) const fn new(summary: &'static str) -> Self {
        let answer = Answered::Simple(None);
        Self { summary, query: None, body: None, status: 200, answer, problems: &[] }
    }

    /// Takes a query.
    pub(crate) const fn queries<Q: ReadBody>(self) -> Self {
        Self { query: Some(Q::BODY), ..self }
    }

    /// Takes a JSON body.
    pub(crate) const fn takes<B: ReadBody>(self) -> Self {
        Self { body: Some(B::BODY), ..self }
    }

    /// Answers with `status` and a value.
    pub(crate) const fn answers<A: Shape>(self, status: u16) -> Self {
        Self { status, answer: Answered::Bare(A::SCHEMA), ..self }
    }

    /// Answers with a page of a list.
    pub(crate) const fn answers_page<A: Shape>(self) -> Self {
        Self { answer: Answered::Page(A::SCHEMA), ..self }
    }

    /// Answers with `status` and no body.
    pub(crate) const fn answers_nothing(self, status: u16) -> Self {
        Self { status, answer: Answered::Nothing, ..self }
    }

    /// Answers with a value in the `data` of a SimpleResponse.
    pub(crate) const fn done_with<A: Shape>(self) -> Self {
        Self { answer: Answered::Simple(Some(A::SCHEMA)), ..self }
    }

    /// Refuses with these problems, beside those of its authentication, of its body's members and of every route.
    pub(crate) const fn refuses(self, problems: &'static [Problem]) -> Self {
        Self { problems, ..self }
    }
}
