//! TOTP (RFC 6238) over HOTP (RFC 4226).

use alloc::{format, string::String};
use core::ops::RangeInclusive;

use zeroize::Zeroizing;

use crate::base::secret::same_bytes;
use crate::base::time::{Clocks, LEEWAY, Time};
use crate::crypto::otp_hmac;
use crate::records::factor::{OtpParameters, TotpDevice};

/// Seconds of a step.
pub(crate) const STEP: u64 = 30;

/// The steps that a code may be early or late.
const WINDOW: u64 = 1;

/// The code of `counter` (RFC 4226 §5.3), leading zeros included.
pub(crate) fn code(parameters: OtpParameters, secret: &[u8], counter: u64) -> String {
    let tag = otp_hmac(parameters.hash, secret, &counter.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 0x0f);
    let mut word = [0; 4];
    for (to, from) in word.iter_mut().zip(tag.iter().skip(offset)) {
        *to = *from;
    }
    let number = u32::from_be_bytes(word) & 0x7fff_ffff;
    match parameters.digits {
        8 => format!("{:08}", number % 100_000_000),
        _ => format!("{:06}", number % 1_000_000),
    }
}

/// The steps whose codes are good at `time`: its own and its neighbours.
fn steps_around(time: Time) -> RangeInclusive<u64> {
    let current = time.unix() / STEP;
    current.saturating_sub(WINDOW)..=current.saturating_add(WINDOW)
}

/// The last step that was accepted of `device`. A step that no code can have had yet was accepted by a clock that was ahead, and
/// counts as absent.
fn last_step(device: &TotpDevice, clocks: Clocks) -> u64 {
    let latest = *steps_around(clocks.now.max(clocks.wall).plus(LEEWAY)).end();
    if device.last_step > latest { 0 } else { device.last_step }
}

/// Returns the step whose code `presented` is, later than any accepted before: one around our own time, or around the wall clock's, where
/// the two differ, since a phone may agree with either. Every candidate is compared, whichever fits. Spaces do not matter:
/// authenticators show a code in groups.
pub(crate) fn accepted_step(device: &TotpDevice, presented: &str, clocks: Clocks) -> Option<u64> {
    let presented: Zeroizing<String> = presented.chars().filter(|c| *c != ' ').collect::<String>().into();
    let (own, last) = (steps_around(clocks.now), last_step(device, clocks));
    let on_the_wall = steps_around(clocks.wall).filter(|step| clocks.differ() && !own.contains(step));
    let mut accepted = None;
    for step in own.clone().chain(on_the_wall) {
        let expected = code(device.parameters, device.secret.expose(), step);
        if same_bytes(expected.as_bytes(), presented.as_bytes()) & (step > last) {
            accepted = Some(step);
        }
    }
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::OtpHash;
    use crate::records::factor::tests::device;
    use alloc::{vec, vec::Vec};

    /// RFC 4226 appendix D: the codes of counters 0 to 9.
    #[test]
    fn hotp_of_rfc_4226() {
        let codes = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
            "520489",
        ];
        for (counter, expected) in (0..).zip(codes) {
            assert_eq!(code(OtpParameters::DEFAULT, b"12345678901234567890", counter), expected);
        }
    }

    /// RFC 6238 appendix B, with the seeds of errata 2866.
    #[test]
    fn totp_of_rfc_6238() {
        let seed = |length: usize| b"1234567890".repeat(7)[..length].to_vec();
        for (time, sha1, sha256, sha512) in [
            (59, "94287082", "46119246", "90693936"),
            (1_111_111_109, "07081804", "68084774", "25091201"),
            (1_111_111_111, "14050471", "67062674", "99943326"),
            (1_234_567_890, "89005924", "91819424", "93441116"),
            (2_000_000_000, "69279037", "90698825", "38618901"),
            (20_000_000_000, "65353130", "77737706", "47863826"),
        ] {
            for (hash, length, expected) in
                [(OtpHash::Sha1, 20, sha1), (OtpHash::Sha256, 32, sha256), (OtpHash::Sha512, 64, sha512)]
            {
                let made = |digits| code(OtpParameters { hash, digits }, &seed(length), time / STEP);
                assert_eq!(made(8), expected);
                assert_eq!(made(6), expected[2..]);
            }
        }
    }

    #[test]
    fn a_code_is_good_a_step_around_and_never_twice() {
        let mut device = device();
        let at = |step: u64| code(OtpParameters::DEFAULT, b"12345678901234567890", step);
        let now = Time::from_unix(100 * STEP + 7);
        let now = Clocks { now, wall: now };
        for (step, good) in [(98, false), (99, true), (100, true), (101, true), (102, false)] {
            assert_eq!(accepted_step(&device, &at(step), now), good.then_some(step));
        }
        device.last_step = 100;
        assert_eq!(accepted_step(&device, &at(100), now), None);
        assert_eq!(accepted_step(&device, &at(99), now), None);
        assert_eq!(accepted_step(&device, &at(101), now), Some(101));
        let grouped = format!(" {} {}", &at(101)[..3], &at(101)[3..]);
        assert_eq!(accepted_step(&device, &grouped, now), Some(101));
        for bad in
            ["", " ", "0", &at(101)[..5], &(at(101) + "0"), &(at(101) + "\n"), "abcdef", "１２３４５６"]
        {
            assert_eq!(accepted_step(&device, bad, now), None, "{bad}");
        }
    }

    #[test]
    fn a_phone_may_agree_with_either_clock() {
        let device = &device();
        let at = |step: u64| code(OtpParameters::DEFAULT, b"12345678901234567890", step);
        let clocks = |now: u64, wall: u64| Clocks {
            now: Time::from_unix(now * STEP),
            wall: Time::from_unix(wall * STEP),
        };
        let good =
            |clocks| (0..2_000).filter(move |step| accepted_step(device, &at(*step), clocks).is_some());
        for (now, wall, expected) in [
            // A clock that agrees, or nearly does, widens nothing.
            (1_000, 1_000, vec![999, 1_000, 1_001]),
            (1_000, 1_002, vec![999, 1_000, 1_001]),
            (1_000, 1_003, vec![999, 1_000, 1_001, 1_002, 1_003, 1_004]),
            (1_000, 40, vec![39, 40, 41, 999, 1_000, 1_001]),
        ] {
            assert_eq!(good(clocks(now, wall)).collect::<Vec<_>>(), expected, "{now} {wall}");
        }
    }

    #[test]
    fn a_step_that_nobody_can_have_shown_counts_as_absent() {
        let at = |step: u64| code(OtpParameters::DEFAULT, b"12345678901234567890", step);
        let accepted = |last_step, now: u64, wall: u64| {
            let device = TotpDevice { last_step, ..device() };
            let clocks = Clocks { now: Time::from_unix(now * STEP), wall: Time::from_unix(wall * STEP) };
            accepted_step(&device, &at(100), clocks)
        };
        // A minute and a neighbour ahead is what two clocks may differ by.
        for (last_step, expected) in
            [(99, Some(100)), (100, None), (103, None), (104, Some(100)), (u64::MAX, Some(100))]
        {
            assert_eq!(accepted(last_step, 100, 100), expected, "{last_step}");
        }
        // One that was shown by the other clock was shown.
        assert_eq!(accepted(1_000, 100, 1_000), None);
        assert_eq!(accepted(1_000, 1_000, 100), None);
    }
}
