//! What requests may ask for and do not get: refused, so that nobody believes in it.
//!
//! Start reading at [`refuse_unsupported`].

use s3s::dto::{ObjectCannedACL, StorageClass};
use s3s::{S3Result, s3_error};

/// Refuses the options that requests which write have in common, each under the name of its field.
macro_rules! refuse_unsupported {
    ($input:expr) => {{
        let input = &$input;
        $crate::front::unsupported::absent("server-side encryption", input.server_side_encryption.is_some())?;
        $crate::front::unsupported::absent("server-side encryption", input.ssekms_key_id.is_some())?;
        $crate::front::unsupported::absent("server-side encryption", input.sse_customer_algorithm.is_some())?;
        $crate::front::unsupported::absent("server-side encryption", input.sse_customer_key.is_some())?;
        $crate::front::unsupported::absent("object lock", input.object_lock_mode.is_some())?;
        $crate::front::unsupported::absent("object lock", input.object_lock_legal_hold_status.is_some())?;
        $crate::front::unsupported::absent("object lock", input.object_lock_retain_until_date.is_some())?;
        $crate::front::unsupported::absent("website redirection", input.website_redirect_location.is_some())?;
        $crate::front::unsupported::absent("access control by grants", input.grant_full_control.is_some())?;
        $crate::front::unsupported::absent("access control by grants", input.grant_read.is_some())?;
        $crate::front::unsupported::absent("access control by grants", input.grant_read_acp.is_some())?;
        $crate::front::unsupported::absent("access control by grants", input.grant_write_acp.is_some())?;
        $crate::front::unsupported::default_acl(input.acl.as_ref())?;
        $crate::front::unsupported::default_storage_class(input.storage_class.as_ref())?;
    }};
}

pub(super) use refuse_unsupported;

pub(super) fn absent(what: &str, present: bool) -> S3Result<()> {
    match present {
        false => Ok(()),
        true => Err(s3_error!(NotImplemented, "the object store has no {what}")),
    }
}

pub(super) fn default_acl(acl: Option<&ObjectCannedACL>) -> S3Result<()> {
    let default = [ObjectCannedACL::PRIVATE, ObjectCannedACL::BUCKET_OWNER_FULL_CONTROL];
    absent("access control lists other than private", acl.is_some_and(|acl| !default.contains(&acl.as_str())))
}

pub(super) fn default_storage_class(class: Option<&StorageClass>) -> S3Result<()> {
    let other = class.filter(|class| class.as_str() != StorageClass::STANDARD);
    absent("storage class other than STANDARD", other.is_some())
}
