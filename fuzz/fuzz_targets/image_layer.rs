#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tasklane_fuzzing::image_layer(data));
