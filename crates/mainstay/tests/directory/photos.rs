//! A photo's way: through the edge and the API into the object store, past the worker, and back.

use crate::product::Product;

/// A picture of hills, 512 pixels wide and high.
pub(crate) const PHOTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/hills.png");

/// Fails when a byte of a photo is lost or changed on its way to the store and back, or nobody makes its small copy.
#[test]
fn a_photo_comes_back_byte_for_byte_and_small() {
    let product = Product::up("directory-photo");
    let user = product.visitor("acme").logged_in("user@acme.example");
    let own = user.own_id();
    let sent = std::fs::read(PHOTO).unwrap();
    let file = format!("@{PHOTO}");
    let put = user
        .ask(&format!("/api/photos/{own}"), &["-X", "PUT", "-H", "Content-Type: image/png", "--data-binary", &file]);
    assert!((200..300).contains(&put.status), "{put:?}");
    let photo = user.get(&format!("/api/people/{own}")).json()["photo"]["id"].as_str().unwrap().to_owned();
    let whole = user.get(&format!("/api/photos/{own}/{photo}"));
    assert_eq!((whole.status, whole.field("content-type")), (200, "image/png"));
    assert!(whole.body == sent, "{} bytes came back of {}", whole.body.len(), sent.len());
    let small = user.get_until_good(&format!("/api/photos/{own}/{photo}/thumbnail"));
    assert!(small.body.len() < sent.len(), "{} bytes of {}", small.body.len(), sent.len());
    product.world.down();
}
