//! Quoted strings and heredocs.

/// Reads a quoted string at the start of `text`; gives its value and its length with quotes.
///
/// Inside `${ … }` the text stays as it is, quotes and all: version 1 leaves it to the program.
pub(super) fn quoted(text: &str) -> Result<(String, usize), &'static str> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    let mut braces = 0_usize;
    while let Some((index, character)) = characters.next() {
        match character {
            '$' if braces == 0 && text[index + 1..].starts_with('{') => {
                characters.next();
                braces = 1;
                value.push_str("${");
            }
            _ if braces > 0 => {
                match character {
                    '{' => braces += 1,
                    '}' => braces -= 1,
                    _ => {}
                }
                value.push(character);
            }
            '"' => return Ok((value, index + 1)),
            '\n' => return Err("string is not closed on its line"),
            '\\' => {
                let (_, escape) = characters.next().ok_or("string is not closed")?;
                value.push(unescape(escape, &mut characters)?);
            }
            _ => value.push(character),
        }
    }
    Err("string is not closed")
}

fn unescape(
    escape: char,
    characters: &mut std::iter::Peekable<impl Iterator<Item = (usize, char)>>,
) -> Result<char, &'static str> {
    match escape {
        'a' => Ok('\u{7}'),
        'b' => Ok('\u{8}'),
        'f' => Ok('\u{c}'),
        'n' => Ok('\n'),
        'r' => Ok('\r'),
        't' => Ok('\t'),
        'v' => Ok('\u{b}'),
        '\\' | '"' => Ok(escape),
        'x' => code_point(characters, 16, 2, 0),
        'u' => code_point(characters, 16, 4, 0),
        'U' => code_point(characters, 16, 8, 0),
        '0'..='3' => code_point(characters, 8, 2, escape.to_digit(8).unwrap_or(0)),
        _ => Err("unknown escape in a string"),
    }
}

fn code_point(
    characters: &mut std::iter::Peekable<impl Iterator<Item = (usize, char)>>,
    radix: u32,
    digits: usize,
    first: u32,
) -> Result<char, &'static str> {
    let mut code = first;
    for _ in 0..digits {
        let digit = characters
            .next_if(|(_, c)| c.is_digit(radix))
            .and_then(|(_, c)| c.to_digit(radix))
            .ok_or("escape in a string has too few digits")?;
        code = code
            .checked_mul(radix)
            .and_then(|code| code.checked_add(digit))
            .ok_or("escape in a string is not a character")?;
    }
    char::from_u32(code).ok_or("escape in a string is not a character")
}

/// Blanks that may stand before the marker that closes a heredoc.
const BLANKS: [char; 5] = [' ', '\t', '\r', '\u{b}', '\u{c}'];

/// Reads `<<EOF` or `<<-EOF` at the start of `text`, up to the line that holds only the marker.
///
/// The indented form takes off the closing marker's indentation, if every line has it; in the other it belongs to the
/// text.
pub(super) fn heredoc(text: &str) -> Result<(String, usize), &'static str> {
    let after = text.strip_prefix("<<").ok_or("unexpected character '<'")?;
    let (indented, after) = match after.strip_prefix('-') {
        Some(after) => (true, after),
        None => (false, after),
    };
    let (marker, _) = after
        .split_once('\n')
        .ok_or("heredoc has no line after its marker")?;
    let body_start = text.len() - after.len() + marker.len() + 1;
    let marker = marker.strip_suffix('\r').unwrap_or(marker);
    if marker.is_empty() || !marker.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Err("heredoc marker is not a word");
    }

    let mut position = body_start;
    for line in text[body_start..].split_inclusive('\n') {
        let blank = line.len() - line.trim_start_matches(BLANKS).len();
        let (indentation, rest) = line.split_at(blank);
        let is_end = rest
            .strip_prefix(marker)
            .is_some_and(|rest| rest.trim_end_matches(['\r', '\n']).is_empty());
        if is_end {
            // As if the file had been written elsewhere.
            let body = text[body_start..position].replace("\r\n", "\n");
            let value = if indented {
                unindent(&body, indentation)
            } else {
                // Blanks before the marker belong to the text.
                body + indentation
            };
            return Ok((value, position + blank + marker.len()));
        }
        position += line.len();
    }
    Err("heredoc is not closed")
}

fn unindent(body: &str, indentation: &str) -> String {
    if !body
        .split_inclusive('\n')
        .all(|line| line.starts_with(indentation))
    {
        return body.to_owned();
    }
    body.split_inclusive('\n')
        .map(|line| &line[indentation.len()..])
        .collect()
}
