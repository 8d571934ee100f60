//! The checksums that clients send and ask for. Start reading at [`Wanted`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use hyper::HeaderMap;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::{Checksum, ChecksumAlgorithm, ChecksumType};
use s3s::{S3Result, TrailingHeaders, s3_error};

use super::fields;
use crate::store::record::{Algorithm, Sum, SumOf};

/// The algorithms with their names in XML and in fields.
const ALGORITHMS: [(Algorithm, &str, &str); 5] = [
    (Algorithm::Crc32, ChecksumAlgorithm::CRC32, "x-amz-checksum-crc32"),
    (Algorithm::Crc32c, ChecksumAlgorithm::CRC32C, "x-amz-checksum-crc32c"),
    (Algorithm::Crc64Nvme, ChecksumAlgorithm::CRC64NVME, "x-amz-checksum-crc64nvme"),
    (Algorithm::Sha1, ChecksumAlgorithm::SHA1, "x-amz-checksum-sha1"),
    (Algorithm::Sha256, ChecksumAlgorithm::SHA256, "x-amz-checksum-sha256"),
];

/// The checksum of a body: which, and what the client says it is.
pub(super) struct Wanted {
    algorithm: Option<Algorithm>,
    /// What a field says.
    value: Option<String>,
    /// What fields behind the body say, where the request announces them.
    trailers: Option<TrailingHeaders>,
}

impl Wanted {
    /// Reads a request's fields. `otherwise` is computed where the request names none.
    pub(super) fn of(
        headers: &HeaderMap,
        trailers: Option<TrailingHeaders>,
        otherwise: Option<Algorithm>,
    ) -> S3Result<Self> {
        let value_of = |field: &str| fields::text(headers, field);
        let mut given = ALGORITHMS.iter().filter_map(|(algorithm, _, field)| Some((*algorithm, value_of(field)?)));
        let value = given.next();
        if given.next().is_some() {
            return Err(s3_error!(InvalidRequest, "a request has one checksum at the most"));
        }
        let trailer = value_of("x-amz-trailer").map(str::trim);
        let announced = ALGORITHMS.iter().find(|(_, _, field)| trailer == Some(*field)).map(|(found, _, _)| *found);
        let named = match value_of("x-amz-sdk-checksum-algorithm") {
            Some(name) => Some(algorithm(name)?),
            None => None,
        };
        let algorithm = value.map(|(algorithm, _)| algorithm).or(announced).or(named).or(otherwise);
        let trailers = trailers.filter(|_| announced.is_some());
        Ok(Self { algorithm, value: value.map(|(_, value)| value.to_owned()), trailers })
    }

    /// Whether this is the algorithm.
    pub(super) fn is_of(&self, algorithm: Algorithm) -> bool {
        self.algorithm == Some(algorithm)
    }

    /// What a field says.
    pub(super) fn said(self) -> Option<String> {
        self.value
    }

    /// Nothing is said of the body; this is computed.
    pub(super) fn computed(algorithm: Option<Algorithm>) -> Self {
        Self { algorithm, value: None, trailers: None }
    }

    pub(super) fn hasher(&self) -> ChecksumHasher {
        self.algorithm.map(hasher).unwrap_or_default()
    }

    /// What the body has, if that is what the client says.
    pub(super) fn check(self, hasher: ChecksumHasher) -> S3Result<Option<Sum>> {
        let Some(algorithm) = self.algorithm else { return Ok(None) };
        let computed = value(&hasher.finalize(), algorithm).unwrap_or_default().to_owned();
        let field = field(algorithm);
        let announced = self.trailers.is_some();
        let behind = self.trailers.and_then(|trailers| trailers.take());
        let behind = behind.as_ref().and_then(|fields| fields.get(field)).and_then(|value| value.to_str().ok());
        if announced && behind.is_none() {
            return Err(s3_error!(InvalidRequest, "{field} was announced, and is not behind the body"));
        }
        for said in [self.value.as_deref(), behind].into_iter().flatten() {
            if said != computed {
                return Err(s3_error!(BadDigest, "{field} says {said}, and the body has {computed}"));
            }
        }
        Ok(Some(Sum { algorithm, of: SumOf::Content, value: computed }))
    }
}

/// An algorithm by its name in XML.
pub(super) fn algorithm(name: &str) -> S3Result<Algorithm> {
    let found = ALGORITHMS.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(name));
    let known = "CRC32, CRC32C, CRC64NVME, SHA1, SHA256";
    found.map(|(found, _, _)| *found).ok_or_else(|| s3_error!(InvalidRequest, "{name:?} is none of {known}"))
}

/// An algorithm's name in XML.
pub(super) fn name(algorithm: Algorithm) -> ChecksumAlgorithm {
    let found = ALGORITHMS.iter().find(|(known, _, _)| *known == algorithm);
    ChecksumAlgorithm::from_static(found.map_or(ChecksumAlgorithm::CRC32, |(_, name, _)| name))
}

fn field(algorithm: Algorithm) -> &'static str {
    ALGORITHMS.iter().find(|(known, _, _)| *known == algorithm).map_or("x-amz-checksum-crc32", |(_, _, field)| field)
}

fn hasher(algorithm: Algorithm) -> ChecksumHasher {
    let mut hasher = ChecksumHasher::default();
    match algorithm {
        Algorithm::Crc32 => hasher.crc32 = Some(Crc32::new()),
        Algorithm::Crc32c => hasher.crc32c = Some(Crc32c::new()),
        Algorithm::Crc64Nvme => hasher.crc64nvme = Some(Crc64Nvme::new()),
        Algorithm::Sha1 => hasher.sha1 = Some(Sha1::new()),
        Algorithm::Sha256 => hasher.sha256 = Some(Sha256::new()),
    }
    hasher
}

/// The value that a set of checksums has of one algorithm.
pub(super) fn value(of: &Checksum, algorithm: Algorithm) -> Option<&str> {
    let value = match algorithm {
        Algorithm::Crc32 => &of.checksum_crc32,
        Algorithm::Crc32c => &of.checksum_crc32c,
        Algorithm::Crc64Nvme => &of.checksum_crc64nvme,
        Algorithm::Sha1 => &of.checksum_sha1,
        Algorithm::Sha256 => &of.checksum_sha256,
    };
    value.as_deref()
}

/// A stored checksum on the wire.
pub(super) fn on_the_wire(sum: Option<&Sum>) -> Checksum {
    let mut wire = Checksum::default();
    let Some(sum) = sum else { return wire };
    let value = Some(sum.value.clone());
    match sum.algorithm {
        Algorithm::Crc32 => wire.checksum_crc32 = value,
        Algorithm::Crc32c => wire.checksum_crc32c = value,
        Algorithm::Crc64Nvme => wire.checksum_crc64nvme = value,
        Algorithm::Sha1 => wire.checksum_sha1 = value,
        Algorithm::Sha256 => wire.checksum_sha256 = value,
    }
    wire
}

/// Makes an answer with the fields of a checksum beside those that are given.
macro_rules! with_checksum {
    ($sum:expr, $answer:ident { $($fields:tt)* }) => {{
        let sums = $crate::front::checksums::on_the_wire($sum);
        $answer {
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            $($fields)*
        }
    }};
}

pub(super) use with_checksum;

/// What a stored checksum is of, on the wire.
pub(super) fn kind_of(sum: Option<&Sum>) -> Option<ChecksumType> {
    sum.map(|sum| kind(sum.of))
}

/// What a checksum is of, on the wire.
pub(super) fn kind(of: SumOf) -> ChecksumType {
    ChecksumType::from_static(match of {
        SumOf::Content => ChecksumType::FULL_OBJECT,
        SumOf::Parts => ChecksumType::COMPOSITE,
    })
}

/// The checksum of checksums of parts, as S3 forms it: over their bytes, with the number of parts behind a hyphen.
pub(super) fn of_parts(algorithm: Algorithm, parts: impl Iterator<Item = Vec<u8>>) -> Sum {
    let mut hasher = hasher(algorithm);
    let mut count = 0;
    for part in parts {
        hasher.update(&part);
        count += 1;
    }
    let value = value(&hasher.finalize(), algorithm).unwrap_or_default().to_owned();
    Sum { algorithm, of: SumOf::Parts, value: format!("{value}-{count}") }
}

/// The checksum of the whole, from those of its parts and their lengths. Digests cannot be combined.
pub(super) fn combined(algorithm: Algorithm, parts: &[(Vec<u8>, u64)]) -> Option<Sum> {
    let (crc, width) = match algorithm {
        Algorithm::Crc32 => (CrcAlgorithm::Crc32IsoHdlc, 4),
        Algorithm::Crc32c => (CrcAlgorithm::Crc32Iscsi, 4),
        Algorithm::Crc64Nvme => (CrcAlgorithm::Crc64Nvme, 8),
        Algorithm::Sha1 | Algorithm::Sha256 => return None,
    };
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let mut sums = parts.iter().map(|(sum, bytes)| (number(sum), *bytes));
    let (first, _) = sums.next()?;
    let whole = sums.fold(first, |whole, (sum, bytes)| crc_fast::checksum_combine(crc, whole, sum, bytes));
    let bytes = whole.to_be_bytes();
    let value = STANDARD.encode(bytes.get(bytes.len() - width..)?);
    Some(Sum { algorithm, of: SumOf::Content, value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut hasher = hasher(algorithm);
        hasher.update(bytes);
        value(&hasher.finalize(), algorithm).unwrap().to_owned()
    }

    proptest! {
        #[test]
        fn sums_of_parts_combine_to_that_of_the_whole(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..6)) {
            for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
                let of_part = |part: &Vec<u8>| (STANDARD.decode(sum(algorithm, part)).unwrap(), part.len() as u64);
                let sums: Vec<_> = parts.iter().map(of_part).collect();
                prop_assert_eq!(combined(algorithm, &sums).unwrap().value, sum(algorithm, &parts.concat()));
            }
        }
    }

    #[test]
    fn digests_do_not_combine() {
        assert_eq!(combined(Algorithm::Sha256, &[(vec![0; 32], 1)]), None);
    }
}
