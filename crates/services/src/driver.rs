//! What carries the replicas of a service.

use model::stack::Source;

/// What carries replicas. Containers join here as a second variant with a module beside [`crate::process`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// Each replica is a process of this machine: [`crate::process`].
    Process,
    /// The edge sends its files: [`crate::artefact::site`].
    Edge,
}

/// A service is of a kind that nothing here carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a service with `{key}:` is not supported yet; `run:` and `static:` are")]
pub struct Unsupported {
    key: &'static str,
}

impl Driver {
    /// What carries a service with this source.
    pub const fn of(source: &Source) -> Result<Self, Unsupported> {
        match source {
            Source::Run(_) => Ok(Driver::Process),
            Source::Image(_) => Err(Unsupported { key: "image" }),
            Source::Build(_) => Err(Unsupported { key: "build" }),
            Source::Static { .. } => Ok(Driver::Edge),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::stack::CommandLine;

    use super::*;

    #[test]
    fn processes_and_folders_are_carried() {
        let line = CommandLine::new(vec!["./api".to_owned()]).unwrap();
        assert_eq!(Driver::of(&Source::Run(line)), Ok(Driver::Process));
        assert_eq!(Driver::of(&Source::Static { folder: "dist".into(), spa: true }), Ok(Driver::Edge));
        let error = Driver::of(&Source::Image("nginx".to_owned())).unwrap_err();
        assert_eq!(error.to_string(), "a service with `image:` is not supported yet; `run:` and `static:` are");
    }
}
