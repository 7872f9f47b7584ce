//! Evaluations as a table for people.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::export::{Source, plain};
use super::result::{Evaluation, Row};

/// The widest a column gets, in terminal cells.
const WIDEST: usize = 32;

impl Evaluation {
    /// The first `rows` rows as an aligned text table, long cells cut. Control characters, which
    /// LMs do write, are shown as spaces.
    pub fn table(&self, rows: usize) -> String {
        let columns = self.columns();
        let header: Vec<String> =
            std::iter::once("#".to_owned()).chain(columns.iter().map(|c| cut(&c.name))).collect();
        let line = |row: &Row| {
            let cells = columns.iter().map(|c| match c.source {
                Source::Score => format!("{:.3}", row.score),
                _ => cut(&plain(self.value(row, &c.source))),
            });
            std::iter::once((row.index + 1).to_string()).chain(cells).collect()
        };
        let mut lines = vec![header];
        lines.extend(self.rows.iter().take(rows).map(line));
        let mut text = aligned(&lines);
        if self.rows.len() > rows {
            text.push_str(&format!("… {} more\n", self.rows.len() - rows));
        }
        text
    }
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |i: usize| lines.iter().filter_map(|l| l.get(i)).map(|c| c.width()).max();
    let widths: Vec<usize> = (0..columns).map(|i| width(i).unwrap_or(0)).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        text.push_str(&joined(line.iter().zip(&widths).map(|(cell, w)| pad(cell, *w))));
        if number == 0 {
            text.push_str(&joined(widths.iter().map(|w| "─".repeat(*w))));
        }
    }
    text
}

fn joined(cells: impl Iterator<Item = String>) -> String {
    let line = cells.collect::<Vec<_>>().join("  ");
    format!("{}\n", line.trim_end())
}

fn pad(cell: &str, width: usize) -> String {
    format!("{cell}{}", " ".repeat(width.saturating_sub(cell.width())))
}

/// One line of at most [`WIDEST`] cells.
fn cut(text: &str) -> String {
    let mut out = String::new();
    let mut width = 0;
    for c in text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }) {
        let wide = c.width().unwrap_or(0);
        if width + wide > WIDEST {
            while width + 1 > WIDEST {
                width -= out.pop().and_then(|c| c.width()).unwrap_or(1);
            }
            out.push('…');
            return out;
        }
        width += wide;
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_cut_to_width_and_kept_on_one_line() {
        assert_eq!(cut("a\nb\u{1b}[31m"), "a b [31m");
        let long = cut(&"x".repeat(40));
        assert_eq!((long.width(), long.chars().last()), (WIDEST, Some('…')));
        // Wide characters take two cells.
        assert!(cut(&"漢".repeat(40)).width() <= WIDEST);
        assert_eq!(cut(&"x".repeat(WIDEST)).chars().last(), Some('x'));
    }

    #[test]
    fn columns_are_aligned() {
        let lines = [
            vec!["#".into(), "answer".into(), "x".into()],
            vec!["10".into(), "漢".into(), "y".into()],
        ];
        assert_eq!(aligned(&lines), "#   answer  x\n──  ──────  ─\n10  漢      y\n");
    }
}
