//! The grammar: text → tree. Nothing here knows what a field holds.
//!
//! A word ends at the next of `( ) & | ,` and is kept percent-encoded, so that every encoded character is data. Less
//! obvious rules of persvr/rql that hold here, too: `&`, `|` and `,` separate conditions, and after a `)` the separator
//! may be missing (the SDK's builder can swallow it when it replaces a `limit`); empty conditions are ignored; `&` and `|`
//! cannot be mixed within a group; `%3C`, `%3E` and `%7C` stand for `<`, `>` and `|` where those are allowed, because
//! clients (the SDK, too) encode them. Not supported: arrays written with slashes, and `$1` parameters.

use winnow::{
    LocatingSlice, Parser, Result,
    error::ParserError,
    stream::{Location, Stateful, Stream},
    token::{literal, take_while},
};

use super::{Comparison, MAX_DEPTH, MAX_TERMS};

#[cfg(test)]
mod tests;

/// A part of the text, still percent-encoded, and its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    pub at: usize,
    pub text: &'a str,
}

/// One operator with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Term<'a> {
    And(Vec<Term<'a>>),
    Or {
        at: usize,
        terms: Vec<Term<'a>>,
    },
    Compare {
        field: Word<'a>,
        op: Comparison,
        value: Word<'a>,
    },
    In {
        field: Word<'a>,
        values: Vec<Word<'a>>,
        negated: bool,
    },
    Like {
        field: Word<'a>,
        value: Word<'a>,
    },
    Contains {
        field: Word<'a>,
        conditions: Vec<Term<'a>>,
        negated: bool,
    },
    /// A value without an operator: within `contains` and `excludes`, what an element equals.
    Bare(Word<'a>),
    Sort {
        at: usize,
        keys: Vec<Word<'a>>,
    },
    Select {
        at: usize,
        fields: Vec<Word<'a>>,
    },
    Limit {
        at: usize,
        limit: Word<'a>,
        offset: Option<Word<'a>>,
    },
    SkipCount {
        at: usize,
    },
}

/// What is wrong with a query, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub at: usize,
    pub message: String,
}

impl Fault {
    pub fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

impl<'a> ParserError<Input<'a>> for Fault {
    type Inner = Self;

    fn from_input(input: &Input<'a>) -> Self {
        Self::new(input.current_token_start(), format!("unexpected {}", next_char(input)))
    }

    fn into_inner(self) -> std::result::Result<Self, Self> {
        Ok(self)
    }
}

/// How much has been read so far, checked against the limits of a query.
#[derive(Clone, Copy, Debug, Default)]
struct Effort {
    depth: usize,
    terms: usize,
}

type Input<'a> = Stateful<LocatingSlice<&'a str>, Effort>;
type Parsed<T> = Result<T, Fault>;

/// Reads a whole query.
pub(super) fn parse(text: &str) -> Parsed<Vec<Term<'_>>> {
    let mut input = Input { input: LocatingSlice::new(text), state: Effort::default() };
    let group = conditions(&mut input, None, Place::Record)?;
    match input.peek_token() {
        None => Ok(match group.join {
            Join::And => group.terms,
            Join::Or => vec![Term::Or { at: 0, terms: group.terms }],
        }),
        Some(_) => Err(Fault::new(input.current_token_start(), "this ')' has no matching '('")),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Join {
    And,
    Or,
}

/// What conditions apply to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Record,
    /// An element of a list, within `contains` and `excludes`. It may be compared with a value alone.
    Element,
}

struct Group<'a> {
    join: Join,
    terms: Vec<Term<'a>>,
}

/// Conditions up to a `)` or the end, neither of which is consumed. They are joined as given, or else by the separator
/// between them.
fn conditions<'a>(input: &mut Input<'a>, fixed: Option<Join>, place: Place) -> Parsed<Group<'a>> {
    let mut join = fixed;
    let mut terms = Vec::new();
    loop {
        let at = input.current_token_start();
        let separator = match input.peek_token() {
            None | Some(')') => return Ok(Group { join: join.unwrap_or(Join::And), terms }),
            Some(',') => Some(None),
            Some('&') => Some(Some(Join::And)),
            Some('|') => Some(Some(Join::Or)),
            Some('%') if starts_with_pipe(input) => {
                // The `|` itself is consumed below; first the two more characters of its encoded form.
                input.next_slice(2);
                Some(Some(Join::Or))
            }
            Some(_) => None,
        };
        match separator {
            Some(wanted) => {
                input.next_token();
                if wanted.is_some() && join.is_some() && wanted != join {
                    return Err(Fault::new(
                        at,
                        "'&' and '|' cannot be mixed within a group: put parentheses around each set",
                    ));
                }
                join = join.or(wanted);
            }
            None => terms.push(term(input, place)?),
        }
    }
}

fn term<'a>(input: &mut Input<'a>, place: Place) -> Parsed<Term<'a>> {
    let at = input.current_token_start();
    let word = name(input)?;
    match input.peek_token() {
        Some('(') if word.text.is_empty() => {
            let group = nested(input, |input| conditions(input, None, place))?;
            Ok(match group.join {
                Join::And => Term::And(group.terms),
                Join::Or => Term::Or { at, terms: group.terms },
            })
        }
        Some('(') => nested(input, |input| call(input, word, place)),
        Some('=' | '<' | '>' | '!' | '%') => shorthand(input, word),
        _ if place == Place::Element => {
            count(input)?;
            count(input)?;
            Ok(Term::Bare(word))
        }
        _ => Err(Fault::new(
            at,
            format!("expected a condition such as eq(field,value) or field=value, found '{}'", shorten(word.text)),
        )),
    }
}

const OPERATORS: &str =
    "eq, ne, gt, ge, lt, le, in, out, like, contains, excludes, and, or, sort, limit, select, skipCount";

fn call<'a>(input: &mut Input<'a>, operator: Word<'a>, place: Place) -> Parsed<Term<'a>> {
    let at = operator.at;
    if let Some(op) = comparison(operator.text) {
        let field = field(input)?;
        comma(input, "a value")?;
        count(input)?;
        return Ok(Term::Compare { field, op, value: value(input)? });
    }
    match operator.text {
        "and" => Ok(Term::And(conditions(input, Some(Join::And), place)?.terms)),
        "or" => Ok(Term::Or { at, terms: conditions(input, Some(Join::Or), place)?.terms }),
        "in" | "out" => {
            let field = field(input)?;
            comma(input, "values")?;
            count(input)?;
            Ok(Term::In { field, values: array_or_list(input)?, negated: operator.text == "out" })
        }
        "like" => {
            let field = field(input)?;
            comma(input, "a string")?;
            count(input)?;
            Ok(Term::Like { field, value: value(input)? })
        }
        "contains" | "excludes" => {
            let field = field(input)?;
            count(input)?;
            let conditions = match input.peek_token() {
                Some(',') => {
                    input.next_token();
                    conditions(input, Some(Join::And), Place::Element)?.terms
                }
                _ => Vec::new(),
            };
            Ok(Term::Contains { field, conditions, negated: operator.text == "excludes" })
        }
        "sort" => Ok(Term::Sort { at, keys: words(input) }),
        "select" => Ok(Term::Select { at, fields: words(input) }),
        "limit" => {
            let mut numbers = words(input).into_iter();
            match (numbers.next(), numbers.next(), numbers.next()) {
                (Some(limit), offset, None) => Ok(Term::Limit { at, limit, offset }),
                _ => Err(Fault::new(at, "expected limit(number) or limit(number,offset)")),
            }
        }
        "skipCount" => Ok(Term::SkipCount { at }),
        unknown => {
            Err(Fault::new(at, format!("unknown operator '{}'; the operators are {OPERATORS}", shorten(unknown))))
        }
    }
}

/// `field=value` and similar; also `field=ge=value` for every operator that takes a field and values.
fn shorthand<'a>(input: &mut Input<'a>, field: Word<'a>) -> Parsed<Term<'a>> {
    let at = input.current_token_start();
    if field.text.is_empty() {
        return Err(Fault::new(at, "expected the name of a field before the operator"));
    }
    count(input)?;
    let op = match operator_sign(input) {
        Some("==") => Comparison::Eq,
        Some("!=") => Comparison::Ne,
        Some("<") => Comparison::Lt,
        Some("<=") => Comparison::Le,
        Some(">") => Comparison::Gt,
        Some(">=") => Comparison::Ge,
        Some(_) => match named_sign(input) {
            None => Comparison::Eq,
            Some(name) => match (name, comparison(name)) {
                (_, Some(op)) => op,
                ("in" | "out", _) => {
                    return Ok(Term::In { field, values: array_or_value(input)?, negated: name == "out" });
                }
                ("like", _) => return Ok(Term::Like { field, value: shorthand_value(input)? }),
                _ => {
                    let name = shorten(name);
                    return Err(Fault::new(
                        at,
                        format!("unknown operator '={name}='; a '=' in a value is written %3D"),
                    ));
                }
            },
        },
        None => return Err(Fault::new(at, "expected one of the operators = == != < <= > >=")),
    };
    Ok(Term::Compare { field, op, value: shorthand_value(input)? })
}

/// A value without a closing parenthesis. An encoded `|` ends it like a plain one, because the SDK's HTTP client encodes
/// them.
fn shorthand_value<'a>(input: &mut Input<'a>) -> Parsed<Word<'a>> {
    let start = input.checkpoint();
    let word = value(input)?;
    match ["%7C", "%7c"].into_iter().filter_map(|pipe| word.text.find(pipe)).min() {
        Some(end) => {
            input.reset(&start);
            Ok(Word { at: word.at, text: input.next_slice(end) })
        }
        None => Ok(word),
    }
}

/// The longest sign at this position.
fn operator_sign(input: &mut Input<'_>) -> Option<&'static str> {
    // Longer ones first, and each sign in every encoding that clients use: `>=` fully, half, or not encoded.
    const SIGNS: [(&str, &str); 17] = [
        ("%3C%3D", "<="),
        ("%3c%3d", "<="),
        ("%3E%3D", ">="),
        ("%3e%3d", ">="),
        ("==", "=="),
        ("!=", "!="),
        ("<=", "<="),
        (">=", ">="),
        ("%3C=", "<="),
        ("%3c=", "<="),
        ("%3E=", ">="),
        ("%3e=", ">="),
        ("=", "="),
        ("<", "<"),
        (">", ">"),
        ("%3C", "<"),
        ("%3c", "<"),
    ];
    let rest: &str = &input.input;
    let (sign, meaning) =
        SIGNS.into_iter().chain([("%3E", ">"), ("%3e", ">")]).find(|(sign, _)| rest.starts_with(sign))?;
    input.next_slice(sign.len());
    Some(meaning)
}

/// The rest of a sign such as `=ge=`, after its first `=`.
fn named_sign<'a>(input: &mut Input<'a>) -> Option<&'a str> {
    let start = input.checkpoint();
    let name: Parsed<&str> = take_while(1.., |c: char| c.is_ascii_alphanumeric() || c == '_').parse_next(input);
    match (name, input.peek_token()) {
        (Ok(name), Some('=')) => {
            input.next_token();
            Some(name)
        }
        _ => {
            input.reset(&start);
            None
        }
    }
}

fn comparison(name: &str) -> Option<Comparison> {
    match name {
        "eq" => Some(Comparison::Eq),
        "ne" => Some(Comparison::Ne),
        "gt" => Some(Comparison::Gt),
        "ge" => Some(Comparison::Ge),
        "lt" => Some(Comparison::Lt),
        "le" => Some(Comparison::Le),
        _ => None,
    }
}

/// `(`, the content, `)`.
fn nested<'a, T>(input: &mut Input<'a>, within: impl FnOnce(&mut Input<'a>) -> Parsed<T>) -> Parsed<T> {
    let opened = input.current_token_start();
    input.next_token();
    if input.state.depth >= MAX_DEPTH {
        return Err(Fault::new(opened, format!("nested deeper than {MAX_DEPTH} parentheses")));
    }
    input.state.depth += 1;
    let found = within(input)?;
    input.state.depth -= 1;
    let at = input.current_token_start();
    match input.next_token() {
        Some(')') => Ok(found),
        None => Err(Fault::new(at, format!("expected ')' for the '(' at character {}, found the end", opened + 1))),
        Some(found) => Err(Fault::new(at, format!("expected ')', found '{found}'"))),
    }
}

fn field<'a>(input: &mut Input<'a>) -> Parsed<Word<'a>> {
    let field = word(input);
    if field.text.is_empty() { Err(Fault::new(field.at, "expected the name of a field")) } else { Ok(field) }
}

fn comma(input: &mut Input<'_>, what: &str) -> Parsed<()> {
    let at = input.current_token_start();
    let found = next_char(input);
    let comma: Parsed<_> = literal(",").parse_next(input);
    comma.map(drop).map_err(|_| Fault::new(at, format!("expected ',' and {what}, found {found}")))
}

/// `(a,b)` or `a,b`.
fn array_or_list<'a>(input: &mut Input<'a>) -> Parsed<Vec<Word<'a>>> {
    if input.peek_token() == Some('(') { nested(input, array) } else { list(input) }
}

/// `(a,b)` or `a`.
fn array_or_value<'a>(input: &mut Input<'a>) -> Parsed<Vec<Word<'a>>> {
    if input.peek_token() == Some('(') { nested(input, array) } else { shorthand_value(input).map(|value| vec![value]) }
}

fn array<'a>(input: &mut Input<'a>) -> Parsed<Vec<Word<'a>>> {
    if input.peek_token() == Some(')') { Ok(Vec::new()) } else { list(input) }
}

/// Values `a,b,…`, up to the first character that cannot be part of one. An empty text is one empty value.
fn list<'a>(input: &mut Input<'a>) -> Parsed<Vec<Word<'a>>> {
    let mut values = vec![value(input)?];
    while input.peek_token() == Some(',') {
        input.next_token();
        values.push(value(input)?);
    }
    Ok(values)
}

/// Words `a,b,…` that are not values: fields, or the numbers of `limit`.
fn words<'a>(input: &mut Input<'a>) -> Vec<Word<'a>> {
    let mut words = vec![word(input)];
    while input.peek_token() == Some(',') {
        input.next_token();
        words.push(word(input));
    }
    words
}

fn value<'a>(input: &mut Input<'a>) -> Parsed<Word<'a>> {
    count(input)?;
    Ok(word(input))
}

fn word<'a>(input: &mut Input<'a>) -> Word<'a> {
    let at = input.current_token_start();
    let rest: &str = &input.input;
    let length = rest.find(['(', ')', '&', '|', ',']).unwrap_or(rest.len());
    Word { at, text: input.next_slice(length) }
}

/// A word that an operator may follow, and that therefore also ends at one.
fn name<'a>(input: &mut Input<'a>) -> Parsed<Word<'a>> {
    let at = input.current_token_start();
    let rest: &str = &input.input;
    let ends = |(at, c): &(usize, char)| match c {
        '(' | ')' | '&' | '|' | ',' | '=' | '<' | '>' => true,
        '!' => rest[*at..].starts_with("!="),
        '%' => ["%3C", "%3c", "%3E", "%3e", "%7C", "%7c"].iter().any(|sign| rest[*at..].starts_with(sign)),
        _ => false,
    };
    let length = rest.char_indices().find(ends).map_or(rest.len(), |(at, _)| at);
    Ok(Word { at, text: input.next_slice(length) })
}

/// Adds one more condition, or one more value that a field is compared with, to the total. Everything else is bounded
/// by the length of the text alone.
fn count(input: &mut Input<'_>) -> Parsed<()> {
    input.state.terms += 1;
    if input.state.terms <= MAX_TERMS {
        return Ok(());
    }
    Err(Fault::new(input.current_token_start(), format!("more than {MAX_TERMS} conditions and values")))
}

fn starts_with_pipe(input: &Input<'_>) -> bool {
    let rest: &str = &input.input;
    rest.get(..3).is_some_and(|found| found.eq_ignore_ascii_case("%7C"))
}

fn next_char(input: &Input<'_>) -> String {
    input.peek_token().map_or("the end".to_owned(), |found| format!("'{found}'"))
}

fn shorten(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(end, _)| &text[..end])
}
