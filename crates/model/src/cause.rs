//! What led to an error, for people: the one place that follows sources.

use std::error::Error;

/// What led to an error, the nearest first, without the error itself.
pub fn causes(error: &dyn Error) -> Vec<String> {
    std::iter::successors(error.source(), |&cause| cause.source()).map(ToString::to_string).collect()
}

/// An error and what led to it, on one line.
pub fn chain(error: &dyn Error) -> String {
    std::iter::once(error.to_string()).chain(causes(error)).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Step(&'static str, Option<Box<Step>>);

    impl fmt::Display for Step {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Step {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as &(dyn Error + 'static))
        }
    }

    #[test]
    fn causes_come_nearest_first() {
        let broken = Step("no start", Some(Box::new(Step("no file", Some(Box::new(Step("no disk", None)))))));
        assert_eq!(causes(&broken), ["no file", "no disk"]);
        assert_eq!(chain(&broken), "no start: no file: no disk");
        assert_eq!(chain(&Step("alone", None)), "alone");
    }
}
