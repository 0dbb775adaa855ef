//! Anchors, aliases, tags and directives.

use std::borrow::Cow;

use super::{Fault, Kind, Mark, Scanned, Scanner};

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

impl<'t> Scanner<'t> {
    fn skip_word(&mut self) -> &'t str {
        let from = self.cursor.mark.byte;
        let length = self
            .cursor
            .rest()
            .iter()
            .take_while(|byte| is_word(**byte))
            .count();
        self.cursor.skip(length);
        self.cursor.since(from)
    }

    pub(super) fn scan_anchor(&mut self) -> Scanned<()> {
        let start = self.cursor.mark;
        let sign = self.cursor.byte();
        self.cursor.skip(1);
        let name = self.skip_word();
        let ends = self.cursor.is_gap_at(0)
            || matches!(
                self.cursor.byte(),
                b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`'
            );
        if name.is_empty() || !ends {
            let (what, sign) = if sign == b'*' {
                ("an alias", '*')
            } else {
                ("an anchor", '&')
            };
            return Err(Fault::new(
                self.since(start),
                format!("the name of {what} is letters, digits, `-` and `_`"),
            )
            .hint(format!(
                "put the text into quotes if it merely begins with `{sign}`"
            )));
        }
        let kind = if sign == b'*' {
            Kind::Alias(name)
        } else {
            Kind::Anchor(name)
        };
        self.push(start, kind);
        Ok(())
    }

    pub(super) fn scan_tag(&mut self) -> Scanned<()> {
        let start = self.cursor.mark;
        let (handle, suffix);
        if self.cursor.byte_at(1) == b'<' {
            self.cursor.skip(2);
            handle = "";
            suffix = self.tag_uri(start, true)?;
            if self.cursor.byte() != b'>' {
                return Err(Fault::new(
                    self.since(start),
                    "a `>` is missing at the end of the tag",
                ));
            }
            self.cursor.skip(1);
        } else {
            self.cursor.skip(1);
            self.skip_word();
            if self.cursor.byte() == b'!' {
                self.cursor.skip(1);
                handle = self.cursor.since(start.byte);
                suffix = self.tag_uri(start, false)?;
            } else {
                // No handle after all: what was read is the suffix of `!`.
                self.cursor.mark = start;
                self.cursor.skip(1);
                let rest = self.tag_characters(start, false)?;
                (handle, suffix) = if rest.is_empty() {
                    ("", Cow::Borrowed("!"))
                } else {
                    ("!", rest)
                };
            }
        }
        let ends = self.cursor.is_gap_at(0) || (self.in_flow() && self.cursor.byte() == b',');
        if !ends {
            return Err(Fault::new(self.here(), "a blank is missing behind the tag")
                .hint("put the text into quotes if it merely begins with `!`"));
        }
        self.push(start, Kind::Tag { handle, suffix });
        Ok(())
    }

    fn tag_uri(&mut self, start: Mark, verbatim: bool) -> Scanned<Cow<'t, str>> {
        let uri = self.tag_characters(start, verbatim)?;
        if uri.is_empty() {
            return Err(Fault::new(self.since(start), "a tag without a name")
                .hint("put the text into quotes if it merely begins with `!`"));
        }
        Ok(uri)
    }

    /// The characters of a URI, `%41` resolved. Those of flow collections count only where the
    /// URI stands by itself.
    fn tag_characters(&mut self, start: Mark, alone: bool) -> Scanned<Cow<'t, str>> {
        let from = self.cursor.mark.byte;
        let mut bytes: Option<Vec<u8>> = None;
        loop {
            match self.cursor.byte() {
                b'%' => {
                    let digits =
                        [1, 2].map(|offset| char::from(self.cursor.byte_at(offset)).to_digit(16));
                    let [Some(high), Some(low)] = digits else {
                        return Err(Fault::new(
                            self.here(),
                            "`%` in a tag needs two hexadecimal digits",
                        ));
                    };
                    let so_far = || self.cursor.since(from).as_bytes().to_vec();
                    let octet = u8::try_from(high * 16 + low).unwrap_or_default();
                    bytes.get_or_insert_with(so_far).push(octet);
                    self.cursor.skip(3);
                }
                byte if is_word(byte)
                    || b";/?:@&=+$.!~*'()".contains(&byte)
                    || (alone && b",[]".contains(&byte)) =>
                {
                    if let Some(bytes) = &mut bytes {
                        bytes.push(byte);
                    }
                    self.cursor.skip(1);
                }
                _ => break,
            }
        }
        match bytes {
            None => Ok(Cow::Borrowed(self.cursor.since(from))),
            Some(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Cow::Owned(text)),
                Err(_) => Err(Fault::new(
                    self.since(start),
                    "the `%` of this tag do not make UTF-8",
                )),
            },
        }
    }

    pub(super) fn scan_directive(&mut self) -> Scanned<()> {
        let start = self.cursor.mark;
        self.cursor.skip(1);
        let name = self.skip_word();
        let kind = match name {
            "YAML" => self.version_directive(start)?,
            "TAG" => self.tag_directive(start)?,
            _ => {
                return Err(Fault::new(
                    self.since(start),
                    "a line that begins with `%` is a directive, and this one is not known",
                )
                .hint(
                    "known: `%YAML 1.1` and `%TAG`; indent the line, or put the text into quotes",
                ));
            }
        };
        let end = self.cursor.mark.byte;
        self.cursor.skip_blanks();
        if self.cursor.byte() == b'#' {
            self.cursor.skip(self.cursor.line_length());
        }
        if !self.cursor.is_line_end() {
            return Err(Fault::new(self.here(), "text behind the directive"));
        }
        self.cursor.skip_break();
        self.tokens.push_back(super::Token { start, end, kind });
        Ok(())
    }

    fn version_directive(&mut self, start: Mark) -> Scanned<Kind<'t>> {
        self.cursor.skip_blanks();
        let from = self.cursor.mark.byte;
        let length = self
            .cursor
            .rest()
            .iter()
            .take_while(|byte| byte.is_ascii_digit() || **byte == b'.')
            .count();
        self.cursor.skip(length);
        // Leading zeros do not count; libyaml reads at most nine digits.
        let numbers = self
            .cursor
            .since(from)
            .split_once('.')
            .and_then(|(major, minor)| {
                let number = |digits: &str| {
                    let short = !digits.is_empty() && digits.len() <= 9;
                    short.then(|| digits.parse::<u32>().ok()).flatten()
                };
                Some((number(major)?, number(minor)?))
            });
        match numbers {
            Some((1, 1 | 2)) => Ok(Kind::VersionDirective),
            _ => Err(
                Fault::new(self.since(start), "this version of YAML is not known")
                    .hint("write `%YAML 1.1`, or leave the line out"),
            ),
        }
    }

    fn tag_directive(&mut self, start: Mark) -> Scanned<Kind<'t>> {
        let wrong = |scanner: &Self| {
            Fault::new(scanner.since(start), "this is no tag directive")
                .hint("write it as `%TAG !name! prefix`")
        };
        self.cursor.skip_blanks();
        let from = self.cursor.mark.byte;
        if self.cursor.byte() != b'!' {
            return Err(wrong(self));
        }
        self.cursor.skip(1);
        self.skip_word();
        if self.cursor.byte() == b'!' {
            self.cursor.skip(1);
        } else if self.cursor.since(from) != "!" {
            return Err(wrong(self));
        }
        let handle = self.cursor.since(from);
        if !self.cursor.is_blank() {
            return Err(wrong(self));
        }
        self.cursor.skip_blanks();
        let prefix = self.tag_uri(start, true)?;
        if !self.cursor.is_gap_at(0) {
            return Err(wrong(self));
        }
        Ok(Kind::TagDirective { handle, prefix })
    }
}
