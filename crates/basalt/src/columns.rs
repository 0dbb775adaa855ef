//! Tables for the terminal.

use crate::terminal::{Ink, Terminal};

/// Rows under heads, in columns as wide as they need to be.
pub fn columns(heads: &[&str], rows: Vec<Vec<String>>, terminal: &Terminal) -> String {
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            row.iter()
                .map(|cell| crate::terminal::one_line(cell))
                .collect()
        })
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(heads[column].chars().count())
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let mut text = String::new();
    let mut push = |cells: &mut dyn Iterator<Item = (String, Ink)>| {
        let mut line = String::from(" ");
        for (index, (cell, ink)) in cells.enumerate() {
            let pad = widths[index].saturating_sub(cell.chars().count());
            line.push(' ');
            line.push_str(&terminal.paint(ink, &cell));
            if index + 1 < widths.len() {
                line.push_str(&" ".repeat(pad + 1));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    push(&mut heads.iter().map(|head| ((*head).to_owned(), Ink::Faint)));
    for row in &rows {
        let ink = |index| if index == 0 { Ink::Strong } else { Ink::Plain };
        push(
            &mut row
                .iter()
                .enumerate()
                .map(|(index, cell)| (cell.clone(), ink(index))),
        );
    }
    text
}
