//! Byte strings that share their bytes when cloned and wipe them when the last holder lets go.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use zeroize::Zeroize;

/// Bytes of a template, a secret or a result: cheap to clone and to cut, zeroed on drop, never shown by `Debug`.
#[derive(Clone, Default)]
pub struct Text {
    /// `None` stands for no bytes.
    whole: Option<Arc<Wiped>>,
    /// The part of the whole; a `u32` each, because four gibibytes are beyond every limit.
    start: u32,
    end: u32,
}

struct Wiped(Vec<u8>);

impl Drop for Wiped {
    fn drop(&mut self) {
        // Slices are wiped at the speed of memory, and a vector byte by byte.
        self.0.as_mut_slice().zeroize();
        self.0.spare_capacity_mut().zeroize();
    }
}

impl Text {
    /// The bytes.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.whole {
            Some(whole) => &whole.0[self.start as usize..self.end as usize],
            None => &[],
        }
    }

    /// How many bytes are held for it: those of the whole that it is a part of.
    #[must_use]
    pub fn held(&self) -> usize {
        self.whole.as_ref().map_or(0, |whole| whole.0.len())
    }

    /// The text, if it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_bytes()).ok()
    }

    /// The bytes `from..to`, without a copy.
    ///
    /// # Panics
    /// If the part does not lie within the text.
    #[inline]
    #[must_use]
    pub fn slice(&self, from: usize, to: usize) -> Self {
        assert!(
            from <= to && to <= self.len(),
            "a part lies within the whole"
        );
        Self {
            whole: self.whole.clone(),
            start: self.start + from as u32,
            end: self.start + to as u32,
        }
    }
}

impl Text {
    /// A part of these bytes, without a copy.
    ///
    /// # Panics
    /// If the part is not one of this very text.
    #[must_use]
    pub fn part(&self, part: &[u8]) -> Self {
        if part.is_empty() {
            return Self::default();
        }
        let from = part.as_ptr().addr().wrapping_sub(self.as_ptr().addr());
        self.slice(from, from.wrapping_add(part.len()))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        let end = u32::try_from(bytes.len()).expect("limits keep texts below four gibibytes");
        Self {
            whole: Some(Arc::new(Wiped(tight(bytes)))),
            start: 0,
            end,
        }
    }
}

/// Without most of the room that growing has left: it is held as long as the text, and becomes memory when it is wiped.
fn tight(mut bytes: Vec<u8>) -> Vec<u8> {
    /// Room that is not worth a copy.
    const LITTLE: usize = 64;
    /// What is larger shrinks where it is; a copy would take as much again.
    const LARGE: usize = 256 << 10;
    if bytes.capacity() - bytes.len() <= LITTLE + bytes.len() / 4 {
        return bytes;
    }
    if bytes.capacity() >= LARGE {
        bytes.shrink_to_fit();
        return bytes;
    }
    let copy = bytes.as_slice().to_vec();
    drop(Wiped(bytes));
    copy
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self::from(bytes.to_vec())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

impl Deref for Text {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl AsRef<[u8]> for Text {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Borrow<[u8]> for Text {
    #[inline]
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.len())
    }
}
