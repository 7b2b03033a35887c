//! Packed objects by number.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hash, RandomState};

use super::packed::{Pack, Packed};

/// The number of an object for as long as it is kept.
pub(super) type Number = u32;

/// Packed objects, each found by its number and by any number of keys. Only the hash of a key is kept: the caller
/// checks whether the object found has the key.
pub(super) struct Shelf<K> {
    objects: Vec<Option<Packed<K>>>,
    free: Vec<Number>,
    links: BTreeSet<(u32, Number)>,
    hasher: RandomState,
}

impl<K: Pack> Shelf<K> {
    pub(super) fn new() -> Self {
        Self {
            objects: Vec::new(),
            free: Vec::new(),
            links: BTreeSet::new(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len() - self.free.len()
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = Number> {
        let numbered = (0..).zip(&self.objects);
        numbered.filter_map(|(number, object)| object.as_ref().map(|_| number))
    }

    /// The object of a number, if there is any.
    pub(super) fn get(&self, number: Number) -> Option<K> {
        let object = self.objects.get(number as usize)?.as_ref()?;
        Some(object.unpack())
    }

    /// Puts an object there, and answers its number.
    pub(super) fn add(&mut self, object: &K) -> Number {
        let object = Some(Packed::of(object));
        if let Some(number) = self.free.pop() {
            self.objects[number as usize] = object;
            return number;
        }
        self.objects.push(object);
        let number = Number::try_from(self.objects.len() - 1);
        number.expect("memory ends long before four billion objects")
    }

    /// Puts another object in the place of one that is there.
    pub(super) fn replace(&mut self, number: Number, object: &K) {
        self.objects[number as usize] = Some(Packed::of(object));
    }

    /// Takes an object away that is found by nothing any more.
    pub(super) fn remove(&mut self, number: Number) {
        self.objects[number as usize] = None;
        self.free.push(number);
    }

    pub(super) fn link(&mut self, key: &impl Hash, number: Number) {
        let hash = self.hash(key);
        self.links.insert((hash, number));
    }

    pub(super) fn unlink(&mut self, key: &impl Hash, number: Number) {
        let hash = self.hash(key);
        self.links.remove(&(hash, number));
    }

    /// The objects that have a key, and others whose keys share its hash.
    pub(super) fn candidates(&self, key: &impl Hash) -> impl Iterator<Item = (Number, K)> {
        let hash = self.hash(key);
        let links = self.links.range((hash, 0)..=(hash, Number::MAX));
        links.filter_map(|(_, number)| Some((*number, self.get(*number)?)))
    }

    /// Half of it: some hundred thousand keys seldom share one.
    fn hash(&self, key: &impl Hash) -> u32 {
        (self.hasher.hash_one(key) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Pack for String {
        const TYPICAL: &'static str = "\"a typical text\"";
    }

    #[test]
    fn gives_numbers_again_and_finds_nothing_by_the_keys_of_what_is_gone() {
        let mut shelf = Shelf::new();
        let first = shelf.add(&"first".to_owned());
        let second = shelf.add(&"second".to_owned());
        shelf.link(&"key", first);
        shelf.link(&"key", second);

        shelf.unlink(&"key", first);
        shelf.remove(first);

        let found: Vec<_> = shelf.candidates(&"key").collect();
        assert_eq!(found, [(second, "second".to_owned())]);
        assert_eq!((shelf.len(), shelf.get(first)), (1, None));
        assert_eq!(shelf.add(&"third".to_owned()), first);
        assert_eq!(shelf.numbers().collect::<Vec<_>>(), [first, second]);
        assert_eq!(shelf.candidates(&"key").count(), 1);
    }
}
