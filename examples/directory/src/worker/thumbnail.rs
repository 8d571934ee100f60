//! A photo's small copy.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader};

use crate::photos;

/// The width and height of a small copy, in pixels: twice what the list shows, for dense screens.
const SIDE: u32 = 192;
/// The JPEG quality of a small copy, of 100.
const QUALITY: u8 = 82;
/// How much memory reading a photo may take, in bytes: the largest one at four bytes a pixel, and some.
const MEMORY_MAX: u64 = 192 * 1024 * 1024;

/// The middle of a photo, upright, as a small JPEG.
pub(super) fn make(photo: &[u8]) -> Result<Vec<u8>, ImageError> {
    let small = read(photo)?.resize_to_fill(SIDE, SIDE, FilterType::CatmullRom);
    let mut bytes = Vec::new();
    // JPEG knows no transparency.
    JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(&small.into_rgb8())?;
    Ok(bytes)
}

fn read(photo: &[u8]) -> Result<DynamicImage, ImageError> {
    let mut reader = ImageReader::new(Cursor::new(photo)).with_guessed_format()?;
    reader.limits(photos::limits(MEMORY_MAX));
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, GenericImageView, ImageFormat, RgbImage};

    use super::{SIDE, make};

    fn encoded(image: RgbImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::from(image).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn the_middle_is_kept() {
        // Red, green, red: three squares side by side.
        let image =
            RgbImage::from_fn(900, 300, |x, _| image::Rgb(if x / 300 == 1 { [0, 200, 0] } else { [200, 0, 0] }));
        for format in [ImageFormat::Png, ImageFormat::Jpeg] {
            let small = image::load_from_memory(&make(&encoded(image.clone(), format)).unwrap()).unwrap();
            assert_eq!(small.dimensions(), (SIDE, SIDE));
            let [red, green, _, _] = small.get_pixel(SIDE / 2, SIDE / 2).0;
            assert!(green > 180 && red < 40, "{format:?}: {red} {green}");
        }
    }

    #[test]
    fn what_is_no_photo_is_an_error() {
        assert!(make(b"").is_err());
        assert!(make(b"\xff\xd8\xff\xe0 and no more").is_err());
    }

    #[test]
    fn a_photo_that_would_fill_the_memory_is_not_read() {
        let wide = encoded(RgbImage::new(6001, 1), ImageFormat::Png);
        assert!(make(&wide).is_err());
    }
}
