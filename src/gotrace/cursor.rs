//! Reads the parts of a line. Distinguishes a line that is not complete yet from one that is different.

/// Longest free text in a line, in bytes: a wait reason, or the path of a package.
const MAX_WORDS: usize = 256;

/// Why bytes are not a line of the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// They are the beginning of one.
    Incomplete,
    /// They are the beginning of one, but end inside a text that the runtime writes at once.
    InsideText,
    /// They are something else.
    Different,
}

/// The rest of a line.
pub(super) struct Cursor<'l> {
    rest: &'l [u8],
}

impl<'l> Cursor<'l> {
    pub(super) fn new(line: &'l [u8]) -> Self {
        Self { rest: line }
    }

    /// Skips a text.
    pub(super) fn text(&mut self, expected: &str) -> Result<(), Mismatch> {
        match self.rest.strip_prefix(expected.as_bytes()) {
            Some(rest) => self.rest = rest,
            None if self.rest.is_empty() => return Err(Mismatch::Incomplete),
            None if expected.as_bytes().starts_with(self.rest) => return Err(Mismatch::InsideText),
            None => return Err(Mismatch::Different),
        }
        Ok(())
    }

    /// Skips one of several texts. Returns its index.
    pub(super) fn one_of(&mut self, texts: &[&str]) -> Result<usize, Mismatch> {
        for (index, text) in texts.iter().enumerate() {
            match self.text(text) {
                Ok(()) => return Ok(index),
                Err(Mismatch::Different) => {}
                Err(mismatch) => return Err(mismatch),
            }
        }
        Err(Mismatch::Different)
    }

    /// Skips a text if it follows. Returns whether it did.
    pub(super) fn optional(&mut self, text: &str) -> Result<bool, Mismatch> {
        match self.text(text) {
            Err(Mismatch::Different) => Ok(false),
            found => found.map(|()| true),
        }
    }

    /// Reads a text up to `end`, which is skipped. Bytes that are not allowed end the search.
    pub(super) fn words_until(&mut self, end: &str, allowed: fn(u8) -> bool) -> Result<String, Mismatch> {
        let bound = self.rest.get(..MAX_WORDS).unwrap_or(self.rest);
        if let Some(length) = bound.windows(end.len()).position(|window| window == end.as_bytes()) {
            let (words, rest) = self.rest.split_at(length);
            self.rest = rest.get(end.len()..).unwrap_or_default();
            let fits = words.iter().copied().all(allowed);
            return if fits { Ok(String::from_utf8_lossy(words).into_owned()) } else { Err(Mismatch::Different) };
        }
        let may_continue =
            self.rest.len() < MAX_WORDS && self.rest.iter().all(|byte| allowed(*byte) || end.as_bytes().contains(byte));
        Err(if may_continue { Mismatch::Incomplete } else { Mismatch::Different })
    }

    /// Reads a whole number as the runtime writes it: without leading zeros.
    pub(super) fn number(&mut self) -> Result<u64, Mismatch> {
        let digits = self.digits()?;
        match (std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()), digits) {
            (Some(_), [b'0', _, ..]) | (None, _) => Err(Mismatch::Different),
            (Some(number), _) => Ok(number),
        }
    }

    /// Skips the id of a processor, thread or goroutine. Missing ones are `-1` up to Go 1.19, then `nil`.
    pub(super) fn id(&mut self) -> Result<(), Mismatch> {
        if self.optional("nil")? { Ok(()) } else { self.signed() }
    }

    /// Skips a number that may be negative.
    pub(super) fn signed(&mut self) -> Result<(), Mismatch> {
        self.optional("-")?;
        self.number().map(drop)
    }

    /// Skips a boolean: `0` or `1` up to Go 1.19 for some fields.
    pub(super) fn boolean(&mut self) -> Result<(), Mismatch> {
        self.one_of(&["false", "true", "0", "1"]).map(drop)
    }

    /// Reads a decimal number in units of 10 to the power of minus `places`: `1.5` with 3 places is 1500.
    pub(super) fn decimal(&mut self, places: u32) -> Result<u64, Mismatch> {
        let whole = self.number()?;
        let unit = 10_u64.pow(places);
        let mut value = whole.checked_mul(unit).ok_or(Mismatch::Different)?;
        if self.optional(".")? {
            let digits = self.digits()?;
            let mut place = unit;
            for digit in digits {
                place /= 10;
                if place == 0 {
                    return Err(Mismatch::Different);
                }
                value = value.checked_add(u64::from(digit - b'0') * place).ok_or(Mismatch::Different)?;
            }
        }
        Ok(value)
    }

    /// Succeeds at the end of the bytes.
    pub(super) fn end(self) -> Result<(), Mismatch> {
        if self.rest.is_empty() { Ok(()) } else { Err(Mismatch::Different) }
    }

    /// Takes at least one digit. Digits at the end of the bytes may go on.
    fn digits(&mut self) -> Result<&'l [u8], Mismatch> {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(count);
        if rest.is_empty() {
            return Err(Mismatch::Incomplete);
        }
        self.rest = rest;
        if digits.is_empty() { Err(Mismatch::Different) } else { Ok(digits) }
    }
}
