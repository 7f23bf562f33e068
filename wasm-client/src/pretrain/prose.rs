//! The prose of documentation in reStructuredText: sentences, without markup, code and headings.
//!
//! A model of a few million weights learns little from directives and tables. What is kept are
//! paragraphs that begin with a capital and end as a sentence does; of inline markup the text stays.

/// Share of characters that are letters, spaces or the marks of a sentence in what counts as prose.
const LEAST_PLAIN: f64 = 0.90;
/// Shortest paragraph, in bytes.
const LEAST_BYTES: usize = 40;

/// The paragraphs of a document, each on one line.
pub(crate) fn paragraphs(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block: Vec<&str> = Vec::new();
    for line in text.lines().chain([""]) {
        if !line.trim().is_empty() {
            block.push(line.trim());
            continue;
        }
        found.extend(prose(&block));
        block.clear();
    }
    found
}

/// The block as prose, if it is any.
fn prose(block: &[&str]) -> Option<String> {
    if block.iter().any(|line| is_markup(line)) {
        return None;
    }
    let joined = block.join(" ");
    let item = joined.trim_start_matches(['*', '-', '#', ' ']);
    let plain = plain(item)?;
    let sentence = plain.starts_with(char::is_uppercase) && plain.ends_with(['.', '?', '!']);
    (sentence && plain.len() >= LEAST_BYTES && is_plain(&plain)).then_some(plain)
}

/// A line that no paragraph has: a directive, a field, a prompt, a rule, a row of a table.
fn is_markup(line: &str) -> bool {
    let marks = ["..", ":", ">>>", "$ ", "+-", "|", "%", "#:", "@"];
    let rule = line.len() > 2 && line.bytes().all(|byte| byte.is_ascii_punctuation());
    rule || marks.iter().any(|mark| line.starts_with(mark))
}

/// Without inline markup; none where a mark is not closed.
fn plain(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('`') {
        let (before, quoted) = rest.split_at(at);
        plain.push_str(without_role(before));
        let ticks = if quoted.starts_with("``") { "``" } else { "`" };
        let (inner, after) = quoted[ticks.len()..].split_once(ticks)?;
        plain.push_str(match ticks {
            "``" => inner,
            _ => title(inner),
        });
        rest = after.trim_start_matches('_');
    }
    plain.push_str(rest);
    Some(plain.replace("**", "").replace('*', "").replace("::", ":"))
}

/// What stands before a quoted text, without its role: `see :doc:` is `see `.
fn without_role(before: &str) -> &str {
    let word = before.rfind([' ', '(']).map_or(0, |at| at + 1);
    let role = &before[word..];
    if role.len() > 2 && role.starts_with(':') && role.ends_with(':') {
        &before[..word]
    } else {
        before
    }
}

/// The title of a reference: of `text <target>` the text, of `~a.b` the last name.
fn title(inner: &str) -> &str {
    match inner.split_once('<') {
        Some((text, _)) if !text.trim().is_empty() => text.trim(),
        _ => match inner.strip_prefix('~') {
            Some(path) => path.rsplit('.').next().unwrap_or(path),
            None => inner.trim_start_matches('!'),
        },
    }
}

fn is_plain(text: &str) -> bool {
    let plain = |c: &char| c.is_alphabetic() || " .,;'?!-\"()".contains(*c);
    let all = text.chars().count();
    text.chars().filter(plain).count() as f64 >= LEAST_PLAIN * all as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_stay_and_markup_goes() {
        let text = "\
Forms
=====

.. note::

    The :class:`~django.forms.Form` class has a ``clean()``
    method, see :doc:`its page </ref/forms>` for *more*.

>>> Form()

* Every item that ends as a sentence does is one, says `a page`_.

- a short item.

HTML forms are described in the chapter on ``templates``::
";
        assert_eq!(
            paragraphs(text),
            [
                "The Form class has a clean() method, see its page for more.",
                "Every item that ends as a sentence does is one, says a page.",
            ]
        );
    }

    #[test]
    fn code_and_tables_are_no_prose() {
        let code = "Result = {'a': [1, 2, 3], 'b': f(x)[0] == 4 and 5 < 6, 'c': 7.8 / 9.1}.";
        assert!(paragraphs(code).is_empty());
        assert!(paragraphs("Name   Value of the field that is here\n|  1  |  2  |").is_empty());
        assert!(paragraphs("An unclosed ``mark leaves the paragraph without an end.").is_empty());
    }
}
