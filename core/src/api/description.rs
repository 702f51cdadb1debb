//! The description of an endpoint, for the document of the API (`/openapi.json`). What the route itself tells is not repeated: the
//! path, the authentication, and the errors that every such route has.

use crate::api::shapes::{ChallengeResponse, LoginResponse};
use crate::http::problem::Problem;
use crate::http::shape::{Kind, Object, ReadBody, ReadForm, Schema, Shape};

/// The request that an endpoint takes, and its answers.
pub(crate) struct Description {
    /// The purpose, in a few words that begin with a verb.
    pub(crate) summary: &'static str,
    pub(crate) query: Option<&'static Object>,
    pub(crate) body: Option<&'static Object>,
    pub(crate) form: Option<&'static Object>,
    /// True where it takes JSON lines.
    pub(crate) lines: bool,
    /// The status of success.
    pub(crate) status: u16,
    pub(crate) answer: Answered,
    /// The problems that are its own.
    pub(crate) problems: &'static [Problem],
    /// The error codes of RFC 6749 or RFC 6750 that are its own, with status 400.
    pub(crate) failures: &'static [&'static str],
    /// True where it takes an `Idempotency-Key`.
    pub(crate) repeatable: bool,
    /// True where it takes an `If-None-Match`.
    pub(crate) conditional: bool,
    /// True where something that can be guessed may come with it.
    pub(crate) guesses: bool,
    /// True where the access token is not always needed.
    pub(crate) anonymous: bool,
    /// True where a client may state the context of the person.
    pub(crate) contextual: bool,
    /// True where it reads or writes the store.
    pub(crate) stored: bool,
}

/// The body of a success.
#[derive(Clone, Copy)]
pub(crate) enum Answered {
    /// There is none.
    Nothing,
    /// A value by itself.
    Bare(Schema),
    /// A text of this media type.
    Text(&'static str),
    /// A page of a list of these.
    Page(Schema),
    /// A SimpleResponse, with `data` where there is any.
    Simple(Option<Schema>),
}

impl Description {
    /// An endpoint that takes nothing and answers 200 as a SimpleResponse.
    pub(crate) const fn new(summary: &'static str) -> Self {
        let answer = Answered::Simple(None);
        Self {
            summary,
            query: None,
            body: None,
            form: None,
            lines: false,
            status: 200,
            answer,
            problems: &[],
            failures: &[],
            repeatable: false,
            conditional: false,
            guesses: false,
            anonymous: false,
            contextual: false,
            stored: true,
        }
    }

    /// Takes a query.
    pub(crate) const fn queries<Q: ReadBody>(self) -> Self {
        Self { query: Some(Q::BODY), ..self }
    }

    /// Takes a JSON body.
    pub(crate) const fn takes<B: ReadBody>(self) -> Self {
        Self { body: Some(B::BODY), ..self }
    }

    /// Takes a form.
    pub(crate) const fn posts<'a, F: ReadForm<'a>>(self) -> Self {
        Self { form: Some(F::FORM), ..self }
    }

    /// Takes JSON lines.
    pub(crate) const fn takes_lines(self) -> Self {
        Self { lines: true, ..self }
    }

    /// Takes an `Idempotency-Key`.
    pub(crate) const fn repeatable(self) -> Self {
        Self { repeatable: true, ..self }
    }

    /// Takes an `If-None-Match`.
    pub(crate) const fn conditional(self) -> Self {
        Self { conditional: true, ..self }
    }

    /// Compares something that can be guessed.
    pub(crate) const fn guesses(self) -> Self {
        Self { guesses: true, ..self }
    }

    /// Does not always need the access token.
    pub(crate) const fn may_be_anonymous(self) -> Self {
        Self { anonymous: true, ..self }
    }

    /// Answers 200 with a text of `media_type`.
    pub(crate) const fn answers_text(self, media_type: &'static str) -> Self {
        Self { answer: Answered::Text(media_type), ..self }
    }

    /// Reads and writes nothing.
    pub(crate) const fn without_store(self) -> Self {
        Self { stored: false, ..self }
    }

    /// Signs a person in, or asks for a second factor. It takes a client's credentials, and the context of the person.
    pub(crate) const fn signs_in(self) -> Self {
        let results = &[LoginResponse::SCHEMA, ChallengeResponse::SCHEMA];
        Self {
            answer: Answered::Bare(Schema::of(Kind::AnyOf(results))),
            guesses: true,
            contextual: true,
            ..self
        }
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

    /// Fails with these error codes of RFC 6749 or RFC 6750, and status 400.
    pub(crate) const fn fails(self, failures: &'static [&'static str]) -> Self {
        Self { failures, ..self }
    }

    /// Refuses with these problems, beside those of its authentication, of its body's members and of every route.
    pub(crate) const fn refuses(self, problems: &'static [Problem]) -> Self {
        Self { problems, ..self }
    }
}
