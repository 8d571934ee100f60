//! Reading and changing the tags of objects. Start reading at [`Front::tags`].

use s3s::dto::{
    DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
    PutObjectTaggingInput, PutObjectTaggingOutput,
};
use s3s::{S3Response, S3Result};

use super::writing::shown;
use super::{Front, answers, tags};

impl Front {
    pub(super) async fn tags(&self, input: GetObjectTaggingInput) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let place = self.place(&input.bucket, input.key)?;
        let found = self.look(place, answers::which(input.version_id.as_deref())?).await?;
        let tag_set = tags::to_body(found.object.headers.tags);
        Ok(S3Response::new(GetObjectTaggingOutput { tag_set, version_id: shown(found.id) }))
    }

    pub(super) async fn set_tags(&self, input: PutObjectTaggingInput) -> S3Result<S3Response<PutObjectTaggingOutput>> {
        let place = self.place(&input.bucket, input.key)?;
        let which = answers::which(input.version_id.as_deref())?;
        let tags = tags::of_body(input.tagging.tag_set)?;
        let id = self
            .in_store(move |store| store.describe(place, which, move |headers| headers.tags.clone_from(&tags)))
            .await?;
        Ok(S3Response::new(PutObjectTaggingOutput { version_id: shown(id) }))
    }

    pub(super) async fn drop_tags(
        &self,
        input: DeleteObjectTaggingInput,
    ) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
        let place = self.place(&input.bucket, input.key)?;
        let which = answers::which(input.version_id.as_deref())?;
        let id = self.in_store(move |store| store.describe(place, which, |headers| headers.tags.clear())).await?;
        Ok(S3Response::new(DeleteObjectTaggingOutput { version_id: shown(id) }))
    }
}
