//! From the bytes of a file to its text.

use std::borrow::Cow;

use crate::parse::{place_of, too_long};
use crate::scan::Fault;
use crate::{Diagnostics, MAX_BYTES};

/// The text of a file, as PyYAML decodes it: UTF-16 where a byte order mark says so, else UTF-8.
/// The byte order mark is left out. None, and an error, where the bytes are no such text, or are
/// more than [`MAX_BYTES`].
///
/// Spans of what is parsed speak of the decoded text.
pub fn decode<'b>(bytes: &'b [u8], diagnostics: &mut Diagnostics) -> Option<Cow<'b, str>> {
    match try_decode(bytes, diagnostics) {
        Ok(text) => Some(text),
        Err(fault) => {
            let fault = *fault;
            diagnostics.error(fault.span, fault.message).hint = fault.hint;
            None
        }
    }
}

/// Makes a code unit of UTF-16 of two bytes.
type Unit = fn([u8; 2]) -> u16;

fn try_decode<'b>(bytes: &'b [u8], diagnostics: &Diagnostics) -> Result<Cow<'b, str>, Box<Fault>> {
    let (rest, unit): (&[u8], Option<Unit>) = match bytes {
        [0xff, 0xfe, rest @ ..] => (rest, Some(u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => (rest, Some(u16::from_be_bytes)),
        [0xef, 0xbb, 0xbf, rest @ ..] => (rest, None),
        _ => (bytes, None),
    };
    // Half of UTF-16 may be left of it.
    let least = if unit.is_some() {
        bytes.len() / 2
    } else {
        bytes.len()
    };
    if let Some(fault) = too_long(least, diagnostics) {
        return Err(fault);
    }
    let source = diagnostics.current_file();
    let Some(unit) = unit else {
        return match std::str::from_utf8(rest) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(error) => {
                let good = rest.get(..error.valid_up_to()).unwrap_or_default();
                let good = std::str::from_utf8(good).unwrap_or_default();
                let byte = rest.get(good.len()).copied().unwrap_or_default();
                let span = place_of(good, good.len(), good.len(), source);
                Err(
                    Fault::new(span, format!("the byte 0x{byte:02x} is not part of UTF-8"))
                        .hint("save the file as UTF-8"),
                )
            }
        };
    };
    let pairs = rest.chunks_exact(2);
    let odd = !pairs.remainder().is_empty();
    let units = pairs.map(|pair| unit([pair[0], pair[1]]));
    let mut text = String::with_capacity(rest.len() / 2);
    for character in char::decode_utf16(units) {
        match character {
            Ok(character) => text.push(character),
            Err(_) => return Err(broken_utf16(&text, diagnostics)),
        }
        if text.len() > MAX_BYTES
            && let Some(fault) = too_long(text.len(), diagnostics)
        {
            return Err(fault);
        }
    }
    if odd {
        return Err(broken_utf16(&text, diagnostics));
    }
    Ok(Cow::Owned(text))
}

fn broken_utf16(text: &str, diagnostics: &Diagnostics) -> Box<Fault> {
    let span = place_of(text, text.len(), text.len(), diagnostics.current_file());
    Fault::new(span, "the file begins as UTF-16, but here it is none")
        .hint("save the file as UTF-8")
}
