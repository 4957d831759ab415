#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tasklane::fuzzing::zip_intake(data));
