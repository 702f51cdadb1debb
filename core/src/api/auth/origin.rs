//! The two ways to make the tokens of a sign-in: drawn from the seed of the request, or, where it came with an
//! `Idempotency-Key`, derived from the request itself, so that the same request makes the same tokens again.

use crate::api::context::Context;
use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::crypto::seed::Label;
use crate::records::challenge::challenge_text;
use crate::records::delivery::{Delivery, RequestSecret};
use crate::records::session::{FreshToken, Salt};

/// The material of a sign-in's first refresh token or challenge.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) enum Origin {
    /// The seed of the request.
    Seed,
    /// The request, and the salt of the row that it used.
    Request { secret: RequestSecret, at: Time, salt: Salt },
}

impl Origin {
    /// Returns the origin of what a first use of a credential leads to.
    pub(crate) fn of(ctx: &Context, secret: Option<&RequestSecret>) -> Self {
        match secret {
            None => Self::Seed,
            Some(secret) => {
                Self::Request { secret: secret.clone(), at: ctx.now(), salt: Salt::of_delivery(&ctx.inputs) }
            }
        }
    }

    /// Returns the origin of what a use at `at` has led to, by `secret` and the salt that was stored then.
    pub(crate) fn again(secret: &RequestSecret, at: Time, salt: &Salt) -> Self {
        Self::Request { secret: secret.clone(), at, salt: salt.clone() }
    }

    /// The session's first refresh token.
    pub(crate) fn refresh_token(&self, ctx: &Context) -> FreshToken {
        match self {
            Self::Seed => FreshToken::new(ctx.inputs.stamp(), &ctx.inputs.seed.draw(Label::RefreshToken)),
            Self::Request { secret, at, salt } => secret.refresh_token(*at, salt),
        }
    }

    /// The challenge's text.
    pub(crate) fn challenge(&self, ctx: &Context) -> SecretText {
        match self {
            Self::Seed => challenge_text(&ctx.inputs.seed.draw(Label::Challenge)),
            Self::Request { secret, salt, .. } => secret.challenge(salt),
        }
    }

    /// Returns the record of a use that led to `result`; none if the answer cannot be repeated.
    pub(crate) fn delivery<R>(&self, result: impl FnOnce(&Self) -> R) -> Option<Delivery<R>> {
        match self {
            Self::Seed => None,
            Self::Request { secret, salt, .. } => Some(Delivery {
                request: secret.digest(),
                salt: salt.clone(),
                result: result(self),
                repeated: 0,
            }),
        }
    }
}
