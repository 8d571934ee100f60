//! HTTP/1.1 as the edge speaks it on both sides: strict reading of heads and bodies, and writing of what goes onward.
//!
//! Start reading at [`request`], then [`response`]. A parser is given the caller's buffer, which begins at a message
//! and only grows until the head is whole; it answers with a view over that buffer, so nothing is copied and, once its
//! table has its size, nothing is allocated. [`body`] cuts a body into pieces of the buffer, and [`frame`] puts
//! pieces into the framing of the other side.
//!
//! Heads are cut by `httparse` after [`scan`] has found their end and refused bad line ends; what `httparse` lets pass
//! and this crate does not (bare LF, empty lines, bytes beyond ASCII in a target) is refused around it.
//!
//! Invariants. What two readers could understand in two ways is refused, never mended. A verdict does not depend on
//! how the bytes were split into reads. A [`Refusal`] ends the connection it was read from: where its message ends is
//! not known, or not to be trusted. What is written has one framing, one `Host`, and nothing that was meant
//! for the connection it came from. No input or output, no clock, no runtime here.

mod limits;
mod refusal;

pub mod request;
pub mod response;

mod diagnosis;
mod field;
mod head;
mod scan;

mod claim;
mod framing;
mod host;
mod onward;
mod persistence;
mod target;

pub mod body;
pub mod frame;
pub mod trailer;

pub use body::{BodyDecoder, Piece};
pub use claim::is_claim;
pub use field::{Field, FieldError, Fields};
pub use frame::{BodyEncoder, EncodeError, Frame};
pub use framing::Body;
pub use head::Version;
pub use host::Host;
pub use limits::Limits;
pub use onward::{Edits, Withheld};
pub use refusal::Refusal;
pub use request::{Asked, RequestHead, RequestParser};
pub use response::{ResponseHead, ResponseParser};
pub use target::Target;
pub use trailer::Trailers;
