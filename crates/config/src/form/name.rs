//! Names: what may bear one, and what it is made of.

use std::borrow::Cow;

use model::{
    BucketName, EnvironmentName, NameError, ResourceName, SecretName, ServiceName, StackName, VariableName, VolumeName,
};

use super::Complaint;
use crate::rule::RuleId;

/// The kinds of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameKind {
    Stack,
    Environment,
    Service,
    Resource,
    Secret,
    Variable,
    Volume,
    Bucket,
    Alert,
    /// A user of the operating system.
    User,
}

impl NameKind {
    /// What bears the name, with its article.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            NameKind::Stack => "a stack",
            NameKind::Environment => "an environment",
            NameKind::Service => "a service",
            NameKind::Resource => "a resource",
            NameKind::Secret => "a secret",
            NameKind::Variable => "an environment variable",
            NameKind::Volume => "a volume",
            NameKind::Bucket => "a bucket",
            NameKind::Alert => "an alert receiver",
            NameKind::User => "a user of the operating system",
        }
    }

    /// The regular expression of JSON Schema that such names match.
    pub(crate) const fn pattern(self) -> &'static str {
        match self {
            NameKind::Secret | NameKind::Variable => "^[A-Za-z_][A-Za-z0-9_]{0,119}$",
            NameKind::User => "^[a-z_][a-z0-9_-]{0,31}$",
            NameKind::Bucket => "^[a-z0-9][a-z0-9-]{1,38}[a-z0-9]$",
            NameKind::Resource => "^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$",
            _ => "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$",
        }
    }

    pub(crate) fn check(self, text: &str) -> Result<(), Complaint> {
        let outcome: Result<(), NameError> = match self {
            NameKind::Stack => text.parse::<StackName>().map(drop),
            NameKind::Environment => text.parse::<EnvironmentName>().map(drop),
            NameKind::Service | NameKind::Alert => text.parse::<ServiceName>().map(drop),
            NameKind::Resource => text.parse::<ResourceName>().map(drop),
            NameKind::Secret => text.parse::<SecretName>().map(drop),
            NameKind::Variable => text.parse::<VariableName>().map(drop),
            NameKind::Volume => text.parse::<VolumeName>().map(drop),
            NameKind::Bucket => text.parse::<BucketName>().map(drop),
            NameKind::User => return user(text),
        };
        let complain = |message: String| Complaint::new(RuleId::InvalidName, message);
        if let Err(error) = outcome {
            let text = self.without_value(text);
            let complaint = complain(format!("{text:?} cannot be the name of {}: {error}", self.what()));
            let mended = self.mended(text.trim_end_matches("=…"));
            return Err(match self.check_quietly(&mended) {
                true => complaint.hint(format!("write `{mended}`")),
                false => complaint,
            });
        }
        if self == NameKind::Resource && text.starts_with(|c: char| c.is_ascii_digit()) {
            let message = format!("{text:?} cannot be the name of a resource: its variables would start with a digit");
            return Err(complain(message).hint("start the name with a letter"));
        }
        Ok(())
    }

    /// Where a secret's name belongs, what follows a `=` may be its value, and is not repeated.
    fn without_value(self, text: &str) -> Cow<'_, str> {
        match text.split_once('=') {
            Some((name, _)) if self == NameKind::Secret => format!("{name}=…").into(),
            _ => text.into(),
        }
    }

    fn check_quietly(self, text: &str) -> bool {
        match self {
            NameKind::Secret | NameKind::Variable => text.parse::<VariableName>().is_ok(),
            NameKind::User => false,
            NameKind::Bucket => text.parse::<BucketName>().is_ok(),
            _ => text.parse::<ServiceName>().is_ok(),
        }
    }

    /// The nearest text that may be a name, for a hint.
    fn mended(self, text: &str) -> String {
        match self {
            NameKind::Secret | NameKind::Variable => {
                text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
            }
            _ => {
                let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
                text.chars().map(fit).collect::<String>().trim_matches('-').to_owned()
            }
        }
    }
}

fn user(text: &str) -> Result<(), Complaint> {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    let fits =
        text.starts_with(first) && text.len() <= 32 && text.chars().all(|c| first(c) || c.is_ascii_digit() || c == '-');
    match fits {
        true => Ok(()),
        false => Err(Complaint::new(
            RuleId::InvalidName,
            format!("{text:?} cannot be the name of a user: lower-case letters, digits, '_' and '-', at most 32"),
        )),
    }
}
