#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tasklane::fuzzing::oauth1(data));
