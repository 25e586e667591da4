//! Numbers as people read them.

/// A number with up to four significant digits, with a prefix from 10,000 up: `12.35 k`, `1.2 T`.
///
/// Below 0.0001 and from 10¹⁸ up as a power of ten.
pub fn short(value: f64) -> String {
    prefixed(value, |value| trimmed(significant(value)))
}

/// Like [`short`], always with four significant digits, for columns of numbers: `1.200 T`.
pub fn rounded(value: f64) -> String {
    prefixed(value, significant)
}

fn prefixed(value: f64, write: fn(f64) -> String) -> String {
    const PREFIXES: [&str; 6] = ["", "k", "M", "G", "T", "P"];
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 {
            "0".into()
        } else {
            "–".into()
        };
    }
    let size = value.abs();
    let exponent = size.log10().floor();
    if !(1e-4..1e18).contains(&size) {
        return power_of_ten(value, exponent);
    }
    let thousands = if size >= 1e4 {
        (exponent / 3.0).floor()
    } else {
        0.0
    };
    let scaled = write(value / 10_f64.powf(3.0 * thousands));
    match PREFIXES[thousands as usize] {
        "" => scaled,
        prefix => format!("{scaled}\u{a0}{prefix}"),
    }
}

fn power_of_ten(value: f64, exponent: f64) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raised: String = format!("{exponent}")
        .chars()
        .map(|digit| {
            digit
                .to_digit(10)
                .map_or('⁻', |digit| DIGITS[digit as usize])
        })
        .collect();
    match trimmed(significant(value / 10_f64.powf(exponent))).as_str() {
        "1" => format!("10{raised}"),
        mantissa => format!("{mantissa}·10{raised}"),
    }
}

/// Four significant digits.
fn significant(value: f64) -> String {
    let before_point = value.abs().log10().floor().max(-4.0) as i32 + 1;
    let decimals = (4 - before_point).max(0) as usize;
    format!("{value:.decimals$}")
}

/// The same number without zeros at the end.
fn trimmed(text: String) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A count with a thin space between thousands: `40 960`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A fraction of 1 as per cent with a decimal where it is below ten: `4.3 %`.
pub fn percent(fraction: f64) -> String {
    let value = 100.0 * fraction;
    match value.abs() {
        _ if !value.is_finite() => "–".into(),
        size if size >= 1e4 => format!("{}\u{a0}%", short(value)),
        size if size >= 9.95 => format!("{value:.1}\u{a0}%"),
        size if size >= 0.995 || size == 0.0 => format!("{value:.2}\u{a0}%"),
        _ => format!("{}\u{a0}%", short(value)),
    }
}

/// A coordinate in a drawing, to a tenth.
pub(super) fn coordinate(value: f64) -> String {
    let text = format!("{value:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".into(),
        Some(whole) => whole.into(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let check = |value, text: &str| assert_eq!(short(value).replace('\u{a0}', " "), text);
        check(0.0, "0");
        check(1.0, "1");
        check(-2.5, "-2.5");
        check(0.1, "0.1");
        check(0.00123456, "0.001235");
        check(0.00001, "10⁻⁵");
        check(2.5e-7, "2.5·10⁻⁷");
        check(1234.56, "1235");
        check(9999.0, "9999");
        check(12_345.0, "12.35 k");
        check(1e6, "1 M");
        check(3.1e17, "310 P");
        check(1e18, "10¹⁸");
        check(f64::NAN, "–");
    }

    #[test]
    fn columns_of_numbers_have_equally_many_digits() {
        assert_eq!(
            ["1.200\u{a0}T", "24.00\u{a0}G", "0", "350.0"],
            [1.2e12, 24e9, 0.0, 350.0].map(rounded)
        );
    }

    #[test]
    fn fractions_and_counts_are_readable() {
        let plain = |text: String| text.replace(['\u{a0}', '\u{202f}'], " ");
        assert_eq!(plain(percent(0.8771)), "87.7 %");
        assert_eq!(plain(percent(0.0432)), "4.32 %");
        assert_eq!(plain(percent(0.0)), "0.00 %");
        assert_eq!(plain(percent(0.000_012)), "0.0012 %");
        assert_eq!(plain(percent(1e30)), "10³² %");
        assert_eq!(plain(count(999)), "999");
        assert_eq!(plain(count(1_040_960)), "1 040 960");
        assert_eq!(coordinate(-0.04), "0");
        assert_eq!(coordinate(12.25), "12.2");
    }
}
