//! Reads the fields of a line. Distinguishes an incomplete line from text that is not a line of the runtime.

/// Maximum size of free text in a line: a wait reason, or the path of a package.
const MAX_TEXT_BYTES: usize = 256;

/// Reason why bytes are not a complete line of the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The bytes are the beginning of a line.
    Incomplete,
    /// The bytes are the beginning of a line, but end inside a text that the runtime writes with one write(2).
    InsideText,
    /// The bytes are not the beginning of a line.
    Different,
}

/// The part of a line that is not read yet.
pub(super) struct Cursor<'l> {
    rest: &'l [u8],
}

impl<'l> Cursor<'l> {
    pub(super) fn new(line: &'l [u8]) -> Self {
        Self { rest: line }
    }

    pub(super) fn skip(&mut self, expected: &str) -> Result<(), Mismatch> {
        match self.rest.strip_prefix(expected.as_bytes()) {
            Some(rest) => self.rest = rest,
            None if self.rest.is_empty() => return Err(Mismatch::Incomplete),
            None if expected.as_bytes().starts_with(self.rest) => return Err(Mismatch::InsideText),
            None => return Err(Mismatch::Different),
        }
        Ok(())
    }

    /// Skips one of several texts. Returns its index.
    pub(super) fn skip_one_of(&mut self, texts: &[&str]) -> Result<usize, Mismatch> {
        for (index, text) in texts.iter().enumerate() {
            match self.skip(text) {
                Ok(()) => return Ok(index),
                Err(Mismatch::Different) => {}
                Err(mismatch) => return Err(mismatch),
            }
        }
        Err(Mismatch::Different)
    }

    /// Skips a text if the line continues with this text. Returns whether the text was there.
    pub(super) fn skip_optional(&mut self, text: &str) -> Result<bool, Mismatch> {
        match self.skip(text) {
            Err(Mismatch::Different) => Ok(false),
            found => found.map(|()| true),
        }
    }

    /// Reads a text up to `end`, and skips `end`. Fails if the text contains a byte for which `allowed` is false.
    pub(super) fn read_until(&mut self, end: &str, allowed: fn(u8) -> bool) -> Result<String, Mismatch> {
        let bounded = self.rest.get(..MAX_TEXT_BYTES).unwrap_or(self.rest);
        if let Some(length) = bounded.windows(end.len()).position(|window| window == end.as_bytes()) {
            let (text, rest) = self.rest.split_at(length);
            self.rest = rest.get(end.len()..).unwrap_or_default();
            let is_allowed = text.iter().copied().all(allowed);
            return if is_allowed { Ok(String::from_utf8_lossy(text).into_owned()) } else { Err(Mismatch::Different) };
        }
        let may_continue = self.rest.len() < MAX_TEXT_BYTES
            && self.rest.iter().all(|byte| allowed(*byte) || end.as_bytes().contains(byte));
        Err(if may_continue { Mismatch::Incomplete } else { Mismatch::Different })
    }

    /// Reads a whole number as the runtime writes it: without leading zeros.
    pub(super) fn read_number(&mut self) -> Result<u64, Mismatch> {
        let digits = self.read_digits()?;
        match (std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()), digits) {
            (Some(_), [b'0', _, ..]) | (None, _) => Err(Mismatch::Different),
            (Some(number), _) => Ok(number),
        }
    }

    /// Skips the id of a processor, thread or goroutine. A missing id is `-1` up to Go 1.19, then `nil`.
    pub(super) fn skip_id(&mut self) -> Result<(), Mismatch> {
        if self.skip_optional("nil")? { Ok(()) } else { self.skip_signed() }
    }

    pub(super) fn skip_signed(&mut self) -> Result<(), Mismatch> {
        self.skip_optional("-")?;
        self.read_number().map(drop)
    }

    /// Skips a boolean. Up to Go 1.19, some fields have `0` or `1` instead of `false` or `true`.
    pub(super) fn skip_boolean(&mut self) -> Result<(), Mismatch> {
        self.skip_one_of(&["false", "true", "0", "1"]).map(drop)
    }

    /// Reads a decimal number, multiplied by 10 to the power of `places`: `1.5` with 3 places is 1500.
    pub(super) fn read_decimal(&mut self, places: u32) -> Result<u64, Mismatch> {
        let whole = self.read_number()?;
        let unit = 10_u64.pow(places);
        let mut value = whole.checked_mul(unit).ok_or(Mismatch::Different)?;
        if self.skip_optional(".")? {
            let digits = self.read_digits()?;
            let mut digit_unit = unit;
            for digit in digits {
                digit_unit /= 10;
                if digit_unit == 0 {
                    return Err(Mismatch::Different);
                }
                value = value.checked_add(u64::from(digit - b'0') * digit_unit).ok_or(Mismatch::Different)?;
            }
        }
        Ok(value)
    }

    /// Fails if the line has more bytes.
    pub(super) fn expect_end(self) -> Result<(), Mismatch> {
        if self.rest.is_empty() { Ok(()) } else { Err(Mismatch::Different) }
    }

    /// Reads at least one digit. Digits at the end of the bytes are incomplete, because more digits can follow.
    fn read_digits(&mut self) -> Result<&'l [u8], Mismatch> {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(count);
        if rest.is_empty() {
            return Err(Mismatch::Incomplete);
        }
        self.rest = rest;
        if digits.is_empty() { Err(Mismatch::Different) } else { Ok(digits) }
    }
}
