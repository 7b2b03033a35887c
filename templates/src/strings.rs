//! `[]string`. The pieces of a text are kept as places in it: they are many, and few are looked at alone.

use planescape_vault::Text;

#[derive(Clone)]
pub(crate) enum Strings {
    /// Each by itself.
    Texts(Vec<Text>),
    /// Pieces of one text.
    Pieces { whole: Text, places: Vec<Piece> },
}

/// Where a piece starts and ends; a `u32` each, as in [`Text`].
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    start: u32,
    end: u32,
}

impl Piece {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        Self {
            start: start as u32,
            end: end as u32,
        }
    }

    fn of(self, whole: &[u8]) -> &[u8] {
        &whole[self.start as usize..self.end as usize]
    }
}

impl Strings {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Pieces { places, .. } => places.len(),
        }
    }

    pub(crate) fn get(&self, at: usize) -> Option<Text> {
        match self {
            Self::Texts(texts) => texts.get(at).cloned(),
            Self::Pieces { whole, places } => {
                let place = places.get(at)?;
                Some(whole.slice(place.start as usize, place.end as usize))
            }
        }
    }

    /// The bytes of each.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let (texts, places, whole) = match self {
            Self::Texts(texts) => (&texts[..], &[][..], &[][..]),
            Self::Pieces { whole, places } => (&[][..], &places[..], whole.as_bytes()),
        };
        (0..self.len()).map(move |at| match texts.get(at) {
            Some(text) => text.as_bytes(),
            None => places[at].of(whole),
        })
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = Text> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    /// Those from `from` to before `to`.
    pub(crate) fn slice(&self, from: usize, to: usize) -> Self {
        match self {
            Self::Texts(texts) => Self::Texts(texts[from..to].to_vec()),
            Self::Pieces { whole, places } => Self::Pieces {
                whole: whole.clone(),
                places: places[from..to].to_vec(),
            },
        }
    }

    /// By their bytes.
    pub(crate) fn sort(&mut self) {
        match self {
            Self::Texts(texts) => texts.sort_unstable(),
            Self::Pieces { whole, places } => {
                let whole = whole.as_bytes();
                places.sort_unstable_by(|a, b| a.of(whole).cmp(b.of(whole)));
            }
        }
    }

    /// How long they are with a separator behind each.
    pub(crate) fn joined_length(&self, separator: &[u8]) -> usize {
        let bytes = match self {
            Self::Texts(texts) => texts.iter().map(|text| text.len()).sum(),
            Self::Pieces { places, .. } => {
                let lengths = places.iter().map(|place| place.end - place.start);
                lengths.map(|length| length as usize).sum::<usize>()
            }
        };
        bytes.saturating_add(separator.len().saturating_mul(self.len()))
    }

    pub(crate) fn join(&self, separator: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.joined_length(separator));
        for (at, item) in self.iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(separator);
            }
            out.extend_from_slice(item);
        }
        out
    }
}

impl PartialEq for Strings {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}
