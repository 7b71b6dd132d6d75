//! Numbers as libvirt's wrappers of strtoul(3) read them.

/// Base of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// Decimal, leading zeros included.
    Ten,
    /// By prefix: `0x` hexadecimal, `0` octal, else decimal.
    Auto,
}

/// Reads an unsigned number: leading white space and `+` are allowed, a minus sign is not.
///
/// libvirt 11.3.0: `virStrToLong_ullp`, src/util/virstring.c
pub(crate) fn unsigned(text: &str, base: Base) -> Option<u64> {
    let digits = text.trim_start_matches(is_space);
    magnitude(digits.strip_prefix('+').unwrap_or(digits), base)
}

/// Reads an unsigned number of 64 bits in which a minus sign wraps around.
///
/// libvirt 11.3.0: `virStrToLong_ull`, src/util/virstring.c
pub(crate) fn wrapping(text: &str, base: Base) -> Option<u64> {
    let digits = text.trim_start_matches(is_space);
    match digits.strip_prefix('-') {
        Some(digits) => magnitude(digits, base).map(u64::wrapping_neg),
        None => unsigned(digits, base),
    }
}

/// Reads an unsigned number of 32 bits in which a minus sign wraps around.
///
/// libvirt 11.3.0: `virStrToLong_ui`, src/util/virstring.c
pub(crate) fn wrapping_u32(text: &str, base: Base) -> Option<u32> {
    let digits = text.trim_start_matches(is_space);
    match digits.strip_prefix('-') {
        Some(digits) => u32::try_from(magnitude(digits, base)?).ok().map(u32::wrapping_neg),
        None => u32::try_from(unsigned(digits, base)?).ok(),
    }
}

fn magnitude(digits: &str, base: Base) -> Option<u64> {
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = match (base, hex) {
        (Base::Auto, Some(hex)) => (hex, 16),
        (Base::Auto, None) if digits.len() > 1 && digits.starts_with('0') => (digits, 8),
        _ => (digits, 10),
    };
    // from_str_radix takes a sign of its own.
    if digits.starts_with(['+', '-']) { None } else { u64::from_str_radix(digits, radix).ok() }
}

/// isspace(3) in the C locale.
const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, ten: Option<u64>, auto: Option<u64>, wrapped: Option<u64>) {
        assert_eq!(unsigned(text, Base::Ten), ten, "{text:?} decimal");
        assert_eq!(unsigned(text, Base::Auto), auto, "{text:?} by prefix");
        assert_eq!(wrapping(text, Base::Ten), wrapped, "{text:?} wrapping");
    }

    #[test]
    fn spellings() {
        check("12", Some(12), Some(12), Some(12));
        check(" \n+012", Some(12), Some(10), Some(12));
        check("0x1f", None, Some(31), None);
        check("0", Some(0), Some(0), Some(0));
        check("09", Some(9), None, Some(9));
        check("-1", None, None, Some(u64::MAX));
        check("+-1", None, None, None);
        check("--1", None, None, None);
        check("1 ", None, None, None);
        check("", None, None, None);
        check("18446744073709551616", None, None, None);
    }
}
