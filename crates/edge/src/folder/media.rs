//! What a file is, and how long it may be kept, from its name alone. Start reading at [`media_type`].

use super::name::Name;

/// What is said of a file that nothing is known of: browsers then offer to save it.
const UNKNOWN: &str = "application/octet-stream";

/// Asked again each time, and answered 304 while nothing changed.
const ASK_AGAIN: &str = "no-cache";
/// Kept for a year without a question, by everybody.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Types by ending (IANA's registry and the MIME Sniffing standard; `text/javascript`: RFC 9239).
const TYPES: &[(&str, &str)] = &[
    ("aac", "audio/aac"),
    ("apng", "image/apng"),
    ("atom", "application/atom+xml"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("cjs", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/vnd.microsoft.icon"),
    ("ics", "text/calendar; charset=utf-8"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("m4a", "audio/mp4"),
    ("map", "application/json"),
    ("md", "text/markdown; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("rss", "application/rss+xml"),
    ("svg", "image/svg+xml"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain; charset=utf-8"),
    ("vtt", "text/vtt; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// The type of a file.
pub(super) fn media_type(name: &Name) -> &'static str {
    let extension = name.stem_and_extension().map_or(String::new(), |(_, extension)| extension.to_ascii_lowercase());
    TYPES.iter().find(|(known, _)| *known == extension).map_or(UNKNOWN, |(_, media)| media)
}

/// How long a file may be kept: for ever if its name changes with its content, as bundlers see to.
pub(super) fn cache_control(name: &Name) -> &'static str {
    let fingerprinted = name.stem_and_extension().is_some_and(|(stem, extension)| {
        let page = extension.eq_ignore_ascii_case("html") || extension.eq_ignore_ascii_case("htm");
        // `app.3f2a91bc.chunk.js`: what the build adds to a name is not always last. The first part is the name itself.
        !page && stem.split(['.', '_']).flat_map(dashed_parts).skip(1).any(is_fingerprint)
    });
    if fingerprinted { FOR_EVER } else { ASK_AGAIN }
}

/// The parts of a name between hyphens. A fingerprint in base64 may hold a hyphen itself; such a one is not recognised,
/// which costs a question and nothing else.
fn dashed_parts(part: &str) -> impl Iterator<Item = &str> {
    part.split('-')
}

/// The length of what esbuild, Rollup and Vite put into a name, and the least of what others do.
const FINGERPRINT_LENGTH: usize = 8;

/// Whether a part of a name was made from the content: hexadecimal of 8 digits and more (webpack, Parcel, Trunk), base32
/// of 8 (esbuild), base64 of 8 (Rollup, Vite). A word, a date or a version must not be taken for one, because its file would be
/// kept for a year; a fingerprint that is not recognised costs a question. So digits must be among its bytes, and kinds must change
/// oftener than in `Version2`, `2024dec1` or `H264DEMO`.
fn is_fingerprint(part: &str) -> bool {
    let all = |is: fn(&u8) -> bool| part.as_bytes().iter().all(is);
    let hexadecimal = all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    let base32 = all(|it| matches!(it, b'2'..=b'7' | b'A'..=b'Z'));
    let least_changes = match part.len() {
        FINGERPRINT_LENGTH.. if hexadecimal => 3,
        FINGERPRINT_LENGTH if base32 => 3,
        FINGERPRINT_LENGTH if all(u8::is_ascii_alphanumeric) => 5,
        _ => return false,
    };
    part.bytes().any(|byte| byte.is_ascii_digit()) && changes_of_kind(part) >= least_changes
}

/// How often a digit, a small letter and a capital stand beside another kind.
fn changes_of_kind(part: &str) -> usize {
    let kind = |byte: &u8| (byte.is_ascii_digit(), byte.is_ascii_lowercase());
    part.as_bytes().windows(2).filter(|pair| kind(&pair[0]) != kind(&pair[1])).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &str) -> Name {
        Name::of_path(path).unwrap()
    }

    #[test]
    fn types_by_ending() {
        for (path, expected) in [
            ("/a.html", "text/html; charset=utf-8"),
            ("/A.JPG", "image/jpeg"),
            ("/x.tar.gz", "application/gzip"),
            ("/a.min.js", "text/javascript; charset=utf-8"),
            ("/LICENSE", UNKNOWN),
            ("/a.b/LICENSE", UNKNOWN),
            ("/a.unheard-of", UNKNOWN),
        ] {
            assert_eq!(media_type(&name(path)), expected, "{path}");
        }
        assert!(TYPES.is_sorted(), "found at a glance");
    }

    #[test]
    fn only_a_name_that_changes_with_its_content_is_kept_for_ever() {
        for (path, fingerprinted) in [
            ("/assets/index-B1KpRk3n.js", true),
            ("/main.3f2a91bc.css", true),
            ("/main.3f2a91bc4d5e6f708192.chunk.js", true),
            ("/app-5Q3LEP7A.js", true),
            ("/app_3f2a91bc_bg.wasm", true),
            ("/app-5Q3LEP7A.html", false),
            ("/app-dashboard.js", false),
            ("/app-Version2.js", false),
            ("/review-iPhone15.png", false),
            ("/guide-CHAPTER2.pdf", false),
            ("/clip-H264DEMO.mp4", false),
            ("/report-2024dec1.pdf", false),
            ("/report-20240131a.pdf", false),
            ("/team-facade12.png", false),
            ("/jquery-validate.js", false),
            ("/jquery-3.7.1.min.js", false),
            ("/report-20240131.pdf", false),
            ("/feed-deadbeef.js", false),
            ("/my-LongName.js", false),
            ("/3f2a91bc.js", false),
            ("/README-VERSIONS.txt", false),
            ("/index.html", false),
            ("/3f2a91bc/app.js", false),
        ] {
            assert_eq!(cache_control(&name(path)) == FOR_EVER, fingerprinted, "{path}");
        }
    }
}
