//! The code that takes the place of the three functions.

#![expect(unsafe_code, reason = "it is written in assembly")]

use std::arch::global_asm;

use super::image::Function;

/// The longest name, in bytes.
pub const LONGEST_NAME: usize = 48;

// Each function has the registers of a C function of the System V ABI: rdi and rsi are its parameters, rax its answer, and besides them
// it uses only rcx, rdx and r11, which belong to whoever is called. The system call itself spoils rcx and r11.
global_asm!(
    ".pushsection .rodata.fracas_clock, \"a\"",
    ".balign 16",
    // What Rust knows by name: an optimised build has other object files for the rest of this crate. Nobody outside the program.
    ".globl fracas_clock_begin, fracas_clock_seconds, fracas_clock_gettime, fracas_clock_timeofday, fracas_clock_time, fracas_clock_end",
    ".hidden fracas_clock_begin, fracas_clock_seconds, fracas_clock_gettime, fracas_clock_timeofday, fracas_clock_time, fracas_clock_end",
    "fracas_clock_begin:",
    "fracas_clock_name:    .zero 48",
    // The offset in whole seconds, rounded down, and what is left in nanoseconds and in microseconds.
    "fracas_clock_seconds: .quad 0",
    "fracas_clock_nanos:   .quad 0",
    "fracas_clock_micros:  .quad 0",
    // int clock_gettime(clockid_t, struct timespec *)
    "fracas_clock_gettime:",
    "    endbr64",
    "    mov eax, 228",
    "    syscall",
    "    test eax, eax",
    "    jne 3f",
    // CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_TAI: include/uapi/linux/time.h
    "    test edi, edi",
    "    je 2f",
    "    cmp edi, 5",
    "    je 2f",
    "    cmp edi, 11",
    "    jne 3f",
    "2:  mov rcx, qword ptr [rip + fracas_clock_seconds]",
    "    mov rdx, qword ptr [rip + fracas_clock_nanos]",
    "    add rdx, qword ptr [rsi + 8]",
    "    cmp rdx, 1000000000",
    "    jl 4f",
    "    sub rdx, 1000000000",
    "    inc rcx",
    "4:  add qword ptr [rsi], rcx",
    "    mov qword ptr [rsi + 8], rdx",
    "3:  ret",
    // int gettimeofday(struct timeval *, struct timezone *)
    "fracas_clock_timeofday:",
    "    endbr64",
    "    mov eax, 96",
    "    syscall",
    "    test eax, eax",
    "    jne 3f",
    "    test rdi, rdi",
    "    je 3f",
    "    mov rcx, qword ptr [rip + fracas_clock_seconds]",
    "    mov rdx, qword ptr [rip + fracas_clock_micros]",
    "    add rdx, qword ptr [rdi + 8]",
    "    cmp rdx, 1000000",
    "    jl 4f",
    "    sub rdx, 1000000",
    "    inc rcx",
    "4:  add qword ptr [rdi], rcx",
    "    mov qword ptr [rdi + 8], rdx",
    "3:  ret",
    // time_t time(time_t *)
    "fracas_clock_time:",
    "    endbr64",
    "    push rdi",
    "    sub rsp, 16",
    "    mov eax, 228",
    "    xor edi, edi",
    "    mov rsi, rsp",
    "    syscall",
    "    mov rax, qword ptr [rsp]",
    "    mov rdx, qword ptr [rsp + 8]",
    "    add rax, qword ptr [rip + fracas_clock_seconds]",
    "    add rdx, qword ptr [rip + fracas_clock_nanos]",
    "    cmp rdx, 1000000000",
    "    jl 4f",
    "    inc rax",
    "4:  add rsp, 16",
    "    pop rdi",
    "    test rdi, rdi",
    "    je 3f",
    "    mov qword ptr [rdi], rax",
    "3:  ret",
    ".balign 16",
    "fracas_clock_end:",
    ".popsection",
);

unsafe extern "C" {
    static fracas_clock_begin: u8;
    static fracas_clock_seconds: u8;
    static fracas_clock_gettime: u8;
    static fracas_clock_timeofday: u8;
    static fracas_clock_time: u8;
    static fracas_clock_end: u8;
}

/// The code with its name and its offset.
pub(super) struct Code(Vec<u8>);

impl Code {
    /// How long it is; a test compares it with what the assembler made.
    pub(super) const LENGTH: usize = 288;

    /// `None` for a name that is empty, too long, or has a zero byte.
    pub(super) fn new(name: &str, offset: i64) -> Option<Self> {
        if name.is_empty() || name.len() > LONGEST_NAME || name.bytes().any(|byte| byte == 0) {
            return None;
        }
        let mut bytes = template().to_vec();
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        let (seconds, nanos) = (offset.div_euclid(1_000_000_000), offset.rem_euclid(1_000_000_000));
        for (number, value) in [seconds, nanos, nanos / 1000].into_iter().enumerate() {
            let at = seconds_at() + 8 * number;
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        Some(Self(bytes))
    }

    /// Reads it; `None` if these bytes are not it.
    pub(super) fn read(bytes: &[u8]) -> Option<(String, i64)> {
        let name = bytes.get(..LONGEST_NAME)?;
        let name =
            std::str::from_utf8(&name[..name.iter().position(|&byte| byte == 0).unwrap_or(LONGEST_NAME)]).ok()?;
        let number = |number: usize| {
            let at = seconds_at() + 8 * number;
            Some(i64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
        };
        let offset = number(0)?.checked_mul(1_000_000_000)?.checked_add(number(1)?)?;
        (Self::new(name, offset)?.0 == bytes.get(..Self::LENGTH)?).then(|| (name.to_owned(), offset))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Where in it a function begins.
    pub(super) fn begin(function: Function) -> usize {
        distance(match function {
            Function::ClockGettime => &raw const fracas_clock_gettime,
            Function::GetTimeOfDay => &raw const fracas_clock_timeofday,
            Function::Time => &raw const fracas_clock_time,
        })
    }
}

fn seconds_at() -> usize {
    distance(&raw const fracas_clock_seconds)
}

/// How far behind the beginning.
fn distance(symbol: *const u8) -> usize {
    symbol as usize - &raw const fracas_clock_begin as usize
}

fn template() -> &'static [u8] {
    let length = distance(&raw const fracas_clock_end);
    // SAFETY: both symbols are of one block of bytes above, which nothing ever writes to.
    unsafe { std::slice::from_raw_parts(&raw const fracas_clock_begin, length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again_and_nothing_else() {
        assert_eq!(template().len(), Code::LENGTH);
        for offset in [
            0,
            1,
            -1,
            300_000_000_000,
            -3_600_000_000_000,
            1_500_000_000,
            -1_500_000_001,
        ] {
            let code = Code::new("fracas-20261128-172135-f175-0", offset).unwrap();
            let read = Code::read(code.bytes()).unwrap();
            assert_eq!(read, ("fracas-20261128-172135-f175-0".to_owned(), offset));
            let mut other = code.bytes().to_vec();
            other[Code::LENGTH - 20] ^= 1;
            assert_eq!(Code::read(&other), None);
        }
        assert_eq!(Code::read(&[0; Code::LENGTH]), None);
        assert!(
            Code::new("", 1).is_none() && Code::new(&"n".repeat(49), 1).is_none() && Code::new("a\0b", 1).is_none()
        );
    }
}
