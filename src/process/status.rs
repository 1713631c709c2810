//! How a process ended.

use std::fmt;
use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;

/// How a process ended: by itself, or by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// The process ended by itself with this exit code, 0 to 255.
    Code(i32),
    /// This signal killed the process, with or without a core dump.
    Signal(i32),
}

impl ExitStatus {
    /// Reads the status word that wait(2) returned for a process that has *ended* (neither `WUNTRACED` nor `WCONTINUED`
    /// was requested). The layout is in Linux's `<bits/waitstatus.h>`. The low seven bits are the signal. If they are
    /// 0, the second byte is the exit code. Bit 7 reports a core dump.
    ///
    /// An exit code is not a status word: `from_wait_status(3)` means killed by signal 3.
    pub fn from_wait_status(word: i32) -> Self {
        match word & 0x7f {
            0 => Self::Code((word >> 8) & 0xff),
            signal => Self::Signal(signal),
        }
    }

    /// Whether the process ended with exit code 0.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }

    /// Returns the exit code that a shell would report: the exit code itself, or 128 + the signal.
    pub fn exit_code(self) -> u8 {
        let code = match self {
            Self::Code(code) => code,
            Self::Signal(signal) => signal.saturating_add(128),
        };
        // Codes of a status word are at most 255. A larger code that was set by hand must not become 0.
        u8::try_from(code).unwrap_or(u8::MAX)
    }
}

impl From<std::process::ExitStatus> for ExitStatus {
    fn from(status: std::process::ExitStatus) -> Self {
        Self::from_wait_status(status.into_raw())
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(signal) => match Signal::try_from(signal) {
                Ok(name) => write!(f, "killed by {name} ({signal})"),
                Err(_) => write!(f, "killed by signal {signal}"), // real-time signals have no name
            },
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Runs `script` in a real shell. Returns how the shell ended.
    fn run_in_shell(script: &str) -> ExitStatus {
        std::process::Command::new("sh").args(["-c", script]).status().unwrap().into()
    }

    #[test]
    fn exit_codes_of_real_processes() {
        for code in [0, 1, 3, 127, 128, 255] {
            let status = run_in_shell(&format!("exit {code}"));
            assert_eq!(status, ExitStatus::Code(code));
            assert_eq!(i32::from(status.exit_code()), code);
            assert_eq!(status.success(), code == 0);
            assert_eq!(status.to_string(), format!("exit status {code}"));
        }
    }

    #[test]
    fn signals_of_real_processes() {
        for (signal, text) in [
            (10, "killed by SIGUSR1 (10)"),
            (9, "killed by SIGKILL (9)"),
            (15, "killed by SIGTERM (15)"),
            (40, "killed by signal 40"),
        ] {
            let status = run_in_shell(&format!("kill -{signal} $$"));
            assert_eq!(status, ExitStatus::Signal(signal));
            assert_eq!(i32::from(status.exit_code()), 128 + signal);
            assert!(!status.success());
            assert_eq!(status.to_string(), text);
        }
    }

    #[test]
    fn a_core_dump_does_not_change_the_signal() {
        assert_eq!(ExitStatus::from_wait_status(0x8b), ExitStatus::Signal(11));
    }

    #[test]
    fn a_code_above_255_never_becomes_success() {
        assert_eq!(ExitStatus::Code(256).exit_code(), 255);
        assert_eq!(ExitStatus::Code(-1).exit_code(), 255);
        assert_eq!(ExitStatus::Signal(i32::MAX).exit_code(), 255);
    }
}
