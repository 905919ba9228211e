//! Whether a text is PromQL, and where it stops being so. The parser says only that; the column is found by looking for the
//! longest beginning of the query that can still be completed.

/// The longest query, in bytes.
const LONGEST: usize = 8 * 1024;
/// Brackets in each other: the parser's answer is a tree, and freeing it is recursive.
const DEEPEST: usize = 64;
/// Operators in a row, for the same reason.
const MOST_OPERATORS: usize = 512;

/// Why a text is not PromQL.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotPromql {
    pub(crate) why: String,
    /// In characters of the query, from 1.
    pub(crate) column: usize,
}

/// Checks a query.
pub(crate) fn check(query: &str) -> Result<(), NotPromql> {
    let wrong = |why: &str, at: usize| NotPromql {
        why: why.to_owned(),
        column: query[..at].chars().count() + 1,
    };
    if query.trim().is_empty() {
        return Err(wrong("it is empty", 0));
    }
    if query.len() > LONGEST {
        return Err(wrong("it is longer than 8 KiB", 0));
    }
    let open = scan(query).map_err(|(why, at)| wrong(why, at))?;
    let Err(why) = promql_parser::parser::parse(query) else {
        return Ok(());
    };
    let why = crate::place::printable(why.lines().next().unwrap_or_default())
        .trim()
        .to_owned();
    let why: String = why.chars().take(160).collect();
    if let Some((_, at)) = open.last() {
        return Err(wrong("this is never closed", *at));
    }
    Err(wrong(&why, longest_beginning(query)))
}

/// Walks over brackets and quotes: the brackets that are open at the end, or what is wrong with them and where.
fn scan(text: &str) -> Result<Vec<(char, usize)>, (&'static str, usize)> {
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut operators = 0;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' | '\'' | '`' => loop {
                match chars.next() {
                    None => return Err(("this text is never closed", at)),
                    Some((_, '\\')) if c != '`' => drop(chars.next()),
                    Some((_, end)) if end == c => break,
                    Some(_) => {}
                }
            },
            '#' => while chars.next().is_some_and(|(_, c)| c != '\n') {},
            '(' | '[' | '{' => {
                open.push((c, at));
                if open.len() > DEEPEST {
                    return Err(("more than 64 brackets are open", at));
                }
            }
            ')' | ']' | '}' => {
                let matching = match c {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                if open.pop().is_none_or(|(opened, _)| opened != matching) {
                    return Err(("this closes what was not opened", at));
                }
            }
            '+' | '-' | '*' | '/' | '%' | '^' | '=' | '<' | '>' | '!' => {
                operators += 1;
                if operators > MOST_OPERATORS {
                    return Err(("more than 512 operators", at));
                }
            }
            _ => {}
        }
    }
    Ok(open)
}

/// Where the query stops being one: the begin of the first word that nothing can follow so that it becomes PromQL.
fn longest_beginning(query: &str) -> usize {
    let mut ends: Vec<(usize, usize)> = words(query);
    if ends.is_empty() {
        ends.push((0, query.len()));
    }
    // Whether a beginning can be completed only ever turns from yes to no, so halving finds the turn.
    let bad = ends.partition_point(|(_, end)| completes(&query[..*end]));
    ends.get(bad).map_or(0, |(start, _)| *start)
}

/// The words of a query: start and end of each.
fn words(query: &str) -> Vec<(usize, usize)> {
    let mut words = Vec::new();
    let mut chars = query.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        let mut end = start + c.len_utf8();
        if c.is_whitespace() {
            continue;
        }
        let wordy = |c: char| c.is_alphanumeric() || "_:.".contains(c);
        let operator = |c: char| "=!~<>".contains(c);
        if matches!(c, '"' | '\'' | '`') {
            while let Some((at, next)) = chars.next() {
                end = at + next.len_utf8();
                if next == '\\' && c != '`' {
                    if let Some((at, escaped)) = chars.next() {
                        end = at + escaped.len_utf8();
                    }
                } else if next == c {
                    break;
                }
            }
        } else if wordy(c) || operator(c) {
            while let Some((at, next)) =
                chars.next_if(|(_, next)| if wordy(c) { wordy(*next) } else { operator(*next) })
            {
                end = at + next.len_utf8();
            }
        }
        words.push((start, end));
    }
    words
}

/// Whether something can follow so that this becomes PromQL. What is tried covers every place at which a query can break off.
fn completes(beginning: &str) -> bool {
    const NEXT: [&str; 16] = [
        "",
        " x",
        "(x)",
        "(x[1m])",
        "(1,x)",
        "(1,x[1m])",
        " (x)",
        "[1m]",
        " x[1m]",
        "=\"\"",
        " \"\"",
        "1m",
        " 1",
        ",x",
        ",x[1m]",
        ":1m",
    ];
    let Ok(open) = scan(beginning) else { return false };
    let closers: String = open
        .iter()
        .rev()
        .map(|(c, _)| match c {
            '(' => ')',
            '[' => ']',
            _ => '}',
        })
        .collect();
    NEXT.iter().any(|next| {
        // A range may have to follow the bracket that closes, as in `rate(x{a="b"` + `}[1m])`.
        (0..=closers.len()).any(|split| {
            let (first, rest) = closers.split_at(split);
            let plain = format!("{beginning}{next}{first}{rest}");
            let ranged = format!("{beginning}{next}{first}[1m]{rest}");
            promql_parser::parser::parse(&plain).is_ok() || promql_parser::parser::parse(&ranged).is_ok()
        })
    })
}
