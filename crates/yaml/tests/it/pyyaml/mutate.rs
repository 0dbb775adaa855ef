//! Texts drawn at random from others, the same ones for the same seed.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("a small number");
        usize::try_from(self.next() % end).expect("a small number")
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// Pieces that mean something to YAML.
const PIECES: &[&str] = &[
    "a",
    "b",
    ": ",
    ":",
    "- ",
    "-",
    "\n",
    "\n",
    "\n  ",
    "\n    ",
    " ",
    "  ",
    "\t",
    "[",
    "]",
    "{",
    "}",
    ", ",
    ",",
    "&x ",
    "*x",
    "&y ",
    "*y",
    "<<",
    "<<: ",
    "<<: *x",
    "<<: [*x, *y]",
    "|",
    ">",
    "|-",
    ">+",
    "|2",
    ">1-",
    "\n|\n",
    "'",
    "''",
    "\"",
    "\\",
    "\\n",
    "\\x41",
    "\\u00e9",
    "\\\n",
    "!",
    "! ",
    "!!",
    "!!str ",
    "!!int ",
    "!!float ",
    "!!null ",
    "!!bool ",
    "!!set ",
    "!!omap ",
    "!!pairs ",
    "!!binary ",
    "!!timestamp ",
    "!!map ",
    "!!seq ",
    "!t ",
    "!<x> ",
    "!!merge ",
    "!!value ",
    "=",
    "= ",
    "~",
    "null",
    "yes",
    "No",
    "on",
    "OFF",
    "true",
    "0x1F",
    "0b101",
    "010",
    "08",
    "0o7",
    "1:30",
    "1:30.5",
    "1_000",
    "1.5",
    "1e3",
    "1.5e+3",
    ".5",
    "-.5",
    ".inf",
    "-.INF",
    ".nan",
    "+1",
    "-0",
    "0_",
    "2001-12-14",
    "2001-12-14 21:59:43.10 -5",
    "2001-02-30",
    "aGVsbG8=",
    "#",
    " # c",
    "#c",
    "---",
    "--- ",
    "\n---\n",
    "...",
    "\n...\n",
    "%",
    "%YAML 1.1\n",
    "%TAG !e! x:\n",
    "@",
    "`",
    "?",
    "? ",
    "\n? ",
    "\n: ",
    "\r",
    "\r\n",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "é",
    "\u{1f600}",
    "\u{0}",
    "\u{7f}",
    "12345678901234567890",
    "key",
    "value with words",
];

/// Characters of which nearly every one means something.
const ALPHABET: &[&str] = &[
    " ", " ", " ", "\n", "\n", "\n ", "-", "- ", ":", ": ", ",", "[", "]", "{", "}", "#", "&a",
    "*a", "!", "|", ">", "'", "\"", "\\", "%", "?", "a", "b", "0", "1", ".", "_", "+", "=", "<",
    "~", "\t", "\r", "@", "é",
];

fn place(text: &[char], random: &mut Random) -> usize {
    random.below(text.len() + 1)
}

fn range(text: &[char], random: &mut Random, longest: usize) -> std::ops::Range<usize> {
    let start = place(text, random);
    let end = (start + 1 + random.below(longest)).min(text.len());
    start.min(end)..end
}

/// One of the texts, changed in one to five places; seldom a text of nothing but pieces or
/// characters.
pub(crate) fn mutation(seeds: &[String], random: &mut Random) -> String {
    let drawn = match random.below(16) {
        0 | 1 => PIECES,
        2 | 3 => ALPHABET,
        _ => &[],
    };
    if !drawn.is_empty() {
        let count = 1 + random.below(20);
        return (0..count).map(|_| random.pick(drawn)).collect();
    }
    let mut text: Vec<char> = seeds[random.below(seeds.len())].chars().collect();
    // Of a long text a part, so that a change is likely to matter.
    if text.len() > 400 && random.below(2) == 0 {
        let part = range(&text, random, 400);
        text = text[part].to_vec();
    }
    for _ in 0..=random.below(5) {
        change(&mut text, seeds, random);
    }
    text.into_iter().collect()
}

fn change(text: &mut Vec<char>, seeds: &[String], random: &mut Random) {
    match random.below(9) {
        0 => {
            let cut = range(text, random, 8);
            text.drain(cut);
        }
        1 => {
            let copied = range(text, random, 30);
            let copied: Vec<char> = text[copied].to_vec();
            let at = place(text, random);
            text.splice(at..at, copied);
        }
        2 | 3 => {
            let at = place(text, random);
            text.splice(at..at, random.pick(PIECES).chars());
        }
        4 => {
            let replaced = range(text, random, 4);
            text.splice(replaced, random.pick(PIECES).chars());
        }
        5 => indent(text, random),
        6 => {
            let end = place(text, random);
            text.truncate(end.max(1));
        }
        7 => {
            let other: Vec<char> = seeds[random.below(seeds.len())].chars().collect();
            let part = range(&other, random, 40);
            let at = place(text, random);
            text.splice(at..at, other[part].iter().copied());
        }
        _ => {
            let (one, two) = (place(text, random), place(text, random));
            if one < text.len() && two < text.len() {
                text.swap(one, two);
            }
        }
    }
}

/// Changes the indentation of a line.
fn indent(text: &mut Vec<char>, random: &mut Random) {
    let starts: Vec<usize> = std::iter::once(0)
        .chain(
            text.iter()
                .enumerate()
                .filter(|(_, c)| **c == '\n')
                .map(|(place, _)| place + 1),
        )
        .collect();
    let start = starts[random.below(starts.len())];
    if random.below(2) == 0 || text.get(start) != Some(&' ') {
        let more = random.pick(&[" ", "  ", "    ", "\t"]);
        text.splice(start..start, more.chars());
    } else {
        text.remove(start);
    }
}
