//! The vDSO of a process, as a stranger looks at it and changes it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

use elf::ElfBytes;
use elf::endian::LittleEndian;

const JUMP: usize = 5;
const ENDBR: [u8; 4] = [0xf3, 0x0f, 0x1e, 0xfa];

/// The first bytes of the function `time`, in hexadecimal: the lab's program never calls it.
pub fn beginning(pid: u32) -> String {
    let (memory, at) = find(pid);
    let mut bytes = [0; 8];
    memory.read_exact_at(&mut bytes[8 - JUMP..], at).unwrap();
    format!("{:010x}", u64::from_be_bytes(bytes))
}

/// Others in their place.
pub fn set_beginning(pid: u32, text: &str) {
    let (memory, at) = find(pid);
    let number = u64::from_str_radix(text, 16).unwrap();
    memory.write_all_at(&number.to_be_bytes()[8 - JUMP..], at).unwrap();
}

fn find(pid: u32) -> (File, u64) {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let line = maps.lines().find(|line| line.ends_with("[vdso]")).unwrap();
    let (begin, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
    let [begin, end] = [begin, end].map(|text| u64::from_str_radix(text, 16).unwrap());
    let memory = OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/proc/{pid}/mem"))
        .unwrap();
    let mut bytes = vec![0; (end - begin) as usize];
    memory.read_exact_at(&mut bytes, begin).unwrap();
    let image = ElfBytes::<LittleEndian>::minimal_parse(&bytes).unwrap();
    let (symbols, names) = image.dynamic_symbol_table().unwrap().unwrap();
    let time = symbols
        .iter()
        .find(|symbol| names.get(symbol.st_name as usize).unwrap() == "__vdso_time")
        .unwrap();
    let behind = if bytes[time.st_value as usize..].starts_with(&ENDBR) {
        ENDBR.len() as u64
    } else {
        0
    };
    (memory, begin + time.st_value + behind)
}
