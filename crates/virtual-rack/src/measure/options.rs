//! cyclictest's command line, as far as payloads use it.

/// Default distance between threads' intervals in microseconds.
const DISTANCE_US: u64 = 500;

/// The command line as far as it matters.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// `-D`, in seconds; `None` runs until it is stopped.
    pub duration: Option<f64>,
    /// `-l`.
    pub loops: Option<u64>,
    /// `-i`, in microseconds.
    pub interval: u64,
    /// `-h`, in microseconds.
    pub histogram: Option<u32>,
    /// `-t N`; `Some(0)`: one a CPU.
    pub threads: Option<u32>,
    /// `-d`.
    pub distance: Option<u64>,
    /// `-q`.
    pub quiet: bool,
    /// `--json=FILE`.
    pub json: Option<String>,
}

impl Options {
    /// Reads arguments as cyclictest does; `None` for what it would answer with its usage text.
    pub fn parse(arguments: &[&str]) -> Option<Options> {
        let mut options = Options {
            interval: 1000,
            ..Options::default()
        };
        let mut smp = false;
        let mut words = arguments.iter().peekable();
        while let Some(word) = words.next() {
            if let Some(long) = word.strip_prefix("--") {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (long, None),
                };
                // Long options may have their value in the next word.
                let mut value = || value.or_else(|| words.next().copied());
                match name {
                    "duration" => options.duration = Some(duration(value()?)?),
                    "interval" => options.interval = value()?.parse().ok()?,
                    "loops" => options.loops = Some(value()?.parse().ok()?),
                    "histogram" => options.histogram = Some(value()?.parse().ok()?),
                    "distance" => options.distance = Some(value()?.parse().ok()?),
                    "json" => options.json = Some(value()?.to_owned()),
                    "quiet" => options.quiet = true,
                    "smp" => smp = true,
                    "priority" | "policy" | "latency" | "mainaffinity" | "clock" => drop(value()?),
                    "threads" | "affinity" => {
                        let count = long.split_once('=').map(|(_, value)| value);
                        if name == "threads" {
                            options.threads =
                                Some(count.map_or(Some(0), |count| count.parse().ok())?);
                        }
                    }
                    "mlockall" | "default-system" | "laptop" | "priospread" | "secaligned"
                    | "aligned" | "relative" | "verbose" => {}
                    _ => return None,
                }
                continue;
            }
            let mut letters = word.strip_prefix('-')?;
            while let Some(letter) = letters.chars().next() {
                letters = &letters[1..];
                let mut value = || -> Option<&str> {
                    let rest = std::mem::take(&mut letters);
                    if rest.is_empty() {
                        words.next().copied()
                    } else {
                        Some(rest)
                    }
                };
                match letter {
                    'D' => options.duration = Some(duration(value()?)?),
                    'i' => options.interval = value()?.parse().ok()?,
                    'l' => options.loops = Some(value()?.parse().ok()?),
                    'h' => options.histogram = Some(value()?.parse().ok()?),
                    'd' => options.distance = Some(value()?.parse().ok()?),
                    'p' | 'c' => drop(value()?),
                    // Values that may be left out: in the same word, or a number in the next.
                    't' | 'a' => {
                        let rest = std::mem::take(&mut letters);
                        let next =
                            words.next_if(|next| next.starts_with(|c: char| c.is_ascii_digit()));
                        let text = if rest.is_empty() {
                            next.copied().unwrap_or("")
                        } else {
                            rest
                        };
                        if letter == 't' {
                            options.threads = Some(if text.is_empty() {
                                0
                            } else {
                                text.parse().ok()?
                            });
                        }
                    }
                    'S' => smp = true,
                    'q' => options.quiet = true,
                    'm' | 'n' | 'v' | 'M' | 'A' | 'r' | 's' | 'u' => {}
                    _ => return None,
                }
            }
        }
        if smp && options.threads.is_none() {
            options.threads = Some(0);
        }
        if smp || options.histogram.is_some() {
            options.distance.get_or_insert(0);
        }
        (options.interval > 0).then_some(options)
    }

    /// How many threads measure on a board with so many CPUs.
    pub fn thread_count(&self, cpus: u32) -> u32 {
        match self.threads {
            None => 1,
            Some(0) => cpus,
            Some(count) => count,
        }
    }

    /// By how much each further thread's interval is longer, in microseconds.
    pub fn distance_us(&self) -> u64 {
        self.distance.unwrap_or(DISTANCE_US)
    }

    /// How long it runs, in measured seconds; `None`: until it is stopped.
    pub fn seconds(&self) -> Option<f64> {
        self.duration
            .or_else(|| Some(self.loops? as f64 * self.interval as f64 / 1e6))
    }
}

/// A time with cyclictest's suffixes m, h, d; `s` and none are seconds.
fn duration(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Some(digits.parse::<u32>().ok()? as f64 * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Option<Options> {
        Options::parse(&line.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn the_options_that_payloads_use_are_understood() {
        let parsed = options("-m -S -p 95 -i 1000 -h 400 -D 10s -q --json=/tmp/x.json").unwrap();
        assert_eq!(parsed.seconds(), Some(10.0));
        assert_eq!((parsed.histogram, parsed.thread_count(4)), (Some(400), 4));
        assert_eq!(parsed.json.as_deref(), Some("/tmp/x.json"));
        let combined = options("-mSp99 -i500 -D2m -t1").unwrap();
        assert_eq!(
            (
                combined.interval,
                combined.seconds(),
                combined.thread_count(4)
            ),
            (500, Some(120.0), 1)
        );
        assert_eq!(options("-q -l 100 -i 200").unwrap().seconds(), Some(0.02));
        assert_eq!(options("--notrace"), None);
    }
}
