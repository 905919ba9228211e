//! Numbers for people; `report.json` has all digits.

/// A number with so many significant digits at most.
pub(crate) fn figure(value: f64, digits: u8) -> String {
    let digits = i32::from(digits.max(1));
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let decimals = digits - 1 - value.abs().log10().floor() as i32;
    if !(0..=12).contains(&decimals) && !(1.0..1e6).contains(&value.abs()) {
        return format!("{value:.*e}", (digits - 1) as usize);
    }
    let text = format!("{value:.*}", decimals.max(0) as usize);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::figure;

    #[test]
    fn figures_have_no_more_digits_than_are_asked_for() {
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.123_456_789, "0.123457"),
            (1234.5, "1234.5"),
            (123_456.0, "123456"),
            (536_870_912.0, "5.36871e8"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
            (1e-9, "1.00000e-9"),
            (-0.25, "-0.25"),
        ] {
            assert_eq!(figure(value, 6), text);
        }
        assert_eq!(
            (figure(0.123_456, 4), figure(12_345.6, 4)),
            ("0.1235".into(), "12346".into())
        );
    }
}
