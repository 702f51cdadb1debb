//! The keys as flags of `serve`.

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};

use super::keys::KEYS;
use super::layer::{ConfigLayer, Source};

impl Args for ConfigLayer {
    fn augment_args(command: Command) -> Command {
        let heading = "Configuration (also keys of gatepass.toml and variables GATEPASS_…)";
        let flags = KEYS.iter().map(|key| {
            let default = key.default.filter(|default| !default.is_empty());
            let default = default.map(|default| format!(" [default: {default}]")).unwrap_or_default();
            Arg::new(key.name)
                .long(key.long())
                .value_name(key.shape)
                .help(format!("{}{default} [env: {}]", key.meaning(), key.variable()))
                .help_heading(heading)
                .value_parser(|text: &str| {
                    // Otherwise it is checked below: a message of clap's repeats the value.
                    let checked = if key.may_hold_password { Ok(()) } else { key.kind.check(text) };
                    checked.map(|()| text.to_owned())
                })
        });
        command.args(flags)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ConfigLayer {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut layer = Self::default();
        layer.update_from_arg_matches(matches)?;
        Ok(layer)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        for key in KEYS {
            if let Some(text) = matches.get_one::<String>(key.name) {
                self.set_key(key, text, Source::Flag).map_err(|problem| {
                    Error::raw(ErrorKind::ValueValidation, format!("{}: {problem}\n", key.flag()))
                })?;
            }
        }
        Ok(())
    }
}
