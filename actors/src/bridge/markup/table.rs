//! Tables: in columns where a phone can show them so, else a row at a time.

use super::{Run, Unit, bold, plain};

/// Wider than this, lines wrap on a phone and columns are no columns any more.
const WIDE: usize = 42;

/// The rows of a table, the first its head.
pub fn lay_out(rows: Vec<Vec<String>>) -> Vec<Unit> {
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|row| row.into_iter().map(|cell| cell.trim().to_owned()).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    if widths.iter().sum::<usize>() + 3 * columns.saturating_sub(1) <= WIDE {
        return vec![Unit::Pre { lang: String::new(), text: in_columns(&rows, &widths) }];
    }
    let mut rows = rows.into_iter();
    let head = rows.next().unwrap_or_default();
    rows.map(|row| Unit::Line { quoted: false, runs: as_line(&head, &row) }).collect()
}

fn in_columns(rows: &[Vec<String>], widths: &[usize]) -> String {
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, width) in widths.iter().enumerate() {
            let cell = row.get(column).map_or("", String::as_str);
            if column > 0 {
                line.push_str(" │ ");
            }
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
        }
        out.push_str(line.trim_end());
        out.push('\n');
        if index == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            out.push_str(&rules.join("─┼─"));
            out.push('\n');
        }
    }
    out.trim_end().to_owned()
}

fn as_line(head: &[String], row: &[String]) -> Vec<Run> {
    let mut runs = vec![plain("• ")];
    for (column, cell) in row.iter().enumerate() {
        if column > 0 {
            runs.push(plain(" · "));
        }
        match head.get(column).filter(|name| !name.is_empty()) {
            Some(name) if column > 0 => {
                runs.push(plain(format!("{name}: ")));
                runs.push(plain(cell.clone()));
            }
            _ => runs.push(bold(cell.clone())),
        }
    }
    runs
}
