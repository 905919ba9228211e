//! The small words that people write in documents and on command lines: durations, sizes, percentages, expectations, run ids.
//! None panics, and whatever is read is written so that it is read again as the same.
#![no_main]

use std::fmt::{Debug, Display};
use std::str::FromStr;

use fracas_core::ids::RunId;
use fracas_core::probe::Expect;
use fracas_core::traffic::{Peer, Service};
use fracas_core::units::{Percent, Rate, Size, Span};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    there_and_back::<Span>(text);
    there_and_back::<Size>(text);
    there_and_back::<Percent>(text);
    there_and_back::<Rate>(text);
    there_and_back::<Peer>(text);
    there_and_back::<Service>(text);
    there_and_back::<Expect>(text);
    there_and_back::<RunId>(text);
});

/// A value that is displayed can be read, and displays the same.
fn there_and_back<T: FromStr + Display + Debug>(text: &str) {
    let Ok(value) = text.parse::<T>() else { return };
    let shown = value.to_string();
    match shown.parse::<T>() {
        Ok(again) => assert_eq!(shown, again.to_string(), "{text:?}"),
        Err(_) => panic!("{text:?} is read, but shown as {shown:?}, which is not"),
    }
}
