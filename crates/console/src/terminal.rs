//! Console text on somebody's terminal (invariant 10): nothing that a board prints may act there.

use crate::escape::Stripper;

/// The text with escape sequences removed and every other control character made visible as
/// `\x07` or `\u{202e}`. Newlines and tabs stay; a carriage return before a newline goes, any other
/// becomes a newline, so that nothing printed can be overwritten.
pub fn sanitize(text: &str) -> String {
    let mut stripped = Vec::with_capacity(text.len());
    let mut stripper = Stripper::default();
    let mut take = |piece: &[u8], _: u64| stripped.extend_from_slice(piece);
    stripper.feed(text.as_bytes(), 0, &mut take);
    stripper.flush(&mut take);
    // Sequences are ASCII, so what is left is as valid as it was.
    let stripped = String::from_utf8_lossy(&stripped);
    let mut out = String::with_capacity(stripped.len());
    let mut characters = stripped.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' | '\t' => out.push(character),
            '\r' => {
                while characters.next_if_eq(&'\r').is_some() {}
                if characters.peek() != Some(&'\n') && characters.peek().is_some() {
                    out.push('\n');
                }
            }
            _ if (character as u32) < 0x20 || character == '\x7f' => {
                out.push_str(&format!("\\x{:02x}", character as u32));
            }
            _ if character.is_control() || deceives(character) => {
                out.push_str(&format!("\\u{{{:x}}}", character as u32));
            }
            _ => out.push(character),
        }
    }
    out
}

/// [`sanitize`] for bytes; what is not UTF-8 becomes U+FFFD.
pub fn sanitize_bytes(bytes: &[u8]) -> String {
    sanitize(&String::from_utf8_lossy(bytes))
}

/// Characters that turn the order of others round or break lines: no control characters for
/// Unicode, but text that lies.
pub fn deceives(character: char) -> bool {
    matches!(
        character,
        '\u{061c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_acts_on_the_terminal() {
        assert_eq!(sanitize("\x1b[2J\x1b]0;owned\x07hi\r\nthere"), "hi\nthere");
        assert_eq!(sanitize("100%\rgone\x07"), "100%\ngone\\x07");
        assert_eq!(
            sanitize("\u{9b}31mred \u{202e}txt"),
            "\\u{9b}31mred \\u{202e}txt"
        );
        assert_eq!(sanitize("half \x1b["), "half \\x1b[");
        assert_eq!(sanitize_bytes(b"\xff\r\r\nx"), "\u{fffd}\nx");
    }

    proptest! {
        #[test]
        fn no_control_character_survives(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let shown = sanitize_bytes(&bytes);
            let acts = |c: char| (c.is_control() && c != '\n' && c != '\t') || deceives(c);
            prop_assert!(!shown.contains(acts), "{shown:?}");
        }
    }
}
