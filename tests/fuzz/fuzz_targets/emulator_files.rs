#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oxivirt_fuzz::emulator_files(data));
