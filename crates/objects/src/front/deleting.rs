//! Deleting objects and versions. Start reading at [`Front::delete`].

use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, Error,
    ObjectIdentifier,
};
use s3s::{S3Response, S3Result, s3_error};

use super::unsupported::absent;
use super::writing::shown;
use super::{Front, answers, conditions};
use crate::live::LiveBucket;
use crate::store::Condition;
use crate::store::record::{Place, VersionId};

/// The most objects of one request, as in S3.
const OBJECTS_MAX: usize = 1000;

/// What a deletion did.
struct Deleted {
    /// The version that was removed, or the marker that was made.
    version: Option<VersionId>,
    marker: bool,
}

impl Front {
    pub(super) async fn delete(&self, input: DeleteObjectInput) -> S3Result<S3Response<DeleteObjectOutput>> {
        absent("deletion on conditions other than an entity tag", input.if_match_last_modified_time.is_some())?;
        absent("deletion on conditions other than an entity tag", input.if_match_size.is_some())?;
        let (bucket, place) = self.place(&input.bucket, input.key)?;
        let condition = conditions::writing(input.if_match.as_ref(), None);
        let version = input.version_id.as_deref();
        let deleted = self.delete_one(&bucket, place, version, condition).await?;
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
        absent("deletion on conditions other than an entity tag", object.last_modified_time.is_some())?;
        absent("deletion on conditions other than an entity tag", object.size.is_some())?;
        let place = Place { bucket: bucket.id, key: object.key.clone() };
        let condition = Condition {
            if_match: object.e_tag.map(|etag| crate::store::Tag::Is(etag.into_value())),
            if_none_match: None,
        };
        let deleted = self.delete_one(bucket, place, object.version_id.as_deref(), condition).await?;
        let marker_version = deleted.version.filter(|_| deleted.marker).map(|id| id.to_string());
        Ok(DeletedObject {
            key: Some(object.key),
            delete_marker: deleted.marker.then_some(true),
            delete_marker_version_id: marker_version,
            version_id: object.version_id,
        })
    }

    async fn delete_one(
        &self,
        bucket: &LiveBucket,
        place: Place,
        version: Option<&str>,
        condition: Condition,
    ) -> S3Result<Deleted> {
        if let Some(version) = version {
            // A version that is not there is as gone as one that was removed.
            let Ok(id) = answers::version_id(version) else { return Ok(Deleted { version: None, marker: false }) };
            absent("deletion of a version on a condition", condition != Condition::default())?;
            let removed = self.in_store(move |store| store.delete_version(place, id)).await?;
            let marker = removed.is_some_and(|version| version.object.is_none());
            return Ok(Deleted { version: Some(id), marker });
        }
        let (versioning, now) = (bucket.versioning, sys::clock::now().wall);
        let made = self.in_store(move |store| store.delete(place, condition, versioning, now)).await?;
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
