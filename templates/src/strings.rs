//! `[]string`. The pieces of a text are kept as places in it: they are many, and few are looked at alone.

use std::cell::OnceCell;

use planescape_vault::Text;

/// Like a slice in Go it can be sorted where it is: all who hold it see the new order.
pub(crate) struct Strings {
    made: Elements,
    sorted: OnceCell<Elements>,
}

enum Elements {
    /// Each by itself.
    Texts(Vec<Text>),
    /// Pieces of one text.
    Pieces { whole: Text, places: Vec<Piece> },
}

/// The place of a piece; a `u32` for each end, as in [`Text`].
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

    /// Appends the piece. A block is copied without a call, which takes less time than finding out how long a short
    /// piece is; the bytes behind the piece are cut off again.
    #[inline]
    fn append(self, whole: &[u8], out: &mut Vec<u8>) {
        let piece = self.of(whole);
        match whole[self.start as usize..].first_chunk::<BLOCK>() {
            Some(block) if piece.len() <= BLOCK => {
                out.extend_from_slice(block);
                out.truncate(out.len() - BLOCK + piece.len());
            }
            Some(_) | None => out.extend_from_slice(piece),
        }
    }
}

/// As many bytes as one instruction copies.
const BLOCK: usize = 16;

impl Elements {
    fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Pieces { places, .. } => places.len(),
        }
    }

    fn bytes(&self, at: usize) -> &[u8] {
        match self {
            Self::Texts(texts) => &texts[at],
            Self::Pieces { whole, places } => places[at].of(whole),
        }
    }

    /// By their bytes.
    fn sorted(&self) -> Self {
        match self {
            Self::Texts(texts) => {
                let order = order(texts.len(), |at| texts[at].as_bytes());
                Self::Texts(order.map(|at| texts[at].clone()).collect())
            }
            Self::Pieces { whole, places } => {
                let bytes = whole.as_bytes();
                let order = order(places.len(), |at| places[at].of(bytes));
                Self::Pieces {
                    whole: whole.clone(),
                    places: order.map(|at| places[at]).collect(),
                }
            }
        }
    }
}

/// One of many texts that are sorted: its beginning decides most comparisons without a look at the rest.
struct Rank {
    head: u64,
    length: u32,
    at: u32,
}

/// How many bytes a beginning has; a shorter text is filled up with zeros.
const HEAD: usize = size_of::<u64>();

fn head(text: &[u8]) -> u64 {
    if let Some(first) = text.first_chunk::<HEAD>() {
        return u64::from_be_bytes(*first);
    }
    let bytes = text
        .iter()
        .fold(0u64, |head, &byte| head << 8 | u64::from(byte));
    bytes.unbounded_shl(8 * (HEAD - text.len()) as u32)
}

/// The places of so many texts, in the order of their bytes.
fn order<'t>(count: usize, text: impl Fn(usize) -> &'t [u8]) -> impl Iterator<Item = usize> {
    let rank = |at: usize| {
        let text = text(at);
        Rank {
            head: head(text),
            length: text.len() as u32,
            at: at as u32,
        }
    };
    let mut ranks: Vec<Rank> = (0..count).map(rank).collect();
    ranks.sort_unstable_by(|a, b| {
        a.head.cmp(&b.head).then_with(|| {
            // If two texts begin alike and one is no longer than that, it is the beginning of the other.
            if a.length.min(b.length) as usize <= HEAD {
                return a.length.cmp(&b.length);
            }
            text(a.at as usize)[HEAD..].cmp(&text(b.at as usize)[HEAD..])
        })
    });
    ranks.into_iter().map(|rank| rank.at as usize)
}

impl From<Vec<Text>> for Strings {
    fn from(texts: Vec<Text>) -> Self {
        Self::of(Elements::Texts(texts))
    }
}

impl Strings {
    pub(crate) fn pieces(whole: &Text, places: Vec<Piece>) -> Self {
        let whole = whole.clone();
        Self::of(Elements::Pieces { whole, places })
    }

    fn of(made: Elements) -> Self {
        Self {
            made,
            sorted: OnceCell::new(),
        }
    }

    fn elements(&self) -> &Elements {
        self.sorted.get().unwrap_or(&self.made)
    }

    pub(crate) fn len(&self) -> usize {
        self.made.len()
    }

    pub(crate) fn get(&self, at: usize) -> Option<Text> {
        match self.elements() {
            Elements::Texts(texts) => texts.get(at).cloned(),
            Elements::Pieces { whole, places } => {
                let place = places.get(at)?;
                Some(whole.slice(place.start as usize, place.end as usize))
            }
        }
    }

    /// The bytes of each.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let elements = self.elements();
        (0..elements.len()).map(move |at| elements.bytes(at))
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = Text> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    /// The texts from `from` to before `to`.
    pub(crate) fn slice(&self, from: usize, to: usize) -> Self {
        Self::of(match self.elements() {
            Elements::Texts(texts) => Elements::Texts(texts[from..to].to_vec()),
            Elements::Pieces { whole, places } => Elements::Pieces {
                whole: whole.clone(),
                places: places[from..to].to_vec(),
            },
        })
    }

    /// By their bytes.
    pub(crate) fn sort(&self) {
        self.sorted.get_or_init(|| self.made.sorted());
    }

    /// How long they are with a separator behind each.
    pub(crate) fn joined_length(&self, separator: &[u8]) -> usize {
        let bytes = match &self.made {
            Elements::Texts(texts) => texts.iter().map(|text| text.len()).sum(),
            Elements::Pieces { places, .. } => {
                let lengths = places.iter().map(|place| place.end - place.start);
                lengths.map(|length| length as usize).sum::<usize>()
            }
        };
        bytes.saturating_add(separator.len().saturating_mul(self.len()))
    }

    pub(crate) fn join(&self, separator: &[u8]) -> Vec<u8> {
        let elements = self.elements();
        let mut out = Vec::with_capacity(self.joined_length(separator).saturating_add(BLOCK));
        for at in 0..elements.len() {
            match separator {
                _ if at == 0 => {}
                [byte] => out.push(*byte),
                bytes => out.extend_from_slice(bytes),
            }
            match elements {
                Elements::Texts(texts) => out.extend_from_slice(&texts[at]),
                Elements::Pieces { whole, places } => places[at].append(whole, &mut out),
            }
        }
        out
    }
}

impl PartialEq for Strings {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces around the lengths at which they are sorted and copied in another way, cut out of one text.
    fn pieces() -> (Strings, Vec<Vec<u8>>) {
        let parts: [&[u8]; 12] = [
            b"ab",
            b"",
            b"ab\0",
            b"a",
            b"12345678",
            b"12345678\0",
            b"1234567",
            b"123456789b",
            b"123456789a",
            b"\xff",
            b"ab",
            b"0123456789abcdef0",
        ];
        let whole = Text::from(parts.concat());
        let mut start = 0;
        let places = parts.iter().map(|part| {
            start += part.len();
            Piece::new(start - part.len(), start)
        });
        let strings = Strings::pieces(&whole, places.collect());
        (strings, parts.iter().map(|part| part.to_vec()).collect())
    }

    #[test]
    fn beginnings_that_are_alike_do_not_change_the_order() {
        let (pieces, mut expected) = pieces();
        let texts = Strings::from(pieces.texts().collect::<Vec<_>>());
        pieces.sort();
        texts.sort();
        expected.sort();
        for sorted in [pieces, texts] {
            assert!(sorted.iter().eq(expected.iter().map(Vec::as_slice)));
        }
    }

    #[test]
    fn nothing_of_a_neighbour_comes_into_a_joined_text() {
        let (pieces, parts) = pieces();
        for separator in ["", ",", "--"] {
            let expected = parts.join(separator.as_bytes());
            assert_eq!(pieces.join(separator.as_bytes()), expected);
        }
    }
}
