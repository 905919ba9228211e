//! Profiles: documents with a name for what is done to traffic.

use fracas_core::chaos::{ChaosProfile, KnownProfile};
use fracas_core::problem::{Problem, Result, codes};

use super::{Chaos, Finds};
use crate::literal;
use crate::place::quoted;

/// In bytes.
const NAME: usize = 64;
const DESCRIPTION: usize = 1024;
/// Tags, and the bytes of one.
const TAGS: usize = 32;
/// What stands in the place of a name in an address of the API.
const TAKEN: &str = "import";

/// How a profile is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileForm {
    /// As JSON.
    Json,
    /// As YAML.
    Yaml,
}

/// A profile as it can be read again: in lines, and what would be read as a variable is no variable of it.
///
/// # Errors
/// A value has no such form.
pub fn profile_text(profile: &ChaosProfile, form: ProfileForm) -> Result<String> {
    let none = |error: &(dyn std::error::Error + 'static)| {
        Problem::new(&codes::INSIDE, "a profile has no such form").because(error)
    };
    match form {
        ProfileForm::Json => literal::json(profile).map_err(|error| none(&error)),
        ProfileForm::Yaml => {
            let profile = literal::escaped(profile).map_err(|error| none(&error))?;
            serde_saphyr::to_string(&profile).map_err(|error| none(&error))
        }
    }
}

impl Chaos for ChaosProfile {
    fn check(&self, finds: &mut Finds<'_, '_>, at: &str) {
        let path = format!("{at}name");
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if self.name.is_empty() || self.name.len() > NAME || !self.name.bytes().all(is_letter) {
            finds.wrong(&path, "must be of 1 to 64 letters, digits, `-`, `_` and `.`");
        } else if self.name == TAKEN || self.name.bytes().all(|byte| byte == b'.') {
            finds.wrong(&path, "means something else in an address");
        }
        if KnownProfile::named(&self.name).is_some() {
            let what = format!("every proxy has a profile {}", quoted(&self.name));
            finds.error(&codes::DUPLICATE_NAME, &path, what, "give it another name");
        }
        if self.description.as_ref().is_some_and(|text| text.len() > DESCRIPTION) {
            finds.wrong(
                &format!("{at}description"),
                &format!("must be at most {DESCRIPTION} bytes"),
            );
        }
        if self.tags.len() > TAGS || self.tags.iter().any(|tag| tag.len() > NAME) {
            finds.wrong(
                &format!("{at}tags"),
                &format!("must be at most {TAGS}, each of at most {NAME} bytes"),
            );
        }
        self.chaos_config.check(finds, &format!("{at}chaos_config."));
    }
}
