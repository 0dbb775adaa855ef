//! A command line split into words as Python's `shlex.split` splits it, which LAVA does.

/// The words; `None` where a quotation is not closed.
pub(super) fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = line.chars();
    while let Some(one) = letters.next() {
        match one {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '\'' => break,
                        one => word.push(one),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next()? {
                        '"' => break,
                        '\\' => match letters.next()? {
                            one @ ('"' | '\\') => word.push(one),
                            one => word.extend(['\\', one]),
                        },
                        one => word.push(one),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(letters.next()?),
            one => word.get_or_insert_default().push(one),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_are_split_as_python_splits_them() {
        // Recorded from shlex.split.
        let words = split(r#"a 'b c' "d \"e\" \f" g\ h '' i"j"k"#).unwrap();
        assert_eq!(words, ["a", "b c", "d \"e\" \\f", "g h", "", "ijk"]);
        assert_eq!(split("a 'b"), None);
        assert_eq!(split("a\\"), None);
        assert_eq!(split("  ").unwrap(), [""; 0]);
    }
}
