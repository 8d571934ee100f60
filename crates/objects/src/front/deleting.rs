//! Deleting objects and versions. Start reading at [`Front::delete`].

use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, Error,
    ObjectIdentifier,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::writing::shown;
use super::{Front, answers, conditions, place_in};
use crate::live::LiveBucket;
use crate::store::record::{Place, VersionId};
use crate::store::{Condition, Tag};

/// The most objects of one request, as in S3.
const OBJECTS_MAX: usize = 1000;

/// What a deletion did.
struct Deleted {
    /// The version that was removed, or the marker that was made.
    version: Option<VersionId>,
    marker: bool,
}

impl Front {
    pub(super) async fn delete(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        let place = self.place(&input.bucket, input.key)?;
        let condition = conditions::writing(&request.headers)?;
        let version = input.version_id.as_deref();
        let deleted = self.delete_one(place, version, condition).await?;
        Ok(S3Response::new(DeleteObjectOutput {
            delete_marker: deleted.marker.then_some(true),
            version_id: deleted.version.and_then(|id| told(id, version)),
            ..Default::default()
        }))
    }

    pub(super) async fn delete_many(&self, input: DeleteObjectsInput) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let bucket = self.bucket(&input.bucket)?;
        if input.delete.objects.len() > OBJECTS_MAX {
            return Err(s3_error!(MalformedXML, "a request deletes {OBJECTS_MAX} objects at the most"));
        }
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for object in input.delete.objects {
            let (key, version) = (object.key.clone(), object.version_id.clone());
            match self.delete_listed(&bucket, object).await {
                Ok(deleted) => done.push(deleted),
                Err(error) => failed.push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(key),
                    message: error.message().map(ToOwned::to_owned),
                    version_id: version,
                }),
            }
        }
        let quiet = input.delete.quiet == Some(true);
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!quiet).then_some(done),
            errors: (!failed.is_empty()).then_some(failed),
            ..Default::default()
        }))
    }

    async fn delete_listed(&self, bucket: &LiveBucket, object: ObjectIdentifier) -> S3Result<DeletedObject> {
        if object.last_modified_time.is_some() || object.size.is_some() {
            return Err(s3_error!(NotImplemented, "a deletion may depend on an entity tag, and on nothing else"));
        }
        let place = place_in(bucket, object.key.clone())?;
        let if_match = object.e_tag.map(|etag| Tag::Is(etag.into_value()));
        let condition = Condition { if_match, if_none_match: None };
        let deleted = self.delete_one(place, object.version_id.as_deref(), condition).await?;
        let marker_version = deleted.version.filter(|_| deleted.marker).map(|id| id.to_string());
        Ok(DeletedObject {
            key: Some(object.key),
            delete_marker: deleted.marker.then_some(true),
            delete_marker_version_id: marker_version,
            version_id: object.version_id,
        })
    }

    async fn delete_one(&self, place: Place, version: Option<&str>, condition: Condition) -> S3Result<Deleted> {
        if let Some(version) = version {
            // A version that is not there is as gone as one that was removed.
            let Ok(id) = answers::version_id(version) else { return Ok(Deleted { version: None, marker: false }) };
            if condition != Condition::default() {
                return Err(s3_error!(NotImplemented, "the deletion of a version may not depend on an entity tag"));
            }
            let removed = self.in_store(move |store| store.delete_version(place, id)).await?;
            let marker = removed.is_some_and(|version| version.object.is_none());
            return Ok(Deleted { version: Some(id), marker });
        }
        let now = sys::clock::now().wall;
        let made = self.in_store(move |store| store.delete(place, condition, now)).await?;
        Ok(Deleted { version: made, marker: made.is_some() })
    }
}

/// A version that was named is told back as it was; a marker of a bucket that keeps versions is told by its id.
fn told(id: VersionId, named: Option<&str>) -> Option<String> {
    match named {
        Some(version) => Some(version.to_owned()),
        None => shown(id).or(Some("null".to_owned())),
    }
}
