//! A grid of cells with colours.

use crate::style::{Ink, Style};

#[derive(Clone, Copy)]
struct Cell {
    sign: char,
    ink: Ink,
}

/// Rows from the top, columns from the left.
pub(crate) struct Canvas {
    cells: Vec<Vec<Cell>>,
}

impl Canvas {
    pub(crate) fn new(rows: usize, columns: usize) -> Self {
        let blank = Cell {
            sign: ' ',
            ink: Ink::Plain,
        };
        Self {
            cells: vec![vec![blank; columns]; rows],
        }
    }

    /// Puts one sign; what lies outside is dropped.
    pub(crate) fn put(&mut self, row: usize, column: usize, sign: char, ink: Ink) {
        if let Some(cell) = self.cells.get_mut(row).and_then(|row| row.get_mut(column)) {
            *cell = Cell { sign, ink };
        }
    }

    /// Puts a text from `column` on.
    pub(crate) fn write(&mut self, row: usize, column: usize, text: &str, ink: Ink) {
        for (offset, sign) in text.chars().enumerate() {
            self.put(row, column + offset, sign, ink);
        }
    }

    /// True if nothing stands in the cells.
    pub(crate) fn is_blank(&self, row: usize, columns: std::ops::Range<usize>) -> bool {
        self.cells.get(row).is_some_and(|row| {
            row.len() >= columns.end && row[columns].iter().all(|cell| cell.sign == ' ')
        })
    }

    /// The lines, without blanks at their ends.
    pub(crate) fn render(&self, style: Style) -> String {
        let mut text = String::new();
        for row in &self.cells {
            let end = row
                .iter()
                .rposition(|cell| cell.sign != ' ')
                .map_or(0, |last| last + 1);
            for run in row[..end].chunk_by(|left, right| left.ink == right.ink) {
                let signs: String = run.iter().map(|cell| cell.sign).collect();
                text.push_str(&style.paint(run[0].ink, &signs));
            }
            text.push('\n');
        }
        text
    }
}
