//! `docs/algorithms.md`, made of the table.

use super::table::{Row, State, Table};
use std::fmt::Write as _;

/// The whole page; `shown` holds the command that shows each row.
pub(super) fn markdown(table: &Table, shown: &[Option<String>]) -> String {
    let working = table.count(|state| matches!(state, State::Works { .. }));
    let mut page = format!(
        "<!-- Made from algorithms.json by `cargo xtask coverage --write`. -->\n\
         # The map\n\n\
         Systems and methods of federated fine-tuning, what each means where the aggregator sees\n\
         only sums, and where it stands here: {working} of {} work. A row works only where a test\n\
         that `cargo xtask test` runs shows it; the command beside it runs that test alone or shows\n\
         the method at work.\n\nTaken from:\n\n",
        table.rows.len()
    );
    for source in &table.sources {
        let _ = writeln!(page, "- {source}");
    }
    page.push_str("\n## Doors\n\n| who | what they do here | state |\n|---|---|---|\n");
    for door in &table.doors {
        let state = if door.is_open() { "open" } else { "not yet" };
        let _ = writeln!(
            page,
            "| {} | {} | {state} |",
            cell(&door.door),
            cell(&door.what)
        );
    }
    let mut group = "";
    for (row, command) in table.rows.iter().zip(shown) {
        if row.group != group {
            group = &row.group;
            let _ = write!(
                page,
                "\n## {group}\n\n| system | what it does | here | under the mask | state |\n\
                 |---|---|---|---|---|\n"
            );
        }
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            cell(&row.system),
            cell(&row.does),
            cell(&row.here),
            cell(&row.sums),
            state(row, command.as_deref())
        );
    }
    page
}

fn state(row: &Row, command: Option<&str>) -> String {
    match &row.state {
        State::Works { see, .. } => {
            let command = see.as_deref().or(command).unwrap_or("cargo xtask test");
            format!("**works**: `{command}`")
        }
        State::NotYet { missing } => format!("not yet: {}", cell(missing)),
        State::Cannot { reason } => format!("cannot live on sums: {}", cell(reason)),
    }
}

/// Text that does not end a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
