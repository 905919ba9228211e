//! Whether a text is PromQL, and where it stops being so. The parser says only that; the column is found by looking for the
//! longest beginning of the query that can still be completed.

/// The longest query, in bytes.
const LONGEST: usize = 8 * 1024;
/// Brackets in each other: the parser's answer is a tree, and freeing it is recursive.
const DEEPEST: usize = 64;
/// The longest query in which the place is looked for, for that takes many attempts.
const LONGEST_SEARCHED: usize = 512;
/// Operators in a row, for the same reason.
const MOST_OPERATORS: usize = 512;

/// Why a text is not PromQL.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotPromql {
    pub(crate) why: String,
    /// In characters of the query, from 1.
    pub(crate) column: usize,
}

/// Checks a query. Without `locate` the column of most mistakes is 1: finding it takes many attempts.
pub(crate) fn check(query: &str, locate: bool) -> Result<(), NotPromql> {
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
    if let Some((_, name)) = why.split_once("unknown function with name '") {
        let name = name.trim_end_matches('\'');
        if let Some((at, _)) = words(query)
            .into_iter()
            .find(|(start, end)| query[*start..*end] == *name)
        {
            return Err(wrong(&why, at));
        }
    }
    if !locate || query.len() > LONGEST_SEARCHED {
        return Err(wrong(&why, 0));
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
    // Every beginning is one, and only what should follow is missing.
    ends.get(bad).map_or(query.trim_end().len(), |(start, _)| *start)
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
    const NEXT: [&str; 17] = [
        " (x)(x)",
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
    // A range, or what an aggregation is of, may have to follow a bracket that closes: `rate(x{` + `}[1m])`, `sum by (` + `)(x)`.
    let splits = [0, 1, closers.len()].map(|split| split.min(closers.len()));
    NEXT.iter().any(|next| {
        splits.iter().any(|split| {
            let (first, rest) = closers.split_at(*split);
            ["", "[1m]", "(x)"]
                .iter()
                .any(|tail| promql_parser::parser::parse(&format!("{beginning}{next}{first}{tail}{rest}")).is_ok())
        })
    })
}
