//! The values that are one word of a few.

use super::value::Value;

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// How it is written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl Value for $name {
            const SHAPE: &'static str = choices!(@shape $($text)+);

            fn from_text(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!("{text:?} is not one of {}", [$($text),+].join(", "))),
                }
            }
        }
    )+};
    (@shape $first:literal $($rest:literal)*) => { concat!($first $(, "|", $rest)*) };
}

choices! {
    /// Which front speaks HTTP.
    Front {
        /// The own acceptor, which can face a network.
        Guarded = "guarded",
        /// The stock `tiny_http` server, behind a validating proxy only.
        TinyHttp = "tiny_http",
    }
    /// When a sign-in waits for a second factor.
    AskFactor {
        /// Never.
        Never = "never",
        /// Where its risk calls for one.
        Risk = "risk",
        /// Always.
        Always = "always",
    }
    /// What becomes of somebody who should show a second factor and has none.
    Unenrolled {
        /// They are signed in.
        SignIn = "sign_in",
        /// They are refused.
        Refuse = "refuse",
        /// They get a token that is good for enrolling, and nothing else.
        Enrol = "enrol",
    }
    /// What becomes of a ticket that is redeemed at another address than its `client_ip`.
    OtherAddress {
        /// It is refused, and spent.
        Refuse = "refuse",
        /// It is a signal of risk.
        Risk = "risk",
    }
    /// The hash of a TOTP device.
    TotpHash {
        /// SHA-1, which every authenticator knows.
        Sha1 = "SHA1",
        /// SHA-256
        Sha256 = "SHA256",
        /// SHA-512
        Sha512 = "SHA512",
    }
    /// The digits of a TOTP device's codes.
    TotpDigits {
        /// Six.
        Six = "6",
        /// Eight.
        Eight = "8",
    }
    /// What log lines look like.
    LogFormat {
        /// Text on a terminal, JSON otherwise.
        Auto = "auto",
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
    /// The least important log lines that are written.
    LogLevel {
        /// None.
        Off = "off",
        /// What an operator has to mend.
        Error = "error",
        /// What an operator should know.
        Warn = "warn",
        /// Starts, stops, changes.
        Info = "info",
        /// Every request.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}
