//! The share of honest users who get in while others press: the real binary, attackers on many connections, and honest users beside
//! them.
//!
//! `cargo bench -p gatepass-tests --bench availability` runs every attack. With `--binary FILE` it measures another build. All addresses
//! come by `X-Forwarded-For` from a trusted proxy, so that one machine can be as many as it likes.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what is not as expected cannot be measured"
)]

mod attack;
mod honest;
mod place;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use clap::{Parser, ValueEnum as _};

use attack::Attack;
use honest::Group;
use place::Place;

/// Measures how many honest users get in while an attack runs.
#[derive(Debug, Parser)]
#[command(name = "availability")]
struct Arguments {
    /// Only these attacks
    #[arg(value_enum)]
    attacks: Vec<Attack>,
    /// The server to measure [default: that of this checkout]
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// How long each attack runs, in seconds
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Connections of the attackers
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Sign-ins a second of each group of honest users
    #[arg(long, default_value_t = 5)]
    rate: u32,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let binary = arguments.binary.clone().unwrap_or_else(|| gatepass_tests::server::binary().to_owned());
    println!(
        "{} s each, {} connections of attackers, {} sign-ins a second of each group\n",
        arguments.seconds, arguments.connections, arguments.rate
    );
    println!("| attack | requests/s | of these | {} |", Group::ALL.map(Group::title).join(" | "));
    println!("|---|---|---|{}", "---|".repeat(Group::ALL.len()));
    let attacks = if arguments.attacks.is_empty() { Attack::value_variants() } else { &arguments.attacks };
    for attack in attacks {
        println!("{}", row(*attack, &Place::new(&binary), &arguments));
    }
}

/// Runs an attack, and honest users beside it.
fn row(attack: Attack, place: &Place, arguments: &Arguments) -> String {
    let time = Duration::from_secs(arguments.seconds);
    // Some users have signed in lately, before anything begins.
    honest::settle(place);
    let spent = place.spent_ticket();
    let over = AtomicBool::new(false);
    let (pressed, honest) = thread::scope(|scope| {
        let attackers: Vec<_> = (0..attack.connections(arguments.connections))
            .map(|number| {
                scope.spawn({
                    let (spent, over) = (&spent, &over);
                    move || attack.press(place, number, spent, over)
                })
            })
            .collect();
        let honest = honest::sign_in_for(place, time, arguments.rate);
        over.store(true, Relaxed);
        let pressed: Vec<_> = attackers.into_iter().map(|one| one.join().expect("an attacker")).collect();
        (pressed, honest)
    });
    let mut counts = attack::Counts::default();
    pressed.iter().for_each(|one| counts.add(one));
    let rate = counts.total() as f64 / time.as_secs_f64();
    let honest: Vec<String> = honest.iter().map(ToString::to_string).collect();
    format!("| {} | {rate:.0} | {counts} | {} |", attack.title(), honest.join(" | "))
}
