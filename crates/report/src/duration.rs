//! Lengths of time as people read them.

/// As Go prints a duration, and with it seed 0: `12m0s`, `1h0m0s`, `1.5s`, `480ms`, `0s`.
pub(crate) fn go(millis: u64) -> String {
    let seconds = millis / 1000;
    let part = millis % 1000;
    if seconds == 0 {
        return if part == 0 {
            "0s".to_owned()
        } else {
            format!("{part}ms")
        };
    }
    let fraction = if part == 0 {
        String::new()
    } else {
        format!(".{part:03}").trim_end_matches('0').to_owned()
    };
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}{fraction}s"),
        (0, _) => format!("{minutes}m{rest}{fraction}s"),
        _ => format!("{hours}h{minutes}m{rest}{fraction}s"),
    }
}

/// Whole seconds for a list of events: `15s`, `480s`, as in seed 0's trace.
pub(crate) fn seconds(millis: u64) -> String {
    format!("{}s", millis / 1000)
}

/// For a clock that runs down: `1:05`, `1:02:03`.
pub(crate) fn clock(millis: u64) -> String {
    // Rounded up: 0:00 stands only when nothing is left.
    let seconds = millis.div_ceil(1000);
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{rest:02}")
    } else {
        format!("{minutes}:{rest:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_prints_them() {
        for (millis, text) in [
            (0, "0s"),
            (480, "480ms"),
            (1500, "1.5s"),
            (720_000, "12m0s"),
            (3_600_000, "1h0m0s"),
            (61_050, "1m1.05s"),
        ] {
            assert_eq!(go(millis), text);
        }
    }

    #[test]
    fn a_clock_rounds_up() {
        assert_eq!(clock(0), "0:00");
        assert_eq!(clock(1), "0:01");
        assert_eq!(clock(65_000), "1:05");
        assert_eq!(clock(3_723_000), "1:02:03");
    }
}
