//! Rules by which the JSON in answers is changed.

use fracas_core::chaos::{Field, MutationRule, Mutations, Operation, OperationKind};
use fracas_core::problem::{Problem, codes};

use super::{Chaos, Finds, read, scope};
use crate::Source;
use crate::place::quoted;
use crate::tree::{Entry, Node, Value};

/// In bytes.
const NAME: usize = 64;
const OPERATIONS: usize = 32;

/// Reads the rules for JSON in answers: the block, or a list of rules alone. As [`chaos`](crate::chaos) besides.
///
/// # Errors
/// All problems, in the order of the text: those of [`chaos`](crate::chaos).
pub fn mutations(source: &Source, env: &dyn Fn(&str) -> Option<String>) -> Result<Mutations, Vec<Box<Problem>>> {
    read(source, env, |root| {
        if root.items().is_some() {
            let spot = root.spot;
            let value = std::mem::replace(&mut root.value, Value::Map(Vec::new()));
            let rules = Entry {
                key: "rules".to_owned(),
                spot,
                value: Node { spot, value },
            };
            root.value = Value::Map(vec![rules]);
        }
    })
}

impl Chaos for Mutations {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        scope::listeners(&self.listeners, finds, at);
        if self.rules.len() > Self::MOST {
            finds.wrong(&format!("{at}rules"), &format!("must be at most {} rules", Self::MOST));
            return;
        }
        for (index, rule) in self.rules.iter().enumerate() {
            let path = format!("{at}rules[{index}]");
            one(rule, finds, &path);
            if self.rules[..index].iter().any(|before| before.name == rule.name) {
                let what = format!("there are two rules {}", quoted(&rule.name));
                finds.error(
                    &codes::DUPLICATE_NAME,
                    &format!("{path}.name"),
                    what,
                    "rename one of the two",
                );
            }
        }
    }
}

fn one(rule: &MutationRule, finds: &mut Finds<'_, '_>, at: &str) {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if rule.name.is_empty() || rule.name.len() > NAME || !rule.name.bytes().all(is_letter) {
        finds.wrong(
            &format!("{at}.name"),
            "must be of 1 to 64 letters, digits, `-`, `_` and `.`",
        );
    }
    for (key, pattern) in [
        ("path_pattern", &rule.path_pattern),
        ("method_match", &rule.method_match),
    ] {
        if let Some(Err(why)) = pattern.as_deref().map(MutationRule::pattern) {
            finds.wrong(
                &format!("{at}.{key}"),
                &format!("is no pattern that can be used: {why}"),
            );
        }
    }
    finds.probability(&format!("{at}.probability"), rule.probability);
    let path = format!("{at}.operations");
    if rule.operations.is_empty() || rule.operations.len() > OPERATIONS {
        finds.wrong(
            &path,
            &format!("must be from 1 to {OPERATIONS}, not {}", rule.operations.len()),
        );
        return;
    }
    for (index, operation) in rule.operations.iter().enumerate() {
        operate(operation, finds, &format!("{path}[{index}]"));
    }
}

fn operate(operation: &Operation, finds: &mut Finds<'_, '_>, at: &str) {
    use OperationKind::{InjectError, SetField, TruncateArray};
    let (kind, name) = (operation.kind, operation.kind.name());
    let takes_value = matches!(kind, SetField | TruncateArray);
    for (key, is_said, is_known, is_needed) in [
        (
            "field",
            operation.field.is_some(),
            kind != InjectError,
            kind != InjectError,
        ),
        ("value", operation.value.is_some(), takes_value, kind == SetField),
    ] {
        if is_needed && !is_said {
            let what = format!("`{at}` has no `{key}`, which `{name}` needs");
            finds.error(&codes::MISSING_KEY, at, what, "add it");
        }
        if is_said && !is_known {
            let path = format!("{at}.{key}");
            let what = format!("`{path}` means nothing to `{name}`");
            finds.contradiction(&path, &what, "remove it, or change the type");
        }
    }
    if let Some(Err(why)) = operation.field.as_deref().map(Field::read) {
        finds.wrong(&format!("{at}.field"), why);
    }
    if kind == TruncateArray && operation.value.as_ref().is_some_and(|value| value.0.as_u64().is_none()) {
        finds.wrong(
            &format!("{at}.value"),
            "must be how many items stay: a whole number from 0 on",
        );
    }
}
