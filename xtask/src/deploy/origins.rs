//! The list of pages of other origins that may call a deployment.

/// What is wrong with an `ALLOWED_ORIGINS`; `strict` where only pages that nobody on the way can
/// change may be listed.
pub(super) fn problems(list: &str, strict: bool) -> Vec<String> {
    let origins = list.split(',').map(str::trim);
    origins
        .filter(|origin| !list.trim().is_empty() || !origin.is_empty())
        .filter_map(|origin| problem(origin, strict).map(|why| format!("`{origin}` {why}")))
        .collect()
}

fn problem(origin: &str, strict: bool) -> Option<&'static str> {
    if origin.is_empty() {
        return Some("is empty: a comma too many");
    }
    if origin.contains('*') {
        return Some("has a wildcard: list each origin by itself");
    }
    if origin == "null" {
        return Some("is what sandboxed pages and files send: any page can be that");
    }
    let Some((scheme, host)) = origin.split_once("://") else {
        return Some("is no origin: write https://host");
    };
    if host.ends_with('/') {
        return Some("ends with a slash: browsers send an origin without one");
    }
    if host.contains(['/', '?', '#', '@']) {
        return Some("has more than scheme, host and port");
    }
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Some("has no host that a browser could send");
    }
    if origin.chars().any(|letter| letter.is_ascii_uppercase()) {
        return Some("has capitals: browsers send an origin in lower case");
    }
    if scheme == "https" && host.ends_with(":443") || scheme == "http" && host.ends_with(":80") {
        return Some("names its scheme's own port: browsers leave that out");
    }
    match scheme {
        "https" => None,
        "chrome-extension" if is_extension_id(host) => None,
        "chrome-extension" => Some("has no extension's id: 32 letters from a to p"),
        "http" if !strict => None,
        "http" => Some("is not https: anyone on the way could be that page"),
        _ => Some("has a scheme that no page has: https, or chrome-extension"),
    }
}

fn is_extension_id(host: &str) -> bool {
    host.len() == 32 && host.bytes().all(|letter| (b'a'..=b'p').contains(&letter))
}

#[cfg(test)]
mod tests {
    use super::problems;

    #[test]
    fn origins_as_browsers_send_them_are_fine() {
        let good = "https://a.example, https://b.example:8443,chrome-extension://abcdefghijklmnopabcdefghijklmnop";
        for list in ["", " ", "https://a.example", good] {
            assert_eq!(problems(list, true), Vec::<String>::new(), "{list}");
        }
        assert!(problems("http://127.0.0.1:8000", false).is_empty());
    }

    #[test]
    fn each_bad_origin_is_named_with_the_reason() {
        for (list, reason) in [
            ("https://a.example/", "slash"),
            ("https://*.example", "wildcard"),
            ("*", "wildcard"),
            ("null", "sandboxed"),
            ("a.example", "no origin"),
            ("http://a.example", "not https"),
            ("https://a.example/page", "more than"),
            ("https://A.example", "capitals"),
            ("https://a.example:443", "own port"),
            ("https://", "no host"),
            ("ftp://a.example", "scheme"),
            ("chrome-extension://short", "extension's id"),
            ("https://a.example,", "comma"),
        ] {
            let found = problems(list, true);
            assert!(
                found.len() == 1 && found[0].contains(reason),
                "{list}: {found:?}"
            );
        }
    }
}
