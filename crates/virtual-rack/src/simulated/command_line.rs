//! What U-Boot's command line makes of a typed line: variables, quotes, separators. Not its loops and conditions.

use std::collections::BTreeMap;

/// How a command follows the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Always.
    Then,
    /// Only after success (`&&`).
    And,
    /// Only after failure (`||`).
    Or,
}

/// Splits a line into commands with their words. Variables are replaced when each command's turn comes, so `setenv a b; echo $a` works: pass the
/// words through [`expand`].
pub fn parse(line: &str) -> Vec<(Link, Vec<String>)> {
    let mut commands = Vec::new();
    let mut link = Link::Then;
    let mut words: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = line.chars().peekable();
    let end_word = |word: &mut Option<String>, words: &mut Vec<String>| {
        if let Some(word) = word.take() {
            words.push(word);
        }
    };
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            // In single quotes nothing is replaced; expansion comes later, so the sign is protected here.
            (Some('\''), '$') => word.get_or_insert_default().push('\u{1}'),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                if let Some(next) = chars.next() {
                    word.get_or_insert_default()
                        .push(if next == '$' { '\u{1}' } else { next });
                }
            }
            (None, ' ' | '\t') => end_word(&mut word, &mut words),
            (None, '#') if word.is_none() => break,
            (None, ';' | '&' | '|') if c == ';' || chars.peek() == Some(&c) => {
                end_word(&mut word, &mut words);
                if !words.is_empty() {
                    commands.push((link, std::mem::take(&mut words)));
                }
                link = match c {
                    '&' => Link::And,
                    '|' => Link::Or,
                    _ => Link::Then,
                };
                if c != ';' {
                    chars.next();
                }
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    end_word(&mut word, &mut words);
    if !words.is_empty() {
        commands.push((link, words));
    }
    commands
}

/// Replaces `${name}` and `$name`; an unset variable is nothing.
pub fn expand(word: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (name, after) = match rest.strip_prefix('{') {
            Some(braced) => match braced.split_once('}') {
                Some((name, after)) => (name, after),
                None => (braced, ""),
            },
            None => {
                let end = rest
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                    .unwrap_or(rest.len());
                rest.split_at(end)
            }
        };
        if name.is_empty() {
            out.push('$');
        }
        out.push_str(variables.get(name).map_or("", String::as_str));
        rest = after;
    }
    out.push_str(rest);
    out.replace('\u{1}', "$")
}

/// A number as U-Boot reads addresses and sizes: hexadecimal, with or without `0x`.
pub fn hex(text: &str) -> Option<u64> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_and_quoted() {
        let parsed =
            parse("setenv a 'x $y; z'; echo \"$a\" && booti 1 2:${filesize} 3 || reset # no");
        let words: Vec<_> = parsed
            .iter()
            .map(|(link, words)| (*link, words.join("|")))
            .collect();
        assert_eq!(words[0], (Link::Then, "setenv|a|x \u{1}y; z".into()));
        assert_eq!(words[1], (Link::Then, "echo|$a".into()));
        assert_eq!(words[2], (Link::And, "booti|1|2:${filesize}|3".into()));
        assert_eq!(words[3], (Link::Or, "reset".into()));
    }

    #[test]
    fn variables_are_replaced_except_in_single_quotes() {
        let variables = BTreeMap::from([("filesize".to_owned(), "1f".to_owned())]);
        assert_eq!(expand("0x40:${filesize}", &variables), "0x40:1f");
        assert_eq!(expand("$filesize-$gone.", &variables), "1f-.");
        assert_eq!(
            expand(&parse("'$filesize'")[0].1[0], &variables),
            "$filesize"
        );
    }

    #[test]
    fn addresses_are_hexadecimal() {
        assert_eq!(hex("0x40400000"), Some(0x4040_0000));
        assert_eq!(hex("40"), Some(0x40));
        assert_eq!(hex("-"), None);
    }
}
