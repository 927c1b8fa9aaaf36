//! Unpacks archives into a directory handle, believing nothing that they say.
//!
//! Tar (plain or compressed with gzip, xz or zstd), zip, and single files. Names are bytes and stay below the
//! directory; links are stored as data and nothing is ever written through one; what is neither a file nor a
//! directory nor a link is refused; limits hold while it is being written, not after. The crate knows no network,
//! no clock and no path of the host: it has the archive and the directory that it was given.
//!
//! Times and owners of entries are not kept: in an image they are constants. Of modes, the permission bits are.
//! What an archive wrote before it was refused stays behind: unpack into a directory that can be thrown away.
//!
//! Start reading at [`unpack`].

mod decode;
mod error;
mod filter;
mod input;
mod name;
mod options;
mod tar;
mod tree;
mod unpack;
mod zip;

pub use error::{EntryName, Limit, Rule, UnpackError};
pub use filter::{Filter, FilterError};
pub use options::{Format, Limits, Options, UnknownFormat};
pub use tree::{Kind, Made, Summary};
pub use unpack::{unpack, unpack_stream};
