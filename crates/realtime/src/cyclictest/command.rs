//! What a command line of cyclictest asked for.
//!
//! The file holds it joined by spaces, without quotes, so arguments with spaces come apart; the
//! options read here are numbers and survive that.

use std::time::Duration;

/// Options that change what the numbers mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-h` or `-H`: size of the histogram, in microseconds, or nanoseconds with `-N`.
    pub histogram: Option<u64>,
    /// `-d`: how much longer each further thread's interval is.
    pub distance_us: Option<u64>,
    /// `-b`: latency that stops the program.
    pub break_at: Option<u64>,
}

impl Options {
    /// The interval of thread `id` when thread 0 has `interval`: 500 us longer for each further
    /// thread, or as `-d` says; equal with a histogram, whatever `-d` says. Measured with rt-tests
    /// 2.4, where `-S` alone does not make them equal (recording `smp.json`).
    pub fn interval_of(&self, id: u32, interval: Duration) -> Duration {
        let distance = match self.histogram {
            Some(_) => 0,
            None => self.distance_us.unwrap_or(500),
        };
        interval.saturating_add(Duration::from_micros(distance).saturating_mul(id))
    }
}

/// Short options of rt-tests 2.4 that take a value.
const WITH_VALUE: &str = "AbcdDFhHilop";
/// Short options whose value may be missing.
const WITH_OPTIONAL_VALUE: &str = "at";

/// Reads a command line as the program writes it into its file.
pub fn options(command: &str) -> Options {
    let mut options = Options::default();
    let mut words = command.split_whitespace().skip(1).peekable();
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (long, words.peek().copied()),
            };
            let short = match name {
                "histogram" => 'h',
                "histofall" => 'H',
                "distance" => 'd',
                "breaktrace" => 'b',
                _ => continue,
            };
            options.set(short, value);
        } else if let Some(cluster) = word.strip_prefix('-') {
            for (at, letter) in cluster.char_indices() {
                let rest = &cluster[at + letter.len_utf8()..];
                if WITH_VALUE.contains(letter) {
                    let value = if rest.is_empty() {
                        words.next()
                    } else {
                        Some(rest)
                    };
                    options.set(letter, value);
                    break;
                }
                // The rest of the word is the value; a value in the next word does not look like
                // an option and is passed over by the outer loop.
                if WITH_OPTIONAL_VALUE.contains(letter) {
                    break;
                }
            }
        }
    }
    options
}

impl Options {
    fn set(&mut self, letter: char, value: Option<&str>) {
        let value = value.and_then(|text| text.parse().ok());
        match letter {
            // A histogram of no bins is none.
            'h' | 'H' => self.histogram = value.filter(|bins| *bins > 0),
            'd' => self.distance_us = value,
            'b' => self.break_at = value.filter(|limit| *limit > 0),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_histogram_is_found_in_every_spelling() {
        for command in [
            "cyclictest -q -h 800 -D 2",
            "cyclictest -qh800",
            "cyclictest -Smqh 800",
            "cyclictest --histogram=800 -t -a",
            "cyclictest -t2 -H 800",
            "cyclictest -a 0-1 --histofall 800",
        ] {
            assert_eq!(options(command).histogram, Some(800), "{command}");
        }
    }

    #[test]
    fn a_value_is_not_taken_for_an_option() {
        let found = options("/usr/bin/cyclictest -F -h -b 100 --json=-h1.json -D 2h");
        assert_eq!((found.histogram, found.break_at), (None, Some(100)));
    }

    #[test]
    fn further_threads_are_slower_only_without_histogram_and_distance() {
        let second = |command| options(command).interval_of(1, Duration::from_micros(1000));
        assert_eq!(second("cyclictest -t"), Duration::from_micros(1500));
        assert_eq!(second("cyclictest -S"), Duration::from_micros(1500));
        assert_eq!(second("cyclictest -S -d 1000"), Duration::from_micros(2000));
        assert_eq!(second("cyclictest -t -d0"), Duration::from_micros(1000));
        assert_eq!(
            second("cyclictest -t -h 800 -d 1000"),
            Duration::from_micros(1000)
        );
    }
}
