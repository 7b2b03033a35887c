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

/// A path whose percent escapes are resolved, or the path itself if they hide no UTF-8.
#[must_use]
pub fn percent_decoded(path: &str) -> String {
    String::from_utf8(percent_decoded_bytes(path)).unwrap_or_else(|_| path.to_owned())
}

/// The bytes behind percent escapes; what is no escape stays.
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
