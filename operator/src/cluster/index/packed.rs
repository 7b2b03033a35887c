//! An object in few bytes: as compressed JSON. Objects of one kind are much alike, so what they share with a typical one
//! costs next to nothing, and most of them are not looked at for hours.

use std::marker::PhantomData;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An object that can be packed.
pub(crate) trait Pack: Serialize + DeserializeOwned {
    /// A typical object as JSON: what others have in common with it is not kept.
    const TYPICAL: &'static str;
}

/// A packed object.
pub(super) struct Packed<K> {
    bytes: Box<[u8]>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Pack> Packed<K> {
    pub(super) fn of(object: &K) -> Self {
        let json = serde_json::to_vec(object).expect("what is kept is plain data");
        let bytes = compress_prepend_size_with_dict(&json, K::TYPICAL.as_bytes());
        Self {
            bytes: bytes.into(),
            kind: PhantomData,
        }
    }

    pub(super) fn unpack(&self) -> K {
        let json = decompress_size_prepended_with_dict(&self.bytes, K::TYPICAL.as_bytes());
        let json = json.expect("it was compressed with the same words");
        serde_json::from_slice(&json).expect("it was written from such an object")
    }
}
