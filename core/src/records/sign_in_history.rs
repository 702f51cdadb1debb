//! From where and when a person usually signs in: what a risk is judged by.

use alloc::{string::String, vec::Vec};
use core::cmp::Reverse;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::base::time::Time;
use crate::crypto::sha256;
use crate::records::factor::{Lockout, LockoutOf};

/// The most devices on networks that are remembered of a person. The one not seen for longest makes room.
pub const MAX_PLACES: usize = 32;

/// The latest places that have lockouts of their own: what is guessed elsewhere does not lock anybody out there.
pub const PLACES_WITH_LOCKOUTS: usize = 4;

/// The most failures that are remembered of a person, the latest.
pub const MAX_FAILURES: usize = 20;

/// SHA-256 of what a device says it is: its `X-Device-Id`, or else its `User-Agent`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceMark(pub [u8; 32]);

impl fmt::Debug for DeviceMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceMark(…)")
    }
}

impl DeviceMark {
    /// Returns true if a device may name itself so: at most 256 visible characters of ASCII, spaces and tabs.
    pub fn is_device_id(text: &str) -> bool {
        text.len() <= MAX_DEVICE_ID && text.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b))
    }

    /// The mark of a device that names itself.
    pub fn of_device_id(id: &str) -> Self {
        Self(sha256(&[b"device-id:", id.as_bytes()].concat()))
    }

    /// The mark of one that is known by its `User-Agent` alone, which may be empty and need not be text.
    pub fn of_user_agent(agent: &[u8]) -> Self {
        Self(sha256(&[b"user-agent:", agent].concat()))
    }
}

/// The network of an address: an IPv4 /24 or an IPv6 /48.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network(IpAddr);

impl Network {
    /// The network that `address` is in. An IPv4 address written as IPv6 is one.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                Ipv4Addr::new(a, b, c, 0).into()
            }
            IpAddr::V6(v6) => {
                let [a, b, c, ..] = v6.segments();
                Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into()
            }
        })
    }

    /// Reads what [`Display`](fmt::Display) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (base, _) = text.split_once('/')?;
        let network = Self::of(base.parse().ok()?);
        (alloc::format!("{network}") == text).then_some(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, if self.0.is_ipv4() { 24 } else { 48 })
    }
}

/// A device in a network. The same device in another network is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceOnNetwork {
    /// The device.
    pub device: DeviceMark,
    /// The network that it is in.
    pub network: Network,
}

/// The longest `X-Device-Id`, in characters.
pub(crate) const MAX_DEVICE_ID: usize = 256;

impl DeviceOnNetwork {
    /// Of what a device says it is, its `X-Device-Id` and its `User-Agent`, and of its address: an empty id is none. No place
    /// where the id is longer than 256 characters, or has others than visible ones of ASCII.
    pub fn of(device_id: &str, user_agent: &[u8], address: IpAddr) -> Option<Self> {
        if !DeviceMark::is_device_id(device_id) {
            return None;
        }
        let device = match device_id {
            "" => DeviceMark::of_user_agent(user_agent),
            id => DeviceMark::of_device_id(id),
        };
        Some(Self { device, network: Network::of(address) })
    }
}

/// A device on a network from which somebody has signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownPlace {
    /// The device and network.
    pub place: DeviceOnNetwork,
    /// The time of the last sign-in from there.
    pub last_at: Time,
    /// The wrong passwords from there, while it is one of the [`PLACES_WITH_LOCKOUTS`] latest.
    pub password: Lockout,
    /// The wrong codes from there, likewise.
    pub factors: Lockout,
}

impl KnownPlace {
    /// Makes a place from which somebody signed in at `last_at`, and nobody guessed.
    pub const fn new(place: DeviceOnNetwork, last_at: Time) -> Self {
        Self { place, last_at, password: Lockout::NONE, factors: Lockout::NONE }
    }

    /// Returns its lockout of a password or of factors.
    pub const fn lockout(&self, of: LockoutOf) -> Lockout {
        match of {
            LockoutOf::Password => self.password,
            LockoutOf::Factors => self.factors,
        }
    }
}

/// The sign-ins and failures that are remembered of a person.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SignInHistory {
    /// The devices and networks of sign-ins, the latest first; at most [`MAX_PLACES`].
    pub places: Vec<KnownPlace>,
    /// The number of sign-ins during each hour of the day (UTC).
    pub hours: [u32; 24],
    /// The times of failures, the latest first; at most [`MAX_FAILURES`].
    pub failures: Vec<Time>,
}

impl SignInHistory {
    /// Remembers a sign-in from `place` at `at`; of too many places the one not seen for longest is forgotten. So is one that was
    /// learnt by a clock that was ahead: it would stay for as long as that was.
    pub fn learn(&mut self, place: DeviceOnNetwork, at: Time) {
        self.places.retain(|known| !known.last_at.is_ahead_of(at));
        let known = self.places.iter().find(|known| known.place == place).copied();
        let known = known.unwrap_or(KnownPlace::new(place, at));
        self.places.retain(|known| known.place != place);
        self.places.push(KnownPlace { last_at: known.last_at.max(at), ..known });
        self.places.sort_by_key(|known| (Reverse(known.last_at), known.place));
        self.places.truncate(MAX_PLACES);
        for known in self.places.iter_mut().skip(PLACES_WITH_LOCKOUTS) {
            *known = KnownPlace::new(known.place, known.last_at);
        }
        if let Some(times) = self.hours.get_mut(hour_of(at)) {
            *times = times.saturating_add(1);
        }
    }

    /// Remembers a refusal at `at`; of too many the earliest is forgotten.
    pub fn fail(&mut self, at: Time) {
        self.failures.insert(0, at);
        self.failures.truncate(MAX_FAILURES);
    }

    /// Returns the places that have lockouts of their own, the latest first.
    pub fn with_lockouts(&self) -> impl Iterator<Item = &KnownPlace> {
        self.places.iter().take(PLACES_WITH_LOCKOUTS)
    }

    /// Returns the lockout that `place` has of its own; none where it has none.
    pub fn lockout(&self, of: LockoutOf, place: &DeviceOnNetwork) -> Option<Lockout> {
        self.with_lockouts().find(|known| known.place == *place).map(|known| known.lockout(of))
    }

    /// Sets the lockout that `place` has of its own, if it has one.
    pub fn set_lockout(&mut self, of: LockoutOf, place: &DeviceOnNetwork, lockout: Lockout) {
        let mut latest = self.places.iter_mut().take(PLACES_WITH_LOCKOUTS);
        let Some(known) = latest.find(|known| known.place == *place) else { return };
        match of {
            LockoutOf::Password => known.password = lockout,
            LockoutOf::Factors => known.factors = lockout,
        }
    }

    /// Returns when they last signed in, as far as that is known at `now`: what is dated ahead does not count.
    pub fn last_sign_in(&self, now: Time) -> Option<Time> {
        self.places.iter().map(|known| known.last_at).filter(|at| !at.is_ahead_of(now)).max()
    }

    /// Returns the number of sign-ins.
    pub fn sign_ins(&self) -> u32 {
        self.hours.iter().fold(0, |sum, times| sum.saturating_add(*times))
    }

    /// Returns the number of sign-ins during this hour of the day, the one before and the one after.
    pub fn sign_ins_around(&self, hour: usize) -> u32 {
        let at = |hour: usize| self.hours.get(hour % 24).copied().unwrap_or_default();
        [hour + 23, hour, hour + 1].into_iter().fold(0, |sum, hour| sum.saturating_add(at(hour)))
    }
}

/// The hour of the day (UTC) of `time`: 0–23.
pub fn hour_of(time: Time) -> usize {
    usize::try_from(time.unix() / 3_600 % 24).unwrap_or_default()
}

/// A mark, as an operator sees it: its first eight hexadecimal digits.
impl fmt::Display for DeviceMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short: String = self.0.iter().take(4).map(|byte| alloc::format!("{byte:02x}")).collect();
        f.write_str(&short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn the_network_of_an_address() {
        for (address, network) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
            ("::1", "::/48"),
        ] {
            let made = Network::of(address.parse().unwrap());
            assert_eq!(made.to_string(), network);
            assert_eq!(Network::parse(network), Some(made));
        }
        for bad in
            ["", "192.0.2.0", "192.0.2.1/24", "192.0.2.0/25", "::ffff:192.0.2.0/24", "2001:db8:1:2::/48"]
        {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_device_id_is_never_a_user_agent() {
        assert_ne!(DeviceMark::of_device_id("x"), DeviceMark::of_user_agent(b"x"));
        assert_eq!(DeviceMark::of_user_agent(b"x"), DeviceMark::of_user_agent(b"x"));
    }

    #[test]
    fn the_place_not_seen_for_longest_makes_room() {
        let place =
            |number: u64| DeviceOnNetwork::of(&number.to_string(), b"", Ipv4Addr::LOCALHOST.into()).unwrap();
        let mut history = SignInHistory::default();
        let most = u64::try_from(MAX_PLACES).unwrap();
        for number in 0..=most {
            history.learn(place(number), Time::from_unix(3_600 + number));
        }
        history.learn(place(1), Time::from_unix(9_000));
        // A clock that was a little behind makes nothing older.
        history.learn(place(1), Time::from_unix(8_940));
        let known = |number| history.places.iter().position(|known| known.place == place(number));
        assert_eq!(
            (history.places.len(), known(0), known(1), known(most)),
            (MAX_PLACES, None, Some(0), Some(1))
        );
        assert_eq!(history.last_sign_in(Time::from_unix(9_000)), Some(Time::from_unix(9_000)));
        assert_eq!(history.hours[..3], [0, 33, 2]);
        assert_eq!(history.last_sign_in(Time::from_unix(8_939)), Some(Time::from_unix(3_600 + most)));
        // What a clock learnt that was ahead is forgotten.
        history.learn(place(7), Time::from_unix(8_939));
        assert!(history.places.iter().all(|known| known.place != place(1)));
    }

    #[test]
    fn the_latest_places_have_lockouts_of_their_own() {
        let place =
            |number: u64| DeviceOnNetwork::of(&number.to_string(), b"", Ipv4Addr::LOCALHOST.into()).unwrap();
        let one = Lockout { wrong: 1, ..Lockout::NONE };
        let mut history = SignInHistory::default();
        for number in 0..4 {
            history.learn(place(number), Time::from_unix(1_000 + number));
            history.set_lockout(LockoutOf::Password, &place(number), one);
        }
        history.set_lockout(LockoutOf::Factors, &place(9), one);
        let counts = |history: &SignInHistory, of| {
            let wrong = |number| Some(history.lockout(of, &place(number))?.wrong);
            [wrong(0), wrong(3), wrong(4), wrong(9)]
        };
        assert_eq!(counts(&history, LockoutOf::Password), [Some(1), Some(1), None, None]);
        assert_eq!(counts(&history, LockoutOf::Factors), [Some(0), Some(0), None, None]);
        // A sign-in leaves the count of its place, and the place that makes room forgets its own.
        history.learn(place(3), Time::from_unix(2_000));
        history.learn(place(4), Time::from_unix(2_001));
        assert_eq!(counts(&history, LockoutOf::Password), [None, Some(1), Some(0), None]);
        history.learn(place(0), Time::from_unix(2_002));
        assert_eq!(counts(&history, LockoutOf::Password), [Some(0), Some(1), Some(0), None]);
    }

    #[test]
    fn hours_are_neighbours_around_midnight() {
        let mut history = SignInHistory::default();
        history.hours[23] = 3;
        for (hour, around) in [(22, 3), (23, 3), (0, 3), (1, 0), (21, 0)] {
            assert_eq!(history.sign_ins_around(hour), around, "{hour}");
        }
        assert_eq!(hour_of(Time::from_unix(86_400 * 3 + 3_600 * 5 + 59)), 5);
    }
}
