//! The stored inputs, unchanged and varied.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use proptest::{
    prelude::*,
    test_runner::{Config, TestError, TestRunner},
};

use super::TARGETS;

/// The number of variations of each target per run.
const VARIATIONS: u32 = 2000;

fn folder(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(of)
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = folder("corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// The words of a libFuzzer dictionary: `"word"`, with `\\`, `\"` and `\xNN` in it.
fn dictionary(target: &str) -> Vec<Vec<u8>> {
    let text = fs::read_to_string(folder("dictionaries").join(target)).unwrap();
    let words = text.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix('"'));
    words.map(unescaped).collect()
}

fn unescaped(word: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), word.as_bytes());
    while let Some((&byte, more)) = rest.split_first() {
        rest = more;
        if byte != b'\\' {
            bytes.push(byte);
        } else if let Some(digits) = rest.strip_prefix(b"x") {
            bytes.extend(hex::decode(&digits[..2]).unwrap());
            rest = &digits[2..];
        } else {
            bytes.push(rest[0]);
            rest = &rest[1..];
        }
    }
    bytes
}

/// A change of an input.
#[derive(Clone, Debug)]
enum Change {
    /// Sets a byte.
    Set(prop::sample::Index, u8),
    /// Inserts a word of the dictionary.
    Insert(prop::sample::Index, Vec<u8>),
    /// Removes a part.
    Remove(prop::sample::Index, usize),
    /// Repeats a part.
    Repeat(prop::sample::Index, usize, usize),
    /// Continues with a part of another input.
    Splice(prop::sample::Index, prop::sample::Index, Vec<u8>),
}

impl Change {
    fn apply(self, input: &mut Vec<u8>) {
        let place = |at: &prop::sample::Index, input: &[u8]| at.index(input.len() + 1);
        match self {
            Self::Set(at, byte) if !input.is_empty() => {
                let at = at.index(input.len());
                input[at] = byte;
            }
            Self::Set(_, byte) => input.push(byte),
            Self::Insert(at, word) => {
                let at = place(&at, input);
                input.splice(at..at, word);
            }
            Self::Remove(at, length) => {
                let at = place(&at, input);
                let end = (at + length).min(input.len());
                input.drain(at..end);
            }
            Self::Repeat(at, length, times) => {
                let at = place(&at, input);
                let part = input[at..(at + length).min(input.len())].repeat(times);
                input.splice(at..at, part);
            }
            Self::Splice(at, from, other) => {
                let at = place(&at, input);
                let from = place(&from, &other);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
        }
    }
}

/// Runs the target with many inputs; panics with the smallest failing one.
fn run_with(name: &str, run: fn(&[u8]), inputs: impl Strategy<Value = Vec<u8>>) {
    let config = Config { cases: VARIATIONS, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&inputs, |input| {
        run(&input);
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, input)) => panic!("{name}: {why}\n{}", input.escape_ascii()),
        Err(error @ TestError::Abort(_)) => panic!("{name}: {error}"),
    }
}

fn change(words: Vec<Vec<u8>>, inputs: Vec<Vec<u8>>) -> impl Strategy<Value = Change> {
    let at = || any::<prop::sample::Index>();
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (at(), prop::sample::select(words)).prop_map(|(at, word)| Change::Insert(at, word)),
        (at(), 1..24_usize).prop_map(|(at, length)| Change::Remove(at, length)),
        (at(), 1..24_usize, 1..40_usize).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        (at(), at(), prop::sample::select(inputs)).prop_map(|(at, from, other)| Change::Splice(at, from, other)),
    ]
}

#[test]
fn no_stored_input_breaks_an_invariant() {
    for (name, run) in TARGETS {
        for (path, input) in corpus(name) {
            let held = catch_unwind(AssertUnwindSafe(|| run(&input)));
            assert!(held.is_ok(), "{} breaks {name}", path.display());
        }
    }
}

#[test]
fn no_variation_of_the_stored_inputs_breaks_an_invariant() {
    for (name, run) in TARGETS {
        let inputs: Vec<_> = corpus(name).into_iter().map(|(_, input)| input).collect();
        let changes = prop::collection::vec(change(dictionary(name), inputs.clone()), 1..6);
        let varied = (prop::sample::select(inputs), changes).prop_map(|(mut input, changes)| {
            changes.into_iter().for_each(|change| change.apply(&mut input));
            input
        });
        run_with(name, run, varied);
    }
}

#[test]
fn random_bytes_break_no_invariant() {
    for (name, run) in TARGETS {
        run_with(name, run, prop::collection::vec(any::<u8>(), 0..512));
    }
}

#[test]
fn the_corpora_stay_small() {
    let sizes = TARGETS.iter().flat_map(|(name, _)| corpus(name)).map(|(_, input)| input.len());
    let total: usize = sizes.sum();
    assert!(total < 1 << 20, "fuzz/corpus holds {total} bytes; `infra/fuzz keep` keeps the smallest set");
}

#[test]
fn each_target_has_its_binary() {
    for (name, _) in TARGETS {
        let source = fs::read_to_string(folder("fuzz_targets").join(format!("{name}.rs"))).unwrap();
        assert!(source.contains(&format!("fuzzing::{name}(data)")), "{source}");
    }
    assert_eq!(fs::read_dir(folder("fuzz_targets")).unwrap().count(), TARGETS.len());
}
