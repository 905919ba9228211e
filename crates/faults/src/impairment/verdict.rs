//! Whether what was seen can be what was asked.

use std::time::Duration;

use fracas_core::record::Landed;
use fracas_core::units::Percent;

/// Seen by chance, when what was asked is what is delivered: one in a million, on each side.
const ALARM: f64 = 1e-6;

/// A time for people.
pub(super) fn millis(time: Duration) -> String {
    format!("{:.1}ms", time.as_secs_f64() * 1000.0)
}

/// A correlation for people; nothing where there is none.
pub(super) fn like_the_last(correlation: Percent) -> String {
    if correlation.0 > 0.0 {
        format!(", each {correlation} like the one before")
    } else {
        String::new()
    }
}

/// As how many packets that have nothing to do with each other one of such a series counts, turned round: the variance of a mean of an
/// autoregressive process over that of independent values.
pub(super) fn alike(correlation: Percent) -> f64 {
    let like = correlation.fraction().min(0.99);
    (1.0 + like) / (1.0 - like)
}

/// Judges a share by how many of some packets had it. With `alike` packets in a row that have the same fate, so many fewer say
/// something.
pub(crate) fn share(what: &str, asked: f64, seen: u32, of: u32, alike: f64) -> (String, Landed) {
    let got = f64::from(seen) / f64::from(of.max(1)) * 100.0;
    let delivered = format!("{got:.1}% {what}, {seen} of {of} probes");
    if of == 0 {
        return (delivered, Landed::No("no probe came out".to_owned()));
    }
    let alike = alike.max(1.0);
    let (seen, of) = (
        (f64::from(seen) / alike).round() as u32,
        (f64::from(of) / alike).round().max(1.0) as u32,
    );
    let landed = if at_most(seen, of, asked) < ALARM || at_least(seen, of, asked) < ALARM {
        Landed::No(format!("{got:.1}% is not {:.1}%, whatever chance does", asked * 100.0))
    } else {
        Landed::Yes
    };
    (delivered, landed)
}

/// The probability of so many or fewer (binomial).
fn at_most(seen: u32, of: u32, share: f64) -> f64 {
    (0..=seen.min(of)).map(|count| exactly(count, of, share)).sum()
}

fn at_least(seen: u32, of: u32, share: f64) -> f64 {
    (seen..=of).map(|count| exactly(count, of, share)).sum()
}

fn exactly(count: u32, of: u32, share: f64) -> f64 {
    let ways: f64 = (0..count).map(|i| f64::from(of - i) / f64::from(i + 1)).product();
    // 0 to the power of 0 is 1, as it must be here.
    ways * share.powi(count as i32) * (1.0 - share).powi((of - count) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lands(asked: f64, seen: u32, of: u32) -> bool {
        share("lost", asked, seen, of, 1.0).1 == Landed::Yes
    }

    #[test]
    fn what_chance_can_do_is_accepted_and_what_it_cannot_is_not() {
        for (asked, seen, of, yes) in [
            (0.01, 0, 20, true),
            (0.3, 6, 20, true),
            (0.3, 0, 20, true),
            (0.5, 0, 20, false),
            (0.5, 20, 20, false),
            (0.01, 8, 20, false),
            (1.0, 20, 20, true),
            (1.0, 19, 20, false),
            (0.3, 0, 60, false),
            (0.5, 0, 0, false),
        ] {
            assert_eq!(lands(asked, seen, of), yes, "{seen} of {of} for {asked}");
        }
        assert_eq!(share("lost", 0.5, 0, 20, 5.0).1, Landed::Yes, "four fates say little");
    }

    #[test]
    fn the_tails_are_those_of_a_binomial_distribution() {
        assert!((at_most(2, 10, 0.3) - 0.382_782_8).abs() < 1e-6);
        assert!((at_least(8, 10, 0.5) - 0.054_687_5).abs() < 1e-6);
        assert!((at_most(10, 10, 0.3) - 1.0).abs() < 1e-12);
    }
}
