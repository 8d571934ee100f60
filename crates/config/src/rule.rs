//! The rules a file is checked against, each with the id that problems print.

use std::fmt;

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file asks for what this version does not carry out. It cannot be used either, but its
    /// meaning is clear, so it is checked further.
    Unsupported,
    /// The file can be used; somebody should look.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Error => "error",
            Severity::Unsupported => "unsupported",
            Severity::Warning => "warning",
        })
    }
}

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $variant:ident = $id:literal, $severity:ident;)*) => {
        /// A rule of `check`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RuleId {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl RuleId {
            /// Every rule, in the order of the documentation.
            pub const ALL: &'static [RuleId] = &[$(RuleId::$variant),*];

            /// The id as problems print it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(RuleId::$variant => $id,)*
                }
            }

            /// How much breaking it matters.
            pub const fn severity(self) -> Severity {
                match self {
                    $(RuleId::$variant => Severity::$severity,)*
                }
            }

            /// What it demands, in one sentence or two.
            pub fn explanation(self) -> String {
                let lines: &[&str] = match self {
                    $(RuleId::$variant => &[$($doc),+],)*
                };
                lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
            }
        }
    };
}

rules! {
    /// The file is YAML 1.2, in UTF-8, without control characters.
    YamlSyntax = "yaml-syntax", Error;
    /// The file stays within the reader's bounds: 1 MiB of text, 32 levels, 20,000 values, 256
    /// bytes in a key.
    TooLarge = "too-large", Error;
    /// The file holds one document of plain YAML: no anchors, aliases, merge keys or tags, and keys
    /// are single words or texts.
    YamlFeature = "yaml-feature", Error;
    /// A key stands once in its mapping.
    DuplicateKey = "duplicate-key", Error;
    /// A key is one the file's schema knows, or starts with `x-`.
    UnknownKey = "unknown-key", Error;
    /// A key that is always needed is there, unless what needs it is not supported yet.
    MissingKey = "missing-key", Error;
    /// Keys that exclude each other do not stand together.
    ConflictingKeys = "conflicting-keys", Error;
    /// A value is of the kind its key takes: a mapping, a list, a text, a number, true or false.
    WrongKind = "wrong-kind", Error;
    /// A key has a value. Only an environment may write `null`, to delete what the file says above.
    EmptyValue = "empty-value", Error;
    /// What an environment deletes with `null` is there to be deleted.
    DeletesNothing = "deletes-nothing", Error;
    /// A value has the form its key takes, such as a span, a size or a share, and is within its bounds.
    InvalidValue = "invalid-value", Error;
    /// A name is made of the characters its kind allows.
    InvalidName = "invalid-name", Error;
    /// A name is not one the platform keeps for itself, and no resource has a service's name.
    ReservedName = "reserved-name", Error;
    /// A list names each thing once.
    DuplicateItem = "duplicate-item", Error;
    /// A command is one program and its arguments; what only a shell understands is asked of a shell.
    CommandSyntax = "command-syntax", Error;
    /// A schedule is five fields as crontab(5) has them.
    ScheduleSyntax = "schedule-syntax", Error;
    /// A schedule comes on some day: one that names a day that none of its months has would never run.
    ImpossibleSchedule = "impossible-schedule", Error;
    /// A service, resource or secret that is referred to exists.
    UnknownReference = "unknown-reference", Error;
    /// No service needs itself, directly or through others.
    NeedsCycle = "needs-cycle", Error;
    /// A scheduled service is a job: it has no port, no replicas, no health checks and no rollout, and nothing
    /// waits for it.
    ScheduledService = "scheduled-service", Error;
    /// A fixed port belongs to one replica of one service, to one resource, or to the edge.
    PortConflict = "port-conflict", Error;
    /// Each request has one route: no two have the same host, path and method.
    RouteConflict = "route-conflict", Error;
    /// A folder that visitors are sent holds what is for them: it is not the file's own, nor one above that.
    ExposedFolder = "exposed-folder", Error;
    /// Each environment variable of a service comes from one place.
    VariableConflict = "variable-conflict", Error;
    /// No value of `env` looks like a reference to another variable: values are passed as they are written.
    NotSubstituted = "not-substituted", Warning;
    /// Numbers that belong together agree, such as a smallest and a largest count.
    Disagreement = "disagreement", Error;
    /// The environment that is asked for is one the file describes.
    UnknownEnvironment = "unknown-environment", Error;
    /// A declared secret is used by something.
    UnusedSecret = "unused-secret", Warning;
    /// What the file asks for is carried out by this version. Lines that cannot stay without it are named too.
    NotSupportedYet = "not-supported-yet", Unsupported;
    /// The file can meet the objectives it states.
    Objective = "objective", Error;
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
