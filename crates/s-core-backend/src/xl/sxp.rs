//! S-expressions as `xm` prints them, read piece by piece: no tree is built.

use std::borrow::Cow;

use super::ParseError;
use super::error::{check_length, shortened};

/// The deepest nesting that is read; `xm list -l` has six levels.
const DEEPEST: usize = 64;

/// What stands next.
enum Token<'a> {
    Open,
    Close,
    Atom(Cow<'a, str>),
}

/// Where a reader is, and what it finds there.
#[derive(Debug, PartialEq)]
pub(super) enum Piece<'a> {
    /// A list begins, whose first atom is the last of the path.
    List,
    /// An atom behind the first of the innermost list.
    Value(&'a str),
    /// The list ends whose first atom is the last of the path.
    End,
}

/// Calls `each` with the first atoms of all lists that are open, the line from 1, and what stands there.
///
/// # Errors
///
/// [`ParseError`] if the text is too long, not made of lists, or too deep; and what `each` returns.
pub(super) fn read(
    text: &str,
    mut each: impl FnMut(&[String], usize, Piece<'_>) -> Result<(), ParseError>,
) -> Result<(), ParseError> {
    check_length(text)?;
    let mut tokens = Tokens {
        rest: text,
        line: 1,
    };
    let mut path: Vec<String> = Vec::new();
    // How many lists of the path have had their first atom: all, or all but the innermost ones.
    let mut open = 0;
    while let Some(token) = tokens.next()? {
        let line = tokens.line;
        let wrong = |message: &str| ParseError::Sxp {
            line,
            message: message.to_owned(),
        };
        match token {
            Token::Open if open == DEEPEST => return Err(wrong("lists are nested too deeply")),
            Token::Open => {
                // A list that begins with a list has no name.
                if path.len() < open {
                    path.push(String::new());
                    each(&path, line, Piece::List)?;
                }
                open += 1;
            }
            Token::Close if open == 0 => return Err(wrong("a parenthesis too many")),
            Token::Close => {
                if path.len() == open {
                    each(&path, line, Piece::End)?;
                    path.pop();
                }
                open -= 1;
            }
            Token::Atom(atom) if open == 0 => {
                let found = shortened(&atom);
                return Err(wrong(&format!("{found:?} stands outside of all lists")));
            }
            Token::Atom(atom) if path.len() < open => {
                path.push(atom.into_owned());
                each(&path, line, Piece::List)?;
            }
            Token::Atom(atom) => each(&path, line, Piece::Value(&atom))?,
        }
    }
    if open > 0 {
        return Err(ParseError::Sxp {
            line: tokens.line,
            message: "the text ends within a list".to_owned(),
        });
    }
    Ok(())
}

struct Tokens<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Result<Option<Token<'a>>, ParseError> {
        let trimmed = self.rest.trim_start();
        let (blank, _) = self.rest.split_at(self.rest.len() - trimmed.len());
        self.line += blank.matches('\n').count();
        let Some(first) = trimmed.chars().next() else {
            return Ok(None);
        };
        self.rest = &trimmed[first.len_utf8()..];
        Ok(Some(match first {
            '(' => Token::Open,
            ')' => Token::Close,
            '\'' | '"' => Token::Atom(self.quoted(first)?),
            _ => {
                let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')');
                let end = trimmed.find(ends).unwrap_or(trimmed.len());
                let (atom, rest) = trimmed.split_at(end);
                self.rest = rest;
                Token::Atom(atom.into())
            }
        }))
    }

    /// Up to the next `quote`; a backslash takes what it stands before as it is.
    fn quoted(&mut self, quote: char) -> Result<Cow<'a, str>, ParseError> {
        let (begun, mut escaped, mut escapes) = (self.line, false, false);
        for (at, c) in self.rest.char_indices() {
            self.line += usize::from(c == '\n');
            match c {
                _ if escaped => escaped = false,
                '\\' => (escaped, escapes) = (true, true),
                c if c == quote => {
                    let (atom, rest) = self.rest.split_at(at);
                    self.rest = &rest[quote.len_utf8()..];
                    return Ok(if escapes {
                        unescaped(atom).into()
                    } else {
                        atom.into()
                    });
                }
                _ => {}
            }
        }
        Err(ParseError::Sxp {
            line: begun,
            message: "a quotation does not end".to_owned(),
        })
    }
}

fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}
