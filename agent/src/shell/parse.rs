//! A line of the shell, read whole before any of it runs.

use super::builtin::Builtin;
use super::is_own;

/// Pipelines, and when each of them runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) pipelines: Vec<(Joint, Pipeline)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joint {
    Always,
    AfterSuccess,
    AfterFailure,
}

/// Commands, each of which reads the output of the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pipeline {
    pub(super) commands: Vec<Simple>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Simple {
    pub(super) words: Vec<Vec<Part>>,
    pub(super) input: Option<Vec<Part>>,
    pub(super) output: Option<Redirection>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Redirection {
    pub(super) path: Vec<Part>,
    pub(super) appends: bool,
}

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Variable {
        name: String,
        is_required: bool,
    },
    Output(Pipeline),
    /// Its result stays one word.
    Quoted(Box<Self>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(Vec<Part>),
    Joint(Joint),
    Pipe,
    Out {
        appends: bool,
    },
    /// Errors are dropped, or go to the output.
    Errors,
    In,
}

impl Line {
    /// Refuses a line that it cannot run, in one sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let tokens = Lexer::new(text).tokens()?;
        let mut pipelines = Vec::new();
        let mut joint = Joint::Always;
        let mut commands: Vec<Simple> = vec![Simple::default()];
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            let Some(current) = commands.last_mut() else {
                continue;
            };
            match token {
                Token::Word(parts) => current.words.push(parts),
                Token::Errors => {}
                Token::In | Token::Out { .. } => {
                    let Some(Token::Word(path)) = tokens.next() else {
                        return Err("a redirection leads nowhere".to_owned());
                    };
                    if let Token::Out { appends } = token {
                        current.output = Some(Redirection { path, appends });
                    } else {
                        current.input = Some(path);
                    }
                }
                Token::Pipe => commands.push(Simple::default()),
                Token::Joint(next) => {
                    let ended = std::mem::replace(&mut commands, vec![Simple::default()]);
                    let is_blank = ended == [Simple::default()] && next == Joint::Always;
                    // `&&` at the end of a line asks about the next one.
                    if !is_blank {
                        add(&mut pipelines, joint, ended)?;
                        joint = next;
                    }
                }
            }
        }
        if joint != Joint::Always || commands != [Simple::default()] {
            add(&mut pipelines, joint, commands)?;
        }
        Ok(Self { pipelines })
    }
}

fn add(
    pipelines: &mut Vec<(Joint, Pipeline)>,
    joint: Joint,
    commands: Vec<Simple>,
) -> Result<(), String> {
    for command in &commands {
        check(command)?;
    }
    pipelines.push((joint, Pipeline { commands }));
    Ok(())
}

/// Refuses commands that are not in this image. No command runs before all of them are checked.
fn check(command: &Simple) -> Result<(), String> {
    let Some([Part::Text(name), ..]) = command.words.first().map(Vec::as_slice) else {
        return match command.words.is_empty() {
            true => Err("a command is missing".to_owned()),
            false => Err("a command has no plain name".to_owned()),
        };
    };
    let base = name.rsplit('/').next().unwrap_or_default();
    if Builtin::named(base).is_some() || is_own(base) {
        Ok(())
    } else {
        Err(format!("`{name}` is not in this image"))
    }
}

struct Lexer<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            rest: text.chars().peekable(),
        }
    }

    fn tokens(mut self) -> Result<Vec<Token>, String> {
        let mut tokens = Vec::new();
        while let Some(&next) = self.rest.peek() {
            match next {
                ' ' | '\t' => drop(self.rest.next()),
                '\\' if self.joins_lines() => {}
                '#' => while self.rest.next_if(|c| *c != '\n').is_some() {},
                '\n' | ';' => {
                    self.rest.next();
                    tokens.push(Token::Joint(Joint::Always));
                }
                '&' => {
                    self.rest.next();
                    if self.rest.next_if_eq(&'&').is_none() {
                        return Err("`&` starts nothing in the background here".to_owned());
                    }
                    tokens.push(Token::Joint(Joint::AfterSuccess));
                }
                '|' => {
                    self.rest.next();
                    let is_or = self.rest.next_if_eq(&'|').is_some();
                    tokens.push(if is_or {
                        Token::Joint(Joint::AfterFailure)
                    } else {
                        Token::Pipe
                    });
                }
                '<' => {
                    self.rest.next();
                    tokens.push(Token::In);
                }
                '>' => tokens.push(self.out()),
                _ => tokens.push(self.word()?),
            }
        }
        Ok(tokens)
    }

    /// A backslash at the end of a line.
    fn joins_lines(&mut self) -> bool {
        let mut ahead = self.rest.clone();
        let joins = ahead.next() == Some('\\') && ahead.next() == Some('\n');
        if joins {
            self.rest = ahead;
        }
        joins
    }

    /// `>` and `>>`.
    fn out(&mut self) -> Token {
        self.rest.next();
        let appends = self.rest.next_if_eq(&'>').is_some();
        Token::Out { appends }
    }

    fn word(&mut self) -> Result<Token, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        while let Some(&next) = self.rest.peek() {
            match next {
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' => break,
                '>' if text == "2" && parts.is_empty() => {
                    self.errors()?;
                    return Ok(Token::Errors);
                }
                '>' if text == "1" && parts.is_empty() => return Ok(self.out()),
                '>' => break,
                '\\' if self.joins_lines() => {}
                '\\' => {
                    self.rest.next();
                    text.extend(self.rest.next());
                }
                '\'' => {
                    self.rest.next();
                    let mut quoted = String::new();
                    loop {
                        match self.rest.next() {
                            Some('\'') => break,
                            Some(c) => quoted.push(c),
                            None => return Err("a quote is not closed".to_owned()),
                        }
                    }
                    flush(&mut text, &mut parts);
                    parts.push(Part::Text(quoted));
                }
                '"' => {
                    self.rest.next();
                    flush(&mut text, &mut parts);
                    self.quoted(&mut parts)?;
                }
                '$' => {
                    self.rest.next();
                    flush(&mut text, &mut parts);
                    parts.push(self.dollar()?);
                }
                '`' | '(' | ')' | '*' | '?' | '[' => {
                    return Err(format!("`{next}` means nothing here"));
                }
                _ => {
                    text.push(next);
                    self.rest.next();
                }
            }
        }
        flush(&mut text, &mut parts);
        Ok(Token::Word(parts))
    }

    /// `2>&1` and `2>/dev/null`.
    fn errors(&mut self) -> Result<(), String> {
        let rest: String = std::iter::from_fn(|| {
            self.rest
                .next_if(|c| !c.is_whitespace() && !matches!(c, ';' | '|'))
        })
        .collect();
        match rest.as_str() {
            ">&1" | ">/dev/null" => Ok(()),
            _ => Err(format!("`2{rest}` is not a place for errors here")),
        }
    }

    fn quoted(&mut self, parts: &mut Vec<Part>) -> Result<(), String> {
        let mut text = String::new();
        loop {
            match self.rest.next() {
                None => return Err("a quote is not closed".to_owned()),
                Some('"') => break,
                Some('`') => return Err("``` means nothing here".to_owned()),
                Some('\\') => match self.rest.next() {
                    Some('\n') => {}
                    Some(c @ ('"' | '\\' | '$' | '`')) => text.push(c),
                    Some(c) => text.extend(['\\', c]),
                    None => {}
                },
                Some('$') => {
                    flush(&mut text, parts);
                    let part = self.dollar()?;
                    parts.push(Part::Quoted(Box::new(part)));
                }
                Some(c) => text.push(c),
            }
        }
        parts.push(Part::Text(text));
        Ok(())
    }

    /// The part that follows a `$`.
    fn dollar(&mut self) -> Result<Part, String> {
        match self.rest.peek() {
            Some('(') => {
                self.rest.next();
                self.output()
            }
            Some('{') => {
                self.rest.next();
                let inside: String =
                    std::iter::from_fn(|| self.rest.next_if(|c| *c != '}')).collect();
                if self.rest.next().is_none() {
                    return Err("a variable is not closed".to_owned());
                }
                let (name, is_required) = match inside.strip_suffix('?') {
                    Some(name) => (name.trim_end_matches(':'), true),
                    None => (inside.as_str(), false),
                };
                if !is_name(name) {
                    return Err(format!("`${{{inside}}}` is not a plain variable"));
                }
                let name = name.to_owned();
                Ok(Part::Variable { name, is_required })
            }
            _ => {
                let name: String = std::iter::from_fn(|| {
                    self.rest
                        .next_if(|c| c.is_ascii_alphanumeric() || *c == '_')
                })
                .collect();
                if !is_name(&name) {
                    return Err(format!("`${name}` is not a plain variable"));
                }
                Ok(Part::Variable {
                    name,
                    is_required: false,
                })
            }
        }
    }

    fn output(&mut self) -> Result<Part, String> {
        let mut depth = 1;
        let mut inside = String::new();
        for c in self.rest.by_ref() {
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            inside.push(c);
        }
        if depth > 0 {
            return Err("a `$(` is not closed".to_owned());
        }
        let line = Line::parse(&inside)?;
        match <[_; 1]>::try_from(line.pipelines) {
            Ok([(_, pipeline)]) => Ok(Part::Output(pipeline)),
            Err(_) => Err("`$(…)` holds one command here".to_owned()),
        }
    }
}

fn flush(text: &mut String, parts: &mut Vec<Part>) {
    if !text.is_empty() {
        parts.push(Part::Text(std::mem::take(text)));
    }
}

fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    let first = characters.next();
    first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_injected_pods_say_is_understood() {
        for line in [
            "echo ${VAULT_CONFIG?} | base64 -d > /home/vault/config.json && vault agent -config=/home/vault/config.json",
            "touch /home/vault/.vault-token && vault agent -config=/vault/configs/config-init.hcl",
            "/bin/sleep 5 && /bin/vault token revoke -address=http://vault:8200 -self",
            "kill -HUP $(pidof nginx)",
            "kill -s HUP \"$(cat /run/app.pid)\" 2>/dev/null || true",
            "/bin/sh -c 'kill -HUP $(pidof nginx)'",
            "# Tell it.\n\nkill -HUP \\\n  $(pidof nginx) ||\n\n  true # It was not there.\n",
            "pidof app | xargs-is-not-here; true",
        ] {
            let parsed = Line::parse(line);

            assert_eq!(parsed.is_ok(), !line.contains("xargs"), "{parsed:?}");
        }
    }

    #[test]
    fn what_it_cannot_do_is_refused_in_a_sentence() {
        for (line, message) in [
            ("curl http://x", "`curl` is not in this image"),
            ("echo a && rm -rf /", "`rm` is not in this image"),
            ("echo a &", "`&` starts nothing in the background here"),
            ("echo *", "`*` means nothing here"),
            ("echo `date`", "``` means nothing here"),
            ("echo \"`date`\"", "``` means nothing here"),
            ("&& echo a", "a command is missing"),
            ("echo a &&", "a command is missing"),
            ("echo a || && echo b", "a command is missing"),
            ("echo $(date)", "`date` is not in this image"),
            ("echo 'a", "a quote is not closed"),
            ("echo ${A:-b}", "`${A:-b}` is not a plain variable"),
            ("$CMD x", "a command has no plain name"),
            ("echo a >", "a redirection leads nowhere"),
        ] {
            assert_eq!(Line::parse(line).unwrap_err(), message, "{line}");
        }
    }
}
