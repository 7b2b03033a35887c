//! Guesses what a misspelt word was meant to be.

/// The closest candidate, when it is close enough to be meant.
pub fn closest<'word>(
    word: &str,
    candidates: impl Iterator<Item = &'word str>,
) -> Option<&'word str> {
    candidates
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .min()
        .filter(|(distance, _)| *distance <= 1 + word.chars().count() / 3)
        .map(|(_, candidate)| candidate)
}
