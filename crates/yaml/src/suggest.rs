//! Did you mean?

/// Of the words, the one that was probably meant: at most a third of the letters differ.
pub fn closest<'w>(word: &str, words: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    // Nobody means a known word with a text of this length, and comparing it costs.
    const LONGEST: usize = 100;
    let letters = word.chars().count();
    if letters > LONGEST {
        return None;
    }
    let folded = word.to_lowercase().replace('_', "-");
    words
        .into_iter()
        .map(|known| {
            let distance = strsim::osa_distance(&folded, &known.to_lowercase().replace('_', "-"));
            (distance, known)
        })
        .filter(|(distance, known)| *distance <= letters.max(known.chars().count()).div_ceil(3))
        .filter(|(distance, known)| *distance < known.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}
