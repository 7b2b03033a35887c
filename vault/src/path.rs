//! Paths as Go's client of Vault reads and joins them.

/// The shortest path of the same meaning, as Go's `path.Clean` says.
#[must_use]
pub fn clean(path: &str) -> String {
    String::from_utf8_lossy(&clean_bytes(path.as_bytes())).into_owned()
}

/// [`clean`] of any bytes.
#[must_use]
pub fn clean_bytes(path: &[u8]) -> Vec<u8> {
    let is_rooted = path.starts_with(b"/");
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| *last != b"..") => {
                kept.pop();
            }
            b".." if is_rooted => {}
            _ => kept.push(part),
        }
    }
    let rest = kept.join(&b'/');
    match (is_rooted, rest.is_empty()) {
        (true, _) => [b"/", &rest[..]].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => rest,
    }
}

/// The namespaces that a path names in front of an auth method, with the slash at their end. None may be called `auth`.
#[must_use]
pub fn before_auth(path: &str) -> Option<&str> {
    let path = path.trim_start_matches('/');
    if path.starts_with("auth/") {
        return None;
    }
    let at = path.find("/auth/")?;
    Some(&path[..=at])
}

/// A path whose percent escapes are resolved, or the path itself if they hide no UTF-8.
#[must_use]
pub fn percent_decoded(path: &str) -> String {
    String::from_utf8(percent_decoded_bytes(path)).unwrap_or_else(|_| path.to_owned())
}

/// The bytes behind percent escapes; all other bytes stay.
#[must_use]
pub fn percent_decoded_bytes(path: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let hex = |at: usize| tail.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        match (byte, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                rest = &tail[2..];
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespaces_in_front_of_an_auth_method_are_told_from_its_own_path() {
        for (path, namespaces) in [
            ("auth/token/create", None),
            ("/auth/token/create", None),
            ("auth/team/auth/login", None),
            ("author/creds/ro", None),
            ("team/auth/token/create", Some("team/")),
            ("/team/unit/auth/approle/login", Some("team/unit/")),
            ("team/auth/people/auth/login", Some("team/")),
        ] {
            assert_eq!(before_auth(path), namespaces, "{path}");
        }
    }
}
