//! How plain scalars are written that are no texts: the patterns of PyYAML 6's `resolver.py`.
//!
//! Unlike YAML 1.1, PyYAML takes neither `y` nor `n` for a boolean, wants a dot in floats and a
//! sign in their exponents.

/// A text that patterns are matched against, byte by byte.
#[derive(Clone, Copy)]
struct Matcher<'t>(&'t [u8]);

impl Matcher<'_> {
    fn first(&self) -> u8 {
        self.0.first().copied().unwrap_or(0)
    }

    fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// Passes over as many bytes as fit. Returns how many.
    fn take(&mut self, fits: impl Fn(u8) -> bool) -> usize {
        let count = self.0.iter().take_while(|byte| fits(**byte)).count();
        self.0 = &self.0[count..];
        count
    }

    fn take_one(&mut self, fits: impl Fn(u8) -> bool) -> bool {
        let fits = self.0.first().is_some_and(|byte| fits(*byte));
        if fits {
            self.0 = &self.0[1..];
        }
        fits
    }

    fn take_sign(&mut self) -> bool {
        self.take_one(|byte| matches!(byte, b'-' | b'+'))
    }

    fn take_byte(&mut self, wanted: u8) -> bool {
        self.take_one(|byte| byte == wanted)
    }

    /// From `fewest` to `most` digits, as many as there are.
    fn take_digits(&mut self, fewest: usize, most: usize) -> bool {
        let digits = self.0.iter().take(most);
        let count = digits.take_while(|byte| byte.is_ascii_digit()).count();
        self.0 = &self.0[count..];
        count >= fewest
    }

    /// `(:[0-5]?[0-9])+`.
    fn take_sixties(&mut self) -> bool {
        let mut any = false;
        while self.first() == b':' {
            self.0 = &self.0[1..];
            let digits = self
                .0
                .iter()
                .take(2)
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            if digits == 0 || (digits == 2 && self.first() > b'5') {
                return false;
            }
            self.0 = &self.0[digits..];
            any = true;
        }
        any
    }
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

fn is_digit_or_line(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'_'
}

/// `1.5`, `1.`, `.5`, `1.5e+3`, `1:30.5`, `.inf`, `.nan`.
pub(crate) fn is_float(text: &str) -> bool {
    let exponent = |mut rest: Matcher<'_>| {
        if rest.take_one(|byte| matches!(byte, b'e' | b'E')) {
            return rest.take_sign() && rest.take(is_digit) > 0 && rest.is_done();
        }
        rest.is_done()
    };
    let mut rest = Matcher(text.as_bytes());
    let signed = rest.take_sign();
    if rest.first() == b'.' {
        match &rest.0[1..] {
            b"inf" | b"Inf" | b"INF" => return true,
            b"nan" | b"NaN" | b"NAN" => return !signed,
            _ => {}
        }
        rest.take_byte(b'.');
        // A sign is not allowed here; PyYAML takes `-.5` for a text.
        return !signed && rest.take_one(is_digit) && {
            rest.take(is_digit_or_line);
            exponent(rest)
        };
    }
    if !rest.take_one(is_digit) {
        return false;
    }
    rest.take(is_digit_or_line);
    if rest.first() == b':' {
        return rest.take_sixties() && rest.take_byte(b'.') && {
            rest.take(is_digit_or_line);
            rest.is_done()
        };
    }
    rest.take_byte(b'.') && {
        rest.take(is_digit_or_line);
        exponent(rest)
    }
}

/// `12`, `0x1f`, `0b1`, `0755`, `1:30`, all with `_` among their digits.
pub(crate) fn is_int(text: &str) -> bool {
    let mut rest = Matcher(text.as_bytes());
    rest.take_sign();
    match rest.0 {
        [b'0'] => true,
        [b'0', b'b', digits @ ..] => {
            !digits.is_empty() && digits.iter().all(|byte| matches!(byte, b'0' | b'1' | b'_'))
        }
        [b'0', b'x', digits @ ..] => {
            !digits.is_empty()
                && digits
                    .iter()
                    .all(|byte| byte.is_ascii_hexdigit() || *byte == b'_')
        }
        [b'0', digits @ ..] => digits.iter().all(|byte| matches!(byte, b'0'..=b'7' | b'_')),
        [b'1'..=b'9', ..] => {
            rest.take(is_digit_or_line);
            rest.is_done() || (rest.take_sixties() && rest.is_done())
        }
        _ => false,
    }
}

/// `2001-12-14`, `2001-12-14 21:59:43.10 -5`, `2001-12-14t21:59:43.10-05:00`.
pub(crate) fn is_timestamp(text: &str) -> bool {
    let date = |month_digits| {
        let mut rest = Matcher(text.as_bytes());
        let fits = rest.take_digits(4, 4)
            && rest.take_byte(b'-')
            && rest.take_digits(month_digits, 2)
            && rest.take_byte(b'-')
            && rest.take_digits(month_digits, 2);
        fits.then_some(rest)
    };
    if date(2).is_some_and(|rest| rest.is_done()) {
        return true;
    }
    let Some(mut rest) = date(1) else {
        return false;
    };
    let separated = rest.take_one(|byte| matches!(byte, b'T' | b't'))
        || rest.take(|byte| matches!(byte, b' ' | b'\t')) > 0;
    let time = separated
        && rest.take_digits(1, 2)
        && rest.take_byte(b':')
        && rest.take_digits(2, 2)
        && rest.take_byte(b':')
        && rest.take_digits(2, 2);
    if !time {
        return false;
    }
    if rest.take_byte(b'.') {
        rest.take(is_digit);
    }
    if rest.is_done() {
        return true;
    }
    rest.take(|byte| matches!(byte, b' ' | b'\t'));
    if rest.take_byte(b'Z') {
        return rest.is_done();
    }
    rest.take_sign()
        && rest.take_digits(1, 2)
        && (rest.is_done() || (rest.take_byte(b':') && rest.take_digits(2, 2) && rest.is_done()))
}

/// The words for yes and no.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}
