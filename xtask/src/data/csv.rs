//! Tables with a text and a label: CSV and TSV (RFC 4180 with any line ending), JSON lines.
//!
//! Rows without both are left out; the page says so row by row, this tool only counts on the rest.

use super::Example;

/// Column names that mean the text, then those that mean the label.
const TEXT: [&str; 4] = ["text", "utterance", "sentence", "message"];
const LABEL: [&str; 4] = ["label", "category", "intent", "class"];

/// Reads a table; a first row with known column names is its header.
pub(super) fn table(content: &str, separator: char) -> Vec<Example> {
    let mut rows = rows(content.trim_start_matches('\u{feff}'), separator)
        .into_iter()
        .peekable();
    let header = rows
        .peek()
        .and_then(|row| Some((column(row, &TEXT)?, column(row, &LABEL)?)));
    if header.is_some() {
        rows.next();
    }
    let (text, label) = header.unwrap_or((0, 1));
    rows.filter_map(|row| example(row.get(text)?, row.get(label)?))
        .collect()
}

/// Reads one JSON object per line.
pub(super) fn json_lines(content: &str) -> Vec<Example> {
    let field = |value: &serde_json::Value, names: &[&str]| {
        names
            .iter()
            .find_map(|name| value.get(name)?.as_str().map(str::to_owned))
    };
    content
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|value| example(&field(&value, &TEXT)?, &field(&value, &LABEL)?))
        .collect()
}

/// A field as it stands in a CSV file.
pub(super) fn quote(field: &str) -> String {
    if field.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

fn example(text: &str, label: &str) -> Option<Example> {
    let (text, label) = (text.trim(), label.trim());
    let usable = !text.is_empty() && !label.is_empty();
    usable.then(|| Example {
        text: text.to_owned(),
        label: label.to_owned(),
    })
}

fn column(header: &[String], names: &[&str]) -> Option<usize> {
    header
        .iter()
        .position(|name| names.contains(&name.trim().to_lowercase().as_str()))
}

fn rows(content: &str, separator: char) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut characters = content.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                field.push('"');
                characters.next();
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            '\r' if !quoted && characters.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                row.push(core::mem::take(&mut field));
                rows.push(core::mem::take(&mut row));
            }
            other if other == separator && !quoted => row.push(core::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    if !field.is_empty() || !row.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(text: &str, label: &str) -> Example {
        Example {
            text: text.to_owned(),
            label: label.to_owned(),
        }
    }

    #[test]
    fn quotes_commas_and_line_breaks_survive_a_round_trip() {
        let text = "a \"quoted\", odd\ntext";
        let written = format!("text,label\r\n{},odd\r\nplain,even\r\n", quote(text));
        assert_eq!(
            table(&written, ','),
            [pair(text, "odd"), pair("plain", "even")]
        );
    }

    #[test]
    fn columns_are_found_by_name_in_any_order() {
        assert_eq!(
            table("category\tutterance\nx\thello\n", '\t'),
            [pair("hello", "x")]
        );
    }

    #[test]
    fn rows_without_text_or_label_are_left_out() {
        assert_eq!(
            table("text,label\n,x\nhello\nfine,y", ','),
            [pair("fine", "y")]
        );
        let lines = "{\"text\":\"a\",\"intent\":\"b\"}\nbroken\n{\"text\":\"c\"}";
        assert_eq!(json_lines(lines), [pair("a", "b")]);
    }
}
