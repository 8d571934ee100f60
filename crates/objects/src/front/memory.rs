//! What a request holds of memory, by its operation: of bodies of objects, of documents, and of answers.
//!
//! Start reading at [`Memory::take`].

use hyper::HeaderMap;
use hyper::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use s3s::{S3Result, s3_error};

use super::fields;
use super::outlet::CHUNK_BYTES;
use super::turns::{SHARE_BYTES, SharesMax, Turn, Turns};
use crate::store::uploads::PART_NUMBER_MAX;

/// Bodies of objects that are being taken.
const BODIES: SharesMax = SharesMax { in_all: 64, of_key: 16 };
/// Documents: bodies that are held whole. One key may send the longest.
const DOCUMENTS: SharesMax = SharesMax { in_all: 64, of_key: (DOCUMENT_BYTES_MAX / SHARE_BYTES) as usize };
/// Answers that hold more than their fields.
const ANSWERS: SharesMax = SharesMax { in_all: 128, of_key: 32 };

/// A page of a list: a thousand keys of a common length.
const PAGE_BYTES: u64 = 1 << 20;
/// A deletion of 1000 keys of 1024 bytes, each written as `&#1234;` at worst.
const DELETION_BYTES_MAX: u64 = 8 << 20;
/// A completion: each part with its number, entity tag and checksum.
const COMPLETION_BYTES_MAX: u64 = PART_NUMBER_MAX as u64 * 300;
/// Any other document: ten tags, each with 384 characters of up to ten bytes as they are written.
const OTHER_BYTES_MAX: u64 = 64 << 10;
/// The longest document.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = DELETION_BYTES_MAX;

/// Who holds memory for what.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Of bodies of objects, each a buffer.
    bodies: Turns,
    documents: Turns,
    answers: Turns,
}

/// What an operation holds besides a body of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    /// A document of so many bytes, and what is answered to it.
    Document(u64),
    /// An answer of so many bytes at once.
    Answer(u64),
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self { bodies: Turns::new(BODIES), documents: Turns::new(DOCUMENTS), answers: Turns::new(ANSWERS) }
    }

    /// Waits for what a request holds until it is answered.
    pub(super) async fn take(&self, operation: &str, headers: &HeaderMap, key: &str) -> S3Result<Option<Turn>> {
        let (turns, bytes) = match Need::of(operation, headers)? {
            Need::Nothing => return Ok(None),
            Need::Document(bytes) => (&self.documents, bytes),
            Need::Answer(bytes) => (&self.answers, bytes),
        };
        // Of the longest document too, it is a small number.
        let shares = u32::try_from(bytes.div_ceil(SHARE_BYTES)).unwrap_or(u32::MAX);
        turns.take(key, shares).await.map(Some)
    }

    /// Waits for what the body of an object holds while it is taken.
    pub(super) async fn take_for_body(&self, key: &str) -> S3Result<Turn> {
        self.bodies.take(key, 1).await
    }
}

impl Need {
    fn of(operation: &str, headers: &HeaderMap) -> S3Result<Self> {
        if fields::has_object(operation) {
            return Ok(Need::Nothing);
        }
        match operation {
            fields::GET => return Ok(Need::Answer(CHUNK_BYTES)),
            listing if listing.starts_with("List") => return Ok(Need::Answer(PAGE_BYTES)),
            _ => {}
        }
        let max = match operation {
            fields::DELETE_MANY => DELETION_BYTES_MAX,
            fields::COMPLETE => COMPLETION_BYTES_MAX,
            _ => OTHER_BYTES_MAX,
        };
        match document_bytes(headers)? {
            0 => Ok(Need::Nothing),
            bytes if bytes > max => {
                Err(s3_error!(MaxMessageLengthExceeded, "the body of {operation} has {max} bytes at the most"))
            }
            bytes => Ok(Need::Document(bytes)),
        }
    }
}

/// How long the body is, which a request must say before it is held whole.
fn document_bytes(headers: &HeaderMap) -> S3Result<u64> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(s3_error!(MissingContentLength, "a body of XML is sent with its length"));
    }
    let said = fields::text(headers, CONTENT_LENGTH.as_str()).map(str::parse);
    said.transpose()
        .map(Option::unwrap_or_default)
        .map_err(|_| s3_error!(InvalidArgument, "Content-Length is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(operation: &str, name: &'static str, value: &str) -> Result<Need, String> {
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
        Need::of(operation, &headers).map_err(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn a_document_has_as_many_bytes_as_its_operation_needs() {
        for (operation, max) in [
            ("DeleteObjects", DELETION_BYTES_MAX),
            ("CompleteMultipartUpload", COMPLETION_BYTES_MAX),
            ("PutObjectTagging", OTHER_BYTES_MAX),
            ("PutBucketCors", OTHER_BYTES_MAX),
        ] {
            let of = |bytes: u64| need(operation, "content-length", &bytes.to_string());
            assert_eq!(of(0), Ok(Need::Nothing), "{operation}");
            assert_eq!(of(max), Ok(Need::Document(max)), "{operation}");
            assert_eq!(of(max + 1), Err("MaxMessageLengthExceeded".to_owned()), "{operation}");
            let chunked = need(operation, "transfer-encoding", "chunked");
            assert_eq!(chunked, Err("MissingContentLength".to_owned()), "{operation}");
        }
    }

    #[test]
    fn bodies_of_objects_have_turns_of_their_own_and_answers_theirs() {
        assert_eq!(need("PutObject", "content-length", "1000000000"), Ok(Need::Nothing));
        assert_eq!(need("UploadPart", "transfer-encoding", "chunked"), Ok(Need::Nothing));
        assert_eq!(need("GetObject", "range", "bytes=0-1"), Ok(Need::Answer(CHUNK_BYTES)));
        assert_eq!(need("ListObjectVersions", "host", "h"), Ok(Need::Answer(PAGE_BYTES)));
    }

    #[tokio::test]
    async fn one_key_may_send_the_longest_document() {
        let headers = HeaderMap::from_iter([(CONTENT_LENGTH, DOCUMENT_BYTES_MAX.into())]);
        let taken = tokio::time::timeout(std::time::Duration::from_secs(5), async {
            Memory::new().take("DeleteObjects", &headers, "api").await.unwrap()
        });
        assert!(taken.await.unwrap().is_some());
    }
}
