//! `fracas explain`: what stands behind an error code.

use std::fmt::Write as _;
use std::process::ExitCode;

use fracas_core::problem::{Problem, Result, codes};

use crate::cli::Explain;
use crate::output::print;

pub(crate) fn command(explain: &Explain) -> Result<ExitCode> {
    let text = match &explain.code {
        Some(id) => {
            // A code is copied as it was shown: `error[D003]`.
            let bare = id.trim_start_matches("error").trim_matches(['[', ']', ':']);
            let code = codes::find(bare).ok_or_else(|| {
                Problem::new(
                    &codes::USAGE,
                    format!("there is no code {:?}", fracas_report::plain(id)),
                )
                .next("`fracas explain` lists all codes")
            })?;
            format!(
                "{}: {}\n\n{}\n\nNext: {}\n",
                code.id, code.title, code.explanation, code.next
            )
        }
        None if explain.markdown => markdown(),
        None => codes::ALL.iter().fold(String::new(), |mut list, code| {
            let _ = writeln!(list, "{}  {}", code.id, code.title);
            list
        }),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// What the letter of a code says.
const LETTERS: &[(char, &str)] = &[
    ('D', "Documents"),
    ('T', "Targets"),
    ('F', "Faults"),
    ('G', "Guardian and ledger"),
    ('P', "Probes"),
    ('N', "Telling others"),
    ('R', "The run"),
    ('S', "State and machine"),
    ('X', "The container engine"),
    ('I', "Inside"),
];

fn markdown() -> String {
    let mut page = String::from("# Error codes\n\nCodes are stable: scripts may depend on them.\n");
    for (letter, title) in LETTERS {
        let _ = write!(page, "\n## {letter}: {title}\n");
        for code in codes::ALL.iter().filter(|code| code.id.starts_with(*letter)) {
            let _ = write!(
                page,
                "\n### {}: {}\n\n{}\n\nNext: {}\n",
                code.id, code.title, code.explanation, code.next
            );
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_chapter() {
        let page = markdown();
        for code in codes::ALL {
            assert!(page.contains(&format!("### {}: ", code.id)), "{}", code.id);
        }
    }
}
