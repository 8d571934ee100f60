//! Texts without the values that are in them. Start reading at [`mask`].

use std::ops::Range;

/// What stands in the place of a value.
const MASK: &str = "***";

/// The text with [`MASK`] for every stretch of it that values cover, also where they overlap.
pub(crate) fn mask<'v>(text: &str, values: impl IntoIterator<Item = &'v str>) -> String {
    let mut covered: Vec<Range<usize>> = values.into_iter().flat_map(|value| places(text, value)).collect();
    covered.sort_by_key(|place| place.start);
    let mut masked = String::new();
    let mut end = 0;
    for place in covered {
        if place.start >= end {
            masked.extend([&text[end..place.start], MASK]);
        }
        end = end.max(place.end);
    }
    masked + &text[end..]
}

/// Where a value stands in a text; nowhere when it is empty.
fn places(text: &str, value: &str) -> Vec<Range<usize>> {
    let (text, value) = (text.as_bytes(), value.as_bytes());
    let windows = text.windows(value.len().max(1)).enumerate();
    windows.filter(|(_, window)| *window == value).map(|(start, _)| start..start + value.len()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, values: &[&str], expected: &str) {
        assert_eq!(mask(text, values.iter().copied()), expected);
    }

    #[test]
    fn every_value_is_masked_wherever_it_stands() {
        check("psql -c x --password=hunter2 hunter2", &["hunter2"], "psql -c x --password=*** ***");
        check("über über", &["über"], "*** ***");
        check("nothing of it", &["hunter2", ""], "nothing of it");
        check("", &["hunter2", ""], "");
    }

    #[test]
    fn nothing_is_left_of_values_that_overlap() {
        check("abcd", &["abc", "bcd"], "***");
        check("xaaay", &["aa"], "x***y");
        check("ab", &["a", "b"], "******");
        check("abcabc", &["abcabc", "bc"], "***");
    }
}
