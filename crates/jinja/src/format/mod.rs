//! Python's two ways to format: `'%05d' % x` and `'{:05}'.format(x)`.

mod braces;
mod number;
mod percent;

pub(crate) use braces::braces;
pub(crate) use percent::percent;

/// No field is wider or more precise.
const WIDEST: usize = 100_000;

/// What a field asks for, common to both ways.
#[derive(Clone, Debug, Default)]
struct Field {
    fill: Option<char>,
    /// `<`, `>`, `^` or `=`.
    align: Option<char>,
    /// `+`, space, or nothing (`-`).
    sign: Option<char>,
    /// `#`.
    alternate: bool,
    width: usize,
    /// `,` or `_` between groups of digits.
    grouping: Option<char>,
    precision: Option<usize>,
    /// The letter at the end.
    kind: Option<char>,
}

impl Field {
    /// Fills up to the width; `body` is a sign or prefix and the rest.
    fn pad(&self, prefix: &str, body: &str, default: char) -> String {
        let missing = self
            .width
            .saturating_sub(prefix.chars().count() + body.chars().count());
        let fill = |count: usize| self.fill.unwrap_or(' ').to_string().repeat(count);
        match self.align.unwrap_or(default) {
            '<' => format!("{prefix}{body}{}", fill(missing)),
            '^' => format!(
                "{}{prefix}{body}{}",
                fill(missing / 2),
                fill(missing - missing / 2)
            ),
            '=' => format!("{prefix}{}{body}", fill(missing)),
            _ => format!("{}{prefix}{body}", fill(missing)),
        }
    }
}
