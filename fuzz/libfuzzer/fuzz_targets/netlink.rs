#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| s_core_fuzz::netlink(data));
