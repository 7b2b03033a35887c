//! Directives, anchors, aliases and tags.

use super::{Scanned, Scanner, Token, is_blank, is_blank_or_end, is_break, is_word};

impl Scanner {
    pub(super) fn directive(&mut self) -> Scanned {
        let mark = self.mark;
        self.pass();
        let name = self.run(is_word);
        if name.is_empty() {
            return Err(self.error("could not find expected directive name"));
        }
        if !is_blank_or_end(self.at(0)) {
            return Err(self.error("found unexpected non-alphabetical character"));
        }
        let token = match name.as_str() {
            "YAML" => {
                self.run(is_blank);
                let major = self.version_number()?;
                if self.at(0) != '.' {
                    return Err(self.error("did not find expected digit or '.' character"));
                }
                self.pass();
                Token::Version(major, self.version_number()?)
            }
            "TAG" => {
                self.run(is_blank);
                let handle = self.tag_handle(true)?;
                if !is_blank(self.at(0)) {
                    return Err(self.error("did not find expected whitespace"));
                }
                self.run(is_blank);
                let prefix = self.tag_uri("")?;
                if !is_blank_or_end(self.at(0)) {
                    return Err(self.error("did not find expected whitespace or line break"));
                }
                Token::TagDirective(handle, prefix)
            }
            _ => return Err(self.error("found unknown directive name")),
        };
        self.line_end()?;
        self.push(token, mark);
        Ok(())
    }

    /// Only blanks and a comment may stand before the line's end.
    pub(super) fn line_end(&mut self) -> Scanned {
        self.run(is_blank);
        if self.at(0) == '#' {
            self.pass_comment();
        }
        if is_break(self.at(0)) {
            self.pass_line();
        } else if self.at(0) != '\0' {
            return Err(self.error("did not find expected comment or line break"));
        }
        Ok(())
    }

    fn version_number(&mut self) -> Scanned<u32> {
        const LONGEST: usize = 2;
        let mut digits = String::new();
        while self.at(0).is_ascii_digit() {
            if digits.len() == LONGEST {
                return Err(self.error("found extremely long version number"));
            }
            self.take(&mut digits);
        }
        digits
            .parse()
            .map_err(|_| self.error("did not find expected version number"))
    }

    pub(super) fn name(&mut self, is_alias: bool) -> Scanned {
        let mark = self.mark;
        self.pass();
        let name = self.run(is_word);
        let next = self.at(0);
        if name.is_empty() || !is_blank_or_end(next) && !"?:,]}%@`".contains(next) {
            return Err(self.error("did not find expected alphabetic or numeric character"));
        }
        let token = if is_alias {
            Token::Alias(name)
        } else {
            Token::Anchor(name)
        };
        self.push(token, mark);
        Ok(())
    }

    pub(super) fn tag(&mut self) -> Scanned {
        let mark = self.mark;
        let (handle, suffix) = if self.at(1) == '<' {
            self.pass();
            self.pass();
            let suffix = self.tag_uri("")?;
            if self.at(0) != '>' {
                return Err(self.error("did not find the expected '>'"));
            }
            self.pass();
            (String::new(), suffix)
        } else {
            let handle = self.tag_handle(false)?;
            if handle.len() > 1 && handle.ends_with('!') {
                let suffix = self.tag_uri("")?;
                (handle, suffix)
            } else {
                match self.tag_uri(&handle)? {
                    suffix if suffix.is_empty() => (suffix, "!".to_owned()),
                    suffix => ("!".to_owned(), suffix),
                }
            }
        };
        if !is_blank_or_end(self.at(0)) {
            return Err(self.error("did not find expected whitespace or line break"));
        }
        self.push(Token::Tag(handle, suffix), mark);
        Ok(())
    }

    fn tag_handle(&mut self, is_directive: bool) -> Scanned<String> {
        if self.at(0) != '!' {
            return Err(self.error("did not find expected '!'"));
        }
        let mut handle = String::new();
        self.take(&mut handle);
        while is_word(self.at(0)) {
            self.take(&mut handle);
        }
        if self.at(0) == '!' {
            self.take(&mut handle);
        } else if is_directive && handle != "!" {
            return Err(self.error("did not find expected '!'"));
        }
        Ok(handle)
    }

    /// The rest of a tag behind a handle; the handle itself is a part of it if it is none.
    fn tag_uri(&mut self, head: &str) -> Scanned<String> {
        let mut bytes: Vec<u8> = head.bytes().skip(1).collect();
        let mut has_any = !head.is_empty();
        loop {
            let c = self.at(0);
            if c == '%' {
                self.uri_escape(&mut bytes)?;
            } else if is_word(c) || ";/?:@&=+$,.!~*'()[]".contains(c) {
                let mut one = String::new();
                self.take(&mut one);
                bytes.extend_from_slice(one.as_bytes());
            } else {
                break;
            }
            has_any = true;
        }
        if !has_any {
            return Err(self.error("did not find expected tag URI"));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn uri_escape(&mut self, out: &mut Vec<u8>) -> Scanned {
        let (high, low) = (self.at(1).to_digit(16), self.at(2).to_digit(16));
        let (Some(high), Some(low)) = (high, low) else {
            return Err(self.error("did not find URI escaped octet"));
        };
        out.push((high << 4 | low) as u8);
        (0..3).for_each(|_| self.pass());
        Ok(())
    }
}
