//! Buckets: those of the settings, shown to the keys that may use them. Start reading at [`Front::buckets`].

use s3s::dto::{
    Bucket, BucketLocationConstraint, BucketVersioningStatus, GetBucketLocationOutput, GetBucketVersioningOutput,
    HeadBucketOutput, ListBucketsInput, ListBucketsOutput, Owner, PutBucketVersioningInput, PutBucketVersioningOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::access::Caller;
use super::{Front, answers};
use crate::store::record::Versioning;

/// Who owns everything: access is by keys, and accounts do not exist.
pub(super) const OWNER: &str = "mainstay";

/// The owner, as answers tell it.
pub(super) fn owner() -> Owner {
    Owner { display_name: Some(OWNER.to_owned()), id: Some(OWNER.to_owned()) }
}

impl Front {
    pub(super) fn buckets(&self, request: &S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let caller = Caller::of(request)?;
        let live = self.settings();
        let prefix = request.input.prefix.as_deref().unwrap_or_default();
        let visible = live.buckets.iter().filter(|(name, _)| name.starts_with(prefix) && caller.may_use(name));
        let buckets = visible.map(|(name, bucket)| Bucket {
            name: Some(name.clone()),
            creation_date: Some(answers::timestamp(bucket.created)),
            bucket_region: None,
        });
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            owner: Some(owner()),
            prefix: request.input.prefix.clone(),
            ..Default::default()
        }))
    }

    pub(super) fn head_bucket_named(&self, name: &str) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket(name)?;
        let bucket_region = Some(self.settings().region.clone());
        Ok(S3Response::new(HeadBucketOutput { bucket_region, ..Default::default() }))
    }

    pub(super) fn location(&self, name: &str) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.bucket(name)?;
        let region = BucketLocationConstraint::from(self.settings().region.clone());
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint: Some(region) }))
    }

    pub(super) fn versioning(&self, name: &str) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        let status = status_of(self.bucket(name)?.versioning).map(BucketVersioningStatus::from_static);
        Ok(S3Response::new(GetBucketVersioningOutput { status, mfa_delete: None }))
    }

    /// Asking for what is so already is granted: tools that set up their buckets do.
    pub(super) fn set_versioning(
        &self,
        input: &PutBucketVersioningInput,
    ) -> S3Result<S3Response<PutBucketVersioningOutput>> {
        let present = status_of(self.bucket(&input.bucket)?.versioning);
        let wanted = input.versioning_configuration.status.as_ref().map(BucketVersioningStatus::as_str);
        match wanted == present {
            true => Ok(S3Response::new(PutBucketVersioningOutput {})),
            false => Err(s3_error!(AccessDenied, "whether a bucket keeps versions is said in the stack's file")),
        }
    }
}

fn status_of(versioning: Versioning) -> Option<&'static str> {
    match versioning {
        Versioning::Off => None,
        Versioning::On => Some(BucketVersioningStatus::ENABLED),
        Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
    }
}
