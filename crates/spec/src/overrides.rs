//! `--set path=value`: values in place of the document's, before it is checked.

use fracas_core::problem::codes;

use crate::place::{Spot, quoted};
use crate::problems::{Problems, listed, nearest};
use crate::shape::{Part, Shape};
use crate::tree::{Entry, Node, Scalar, Value};

/// The keys by which an item of a list is addressed.
const NAMES: [&str; 3] = ["name", "alias", "phase"];
/// Steps of one path.
const MOST: usize = 200;

/// The value of an override: YAML in brackets or quotes, else the text itself. So `> 0` needs no more quotes than the shell's.
pub(crate) fn value(text: &str, source: usize, offset: usize, problems: &mut Problems<'_>) -> Option<Node> {
    let spot = Spot {
        source,
        line: 1,
        column: offset + 1,
        length: text.chars().count().max(1),
    };
    let trimmed = text.trim();
    if trimmed.starts_with(['[', '{', '"', '\'']) {
        return match crate::yaml::parse(text, source, problems.sources()) {
            Ok(mut node) => {
                relocate(&mut node, spot);
                Some(node)
            }
            Err(mut problem) => {
                problem.code = &codes::BAD_OVERRIDE;
                problem.place = Some(Box::new(problems.sources().place(spot)));
                problems.push(*problem);
                None
            }
        };
    }
    Some(Node {
        spot,
        value: Value::Scalar(Scalar {
            text: trimmed.to_owned(),
            plain: true,
        }),
    })
}

fn relocate(node: &mut Node, spot: Spot) {
    node.spot = spot;
    match &mut node.value {
        Value::Scalar(_) => {}
        Value::List(items) => items.iter_mut().for_each(|item| relocate(item, spot)),
        Value::Map(entries) => {
            for entry in entries {
                entry.spot = spot;
                relocate(&mut entry.value, spot);
            }
        }
    }
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
}

/// Takes a path apart: `a.b[0]."c.d"`.
fn steps(path: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if steps.len() >= MOST {
            return Err(format!("the path has more than {MOST} steps"));
        }
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        if let Some(inside) = rest.strip_prefix('[') {
            let (index, after) = inside.split_once(']').ok_or("a `[` is never closed")?;
            steps.push(Step::Index(
                index
                    .parse()
                    .map_err(|_| format!("{} is not an index", quoted(index)))?,
            ));
            rest = after;
        } else if let Some(quote) = quote {
            let (name, after) = rest[1..].split_once(quote).ok_or("a quote is never closed")?;
            steps.push(Step::Name(name.to_owned()));
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end == 0 {
                return Err("a step is empty".to_owned());
            }
            steps.push(Step::Name(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        match rest.strip_prefix('.') {
            Some("") => return Err("it ends with a dot".to_owned()),
            Some(after) => rest = after,
            None if rest.is_empty() || rest.starts_with('[') => {}
            None => return Err("a dot is missing between two steps".to_owned()),
        }
    }
    if steps.is_empty() {
        Err("the path is empty".to_owned())
    } else {
        Ok(steps)
    }
}

/// Puts a value under a path. `spec` is whether the document keeps its fields under that key.
pub(crate) fn set(shape: &Shape, root: &mut Node, spec: bool, path: &str, value: Node, problems: &mut Problems<'_>) {
    let spot = Spot {
        column: 1,
        length: path.chars().count().max(1),
        ..value.spot
    };
    let result = steps(path).map_err(|why| (why, None)).and_then(|mut steps| {
        let first = match steps.first() {
            Some(Step::Name(name)) => name.clone(),
            _ => return Err(("it begins with an index".to_owned(), None)),
        };
        if spec && steps.len() == 1 && first == "enclave" {
            // Seed 0's short form.
            steps = self::steps("spec.targets[0].selector.enclave").map_err(|why| (why, None))?;
            return walk(shape, shape.whole(), root, &steps, value, spot);
        }
        let top = Shape::keys(shape.whole());
        if spec && !top.contains(&first.as_str()) {
            steps.insert(0, Step::Name("spec".to_owned()));
        } else if !spec && first == "spec" && steps.len() > 1 {
            steps.remove(0);
        }
        walk(shape, shape.whole(), root, &steps, value, spot)
    });
    if let Err((why, next)) = result {
        let what = format!("--set {}: {why}", quoted(path));
        match next {
            Some(next) => problems.error_next(&codes::BAD_OVERRIDE, spot, what, next),
            None => problems.error(&codes::BAD_OVERRIDE, spot, what),
        }
    }
}

type Refused = (String, Option<String>);

fn walk(
    shape: &Shape,
    part: Part<'_>,
    node: &mut Node,
    steps: &[Step],
    value: Node,
    spot: Spot,
) -> Result<(), Refused> {
    let Some((step, rest)) = steps.split_first() else {
        *node = value;
        return Ok(());
    };
    let Step::Name(name) = step else {
        let Step::Index(index) = step else { return Ok(()) };
        let item = shape
            .item(part)
            .ok_or_else(|| (format!("[{index}] stands after something that is no list"), None))?;
        return at(shape, item, node, *index, rest, value, spot);
    };
    if let Some(item) = shape.item(part) {
        let (index, used) = find(node, steps).ok_or_else(|| unnamed(node, name))?;
        return at(shape, item, node, index, &steps[used..], value, spot);
    }
    if !Shape::is_map(part) {
        return Err((format!("nothing stands below the value before {}", quoted(name)), None));
    }
    // A label's own name has dots in it.
    let known = part_of_map(shape, part, node, name);
    let (key, rest) = if Shape::is_open(part) && known.is_none() {
        (joined(steps), &[][..])
    } else {
        (name.clone(), rest)
    };
    let child = part_of_map(shape, part, node, &key)
        .or_else(|| shape.child(part, &[], &key))
        .ok_or_else(|| {
            let known = Shape::keys(part);
            if let Some(what) = shape.later(part, &key) {
                return (format!("{} is not available yet: {what}", quoted(&key)), None);
            }
            let next = match nearest(&key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known there: {}", listed(known)),
            };
            (format!("there is no key {}", quoted(&key)), Some(next))
        })?;
    if !matches!(node.value, Value::Map(_)) {
        *node = Node {
            spot,
            value: Value::Map(Vec::new()),
        };
    }
    let Value::Map(entries) = &mut node.value else {
        return Ok(());
    };
    let index = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        entries.push(Entry {
            key,
            spot,
            value: Node {
                spot,
                value: Value::Map(Vec::new()),
            },
        });
        entries.len() - 1
    });
    entries[index].spot = spot;
    walk(shape, child, &mut entries[index].value, rest, value, spot)
}

fn part_of_map<'s>(shape: &'s Shape, part: Part<'s>, node: &Node, key: &str) -> Option<Part<'s>> {
    let entries = node.entries().unwrap_or_default();
    if Shape::is_open(part) && !entries.iter().any(|entry| entry.key == key) && !Shape::keys(part).contains(&key) {
        return None;
    }
    shape.child(part, entries, key)
}

fn joined(steps: &[Step]) -> String {
    let words: Vec<String> = steps
        .iter()
        .map(|step| match step {
            Step::Name(name) => name.clone(),
            Step::Index(index) => index.to_string(),
        })
        .collect();
    words.join(".")
}

/// An item by its name, which may itself have dots: the longest that fits. Gives its index and the steps that its name took.
fn find(node: &Node, steps: &[Step]) -> Option<(usize, usize)> {
    (1..=steps.len()).rev().find_map(|used| {
        let wanted = joined(&steps[..used]);
        let index = node.items()?.iter().position(|item| {
            NAMES.iter().any(|key| {
                item.get(key)
                    .and_then(Node::scalar)
                    .is_some_and(|scalar| scalar.text == wanted)
            })
        })?;
        Some((index, used))
    })
}

fn unnamed(node: &Node, name: &str) -> Refused {
    let items = node.items().unwrap_or_default().iter();
    let names: Vec<&str> = items
        .filter_map(|item| {
            NAMES
                .iter()
                .find_map(|key| item.get(key)?.scalar().map(|scalar| scalar.text.as_str()))
        })
        .collect();
    let next = match nearest(name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "address its items by index: [0]".to_owned(),
        None => format!("the list has {}", listed(names)),
    };
    (format!("the list has no item {}", quoted(name)), Some(next))
}

fn at(
    shape: &Shape,
    item: Part<'_>,
    node: &mut Node,
    index: usize,
    rest: &[Step],
    value: Node,
    spot: Spot,
) -> Result<(), Refused> {
    if !matches!(node.value, Value::List(_)) {
        *node = Node {
            spot,
            value: Value::List(Vec::new()),
        };
    }
    let Value::List(items) = &mut node.value else {
        return Ok(());
    };
    let count = items.len();
    // One past the end appends; further would leave a hole.
    if index == count {
        items.push(Node {
            spot,
            value: Value::Map(Vec::new()),
        });
    }
    let target = items
        .get_mut(index)
        .ok_or_else(|| (format!("the list has {count} items, so there is no [{index}]"), None))?;
    walk(shape, item, target, rest, value, spot)
}
