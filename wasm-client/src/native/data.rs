//! Labelled texts in CSV files (RFC 4180): a header with `text`, `label` or `category`, and perhaps
//! `user`.

use std::path::Path;

use super::error::NativeError;

/// The rows of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The texts.
    pub texts: Vec<String>,
    /// The label of each.
    pub labels: Vec<String>,
    /// Whose each is, in files with a column `user`.
    pub users: Option<Vec<String>>,
}

/// The rows of a file whose label the task knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The texts.
    pub texts: Vec<String>,
    /// Index of each text's label in the task's.
    pub labels: Vec<u32>,
    /// Rows with another label.
    pub skipped: usize,
}

impl Table {
    /// Reads a file.
    ///
    /// # Errors
    /// [`NativeError::File`], or [`NativeError::Table`] with the line.
    pub fn read(path: &Path, labels: &[String]) -> Result<Self, NativeError> {
        Ok(Self::of(Rows::read(path)?, labels))
    }

    pub(crate) fn of(rows: Rows, labels: &[String]) -> Self {
        let mut table = Self::default();
        for (text, name) in rows.texts.into_iter().zip(rows.labels) {
            match labels.iter().position(|label| *label == name) {
                Some(label) => {
                    table.texts.push(text);
                    table.labels.push(label as u32);
                }
                None => table.skipped += 1,
            }
        }
        table
    }
}

impl Rows {
    /// Reads a file.
    ///
    /// # Errors
    /// [`NativeError::File`], or [`NativeError::Table`] with the line.
    pub fn read(path: &Path) -> Result<Self, NativeError> {
        let text = std::fs::read_to_string(path).map_err(|error| NativeError::File {
            path: path.to_owned(),
            error,
        })?;
        Self::parse(&text).map_err(|(line, reason)| NativeError::Table {
            path: path.to_owned(),
            line,
            reason,
        })
    }

    fn parse(text: &str) -> Result<Self, (usize, &'static str)> {
        let mut records = Records {
            rest: text.strip_prefix('\u{feff}').unwrap_or(text),
            line: 1,
        };
        let header = records.next().ok_or((1, "the file is empty"))??;
        let column = |names: &[&str]| {
            header
                .fields
                .iter()
                .position(|field| names.contains(&field.trim()))
        };
        let text_column = column(&["text"]).ok_or((1, "no column is called text"))?;
        let label_column =
            column(&["label", "category"]).ok_or((1, "no column is called label"))?;
        let user_column = column(&["user"]);
        let mut rows = Self {
            users: user_column.map(|_| Vec::new()),
            ..Self::default()
        };
        for record in records {
            let Record { line, mut fields } = record?;
            if fields.len() != header.fields.len() {
                return Err((line, "another number of columns than the header"));
            }
            if let (Some(users), Some(column)) = (&mut rows.users, user_column) {
                users.push(fields[column].clone());
            }
            rows.texts.push(core::mem::take(&mut fields[text_column]));
            rows.labels.push(core::mem::take(&mut fields[label_column]));
        }
        Ok(rows)
    }
}

struct Record {
    line: usize,
    fields: Vec<String>,
}

struct Records<'a> {
    rest: &'a str,
    line: usize,
}

impl Iterator for Records<'_> {
    type Item = Result<Record, (usize, &'static str)>;

    fn next(&mut self) -> Option<Self::Item> {
        // Empty lines between records are left out.
        while let Some(rest) = self
            .rest
            .strip_prefix("\r\n")
            .or_else(|| self.rest.strip_prefix('\n'))
        {
            self.rest = rest;
            self.line += 1;
        }
        if self.rest.is_empty() {
            return None;
        }
        let line = self.line;
        let mut fields = Vec::new();
        loop {
            match self.field() {
                Err(reason) => return Some(Err((line, reason))),
                Ok((field, more)) => {
                    fields.push(field);
                    if !more {
                        return Some(Ok(Record { line, fields }));
                    }
                }
            }
        }
    }
}

impl Records<'_> {
    /// The next field, and whether another one follows in the same record.
    fn field(&mut self) -> Result<(String, bool), &'static str> {
        let mut field = String::new();
        if self.rest.starts_with('"') {
            self.quoted(&mut field)?;
        } else {
            let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
            field.push_str(
                self.rest[..end]
                    .strip_suffix('\r')
                    .unwrap_or(&self.rest[..end]),
            );
            self.rest = &self.rest[end..];
        }
        if let Some(rest) = self.rest.strip_prefix(',') {
            self.rest = rest;
            return Ok((field, true));
        }
        let rest = self.rest.strip_prefix('\r').unwrap_or(self.rest);
        if rest.is_empty() {
            self.rest = rest;
            return Ok((field, false));
        }
        self.rest = rest
            .strip_prefix('\n')
            .ok_or("text after a closing quote")?;
        self.line += 1;
        Ok((field, false))
    }

    fn quoted(&mut self, field: &mut String) -> Result<(), &'static str> {
        self.rest = &self.rest[1..];
        loop {
            let end = self.rest.find('"').ok_or("a quote is not closed")?;
            field.push_str(&self.rest[..end]);
            self.line += self.rest[..end].matches('\n').count();
            self.rest = &self.rest[end + 1..];
            if !self.rest.starts_with('"') {
                return Ok(());
            }
            field.push('"');
            self.rest = &self.rest[1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Table, (usize, &'static str)> {
        let labels = ["yes".to_owned(), "no".to_owned()];
        Rows::parse(text).map(|rows| Table::of(rows, &labels))
    }

    #[test]
    fn quotes_newlines_and_other_labels_are_understood() {
        let table =
            parse("text,category\r\n\"a, \"\"b\"\"\nc\",no\r\nplain,yes\n\nother,maybe\nlast,yes")
                .unwrap();
        assert_eq!(table.texts, ["a, \"b\"\nc", "plain", "last"]);
        assert_eq!(table.labels, [1, 0, 0]);
        assert_eq!(table.skipped, 1);
    }

    #[test]
    fn rows_say_whose_they_are_where_the_file_does() {
        let rows = Rows::parse("user,text,label\nann,a,yes\nbob,b,no").unwrap();
        assert_eq!(rows.users.unwrap(), ["ann", "bob"]);
        assert_eq!(rows.labels, ["yes", "no"]);
        assert_eq!(Rows::parse("text,label\na,yes").unwrap().users, None);
    }

    #[test]
    fn broken_lines_are_named() {
        assert_eq!(parse("text,label\na,yes\nb\n").unwrap_err().0, 3);
        assert_eq!(
            parse("text,label\n\"a\nb\",yes\n\"c,yes\n").unwrap_err().0,
            4
        );
        assert_eq!(parse("text,label\n\"a\"b,yes\n").unwrap_err().0, 2);
        assert_eq!(parse("texts,label\n").unwrap_err().0, 1);
        assert_eq!(parse("").unwrap_err().0, 1);
    }
}
