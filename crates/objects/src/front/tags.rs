//! Tags of objects: their form in a field and in XML. Start reading at [`of_header`].

use std::collections::BTreeMap;

use s3s::dto::Tag;
use s3s::{S3Result, s3_error};

use super::query;

/// The most tags of an object, and the most characters of a tag's key and value, as in S3.
const TAGS_MAX: usize = 10;
const KEY_CHARACTERS_MAX: usize = 128;
const VALUE_CHARACTERS_MAX: usize = 256;

/// Tags of the field `x-amz-tagging`, which has the form of a query.
pub(super) fn of_header(text: &str) -> S3Result<BTreeMap<String, String>> {
    let pairs = query::pairs(text);
    checked(pairs.ok_or_else(|| s3_error!(InvalidArgument, "x-amz-tagging does not have the form of a query"))?)
}

/// Tags of a request's body.
pub(super) fn of_body(tags: Vec<Tag>) -> S3Result<BTreeMap<String, String>> {
    checked(tags.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect())
}

/// Tags of an answer's body.
pub(super) fn to_body(tags: BTreeMap<String, String>) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect()
}

fn checked(pairs: Vec<(String, String)>) -> S3Result<BTreeMap<String, String>> {
    if pairs.len() > TAGS_MAX {
        return Err(s3_error!(InvalidTag, "an object has {TAGS_MAX} tags at the most"));
    }
    let mut tags = BTreeMap::new();
    for (key, value) in pairs {
        let (characters, of_value) = (key.chars().count(), value.chars().count());
        if characters == 0 || characters > KEY_CHARACTERS_MAX || of_value > VALUE_CHARACTERS_MAX {
            let limits = format!("1 to {KEY_CHARACTERS_MAX} characters, and its value up to {VALUE_CHARACTERS_MAX}");
            return Err(s3_error!(InvalidTag, "a tag's key has {limits}"));
        }
        if tags.insert(key, value).is_some() {
            return Err(s3_error!(InvalidTag, "a tag's key is there twice"));
        }
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_reads_as_tags() {
        let tags = of_header("team=photos&note=a+b%20%C3%A4&empty=").unwrap();
        let pairs: Vec<_> = tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("empty", ""), ("note", "a b ä"), ("team", "photos")]);
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for bad in ["a=%C3", "a=%zz", "a=%2", "=x", "a=1&a=2", "a&b&c&d&e&f&g&h&i&j&k"] {
            assert!(of_header(bad).is_err(), "{bad}");
        }
    }
}
