//! The values that are one word out of a list.

use gatepass_core::records::factor::AskFactor;
use gatepass_core::settings::{AddressMismatch, MetricsReaders, Unenrolled};

use super::value::Value;

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Returns its spelling.
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
    /// The HTTP front.
    Front {
        /// The front that can face a network.
        Guarded = "guarded",
        /// The stock `tiny_http` server, behind a validating proxy only.
        TinyHttp = "tiny_http",
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
    /// The format of log lines.
    LogFormat {
        /// Text on a terminal, JSON otherwise.
        Auto = "auto",
        /// Text.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
    /// The least important log lines that are written.
    LogLevel {
        /// None.
        Off = "off",
        /// Events that an operator must repair.
        Error = "error",
        /// Events that an operator should know.
        Warn = "warn",
        /// Starts, stops, changes.
        Info = "info",
        /// Every request.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}

/// Values that the core defines.
macro_rules! words {
    ($($name:ident: $shape:literal,)+) => {$(
        impl Value for $name {
            const SHAPE: &'static str = $shape;

            fn from_text(text: &str) -> Result<Self, String> {
                Self::parse(text).ok_or_else(|| {
                    let words: Vec<&str> = Self::ALL.iter().map(|word| word.as_str()).collect();
                    format!("{text:?} is not one of {}", words.join(", "))
                })
            }
        }
    )+};
}

words! {
    AskFactor: "never|risk|always",
    Unenrolled: "sign_in|refuse|enrol",
    AddressMismatch: "refuse|risk",
    MetricsReaders: "loopback|off|everyone",
}
