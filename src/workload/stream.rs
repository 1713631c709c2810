//! The program's standard output and standard error. A stream that goflame shows on a terminal is a pseudo-terminal, so
//! that the program keeps its colours and progress bars. Otherwise, it is a pipe.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// Bytes of a pipe in packet mode: 1 MiB, the kernel's default maximum for users without rights.
const PACKET_PIPE_BYTES: usize = 1 << 20;

/// Both ends of a stream.
pub(super) struct Stream {
    /// goflame's end.
    pub(super) reader: File,
    /// The program's end.
    pub(super) program_end: OwnedFd,
    /// The pseudo-terminal and its size. `None` for a pipe.
    pub(super) pseudo_terminal: Option<PseudoTerminal>,
}

impl Stream {
    /// Opens a stream: a pseudo-terminal if the stream is shown on `terminal`, otherwise a pipe.
    pub(super) fn open(terminal: Option<BorrowedFd<'_>>) -> io::Result<Self> {
        // A machine can be without pseudo-terminals, or can have reached their limit.
        if let Some(Ok(stream)) = terminal.map(Self::pseudo_terminal) {
            return Ok(stream);
        }
        let (reader, program_end) = io::pipe()?;
        Ok(Self { reader: OwnedFd::from(reader).into(), program_end: program_end.into(), pseudo_terminal: None })
    }

    /// Opens a pipe in packet mode: each read returns the bytes of one write, or a page of a longer write. A
    /// pseudo-terminal would join writes.
    pub(super) fn packet_pipe() -> io::Result<Self> {
        let (reader, program_end) = pipe_with(PipeFlags::DIRECT | PipeFlags::CLOEXEC)?;
        fcntl_setfl(&reader, OFlags::NONBLOCK)?;
        // Each write takes a page of the pipe, and a line consists of many writes. With the usual 16 pages, the program
        // would wait.
        let _ = fcntl_setpipe_size(&reader, PACKET_PIPE_BYTES);
        Ok(Self { reader: reader.into(), program_end, pseudo_terminal: None })
    }

    /// Opens a pseudo-terminal that is not a controlling terminal. Signals and job control still come from the real
    /// terminal, because the program is in its foreground group.
    fn pseudo_terminal(terminal: BorrowedFd<'_>) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let reader = openpt(flags)?;
        unlockpt(&reader)?;
        let program_end = ioctl_tiocgptpeer(&reader, flags)?;
        let mut settings = tcgetattr(terminal)?;
        // The bytes arrive as the program wrote them. The real terminal adds the carriage returns.
        settings.output_modes.remove(OutputModes::OPOST);
        tcsetattr(&program_end, OptionalActions::Now, &settings)?;
        let size = tcgetwinsize(terminal)?;
        tcsetwinsize(&reader, size)?;
        let pseudo_terminal = Some(PseudoTerminal { file: reader.try_clone()?, size });
        Ok(Self { reader: reader.into(), program_end, pseudo_terminal })
    }
}

/// A pseudo-terminal and its size.
pub(super) struct PseudoTerminal {
    file: OwnedFd,
    size: Winsize,
}

impl PseudoTerminal {
    /// Gives the pseudo-terminal the size of `terminal`. Returns whether the size has changed.
    pub(super) fn resize_like(&mut self, terminal: BorrowedFd<'_>) -> bool {
        let Ok(size) = tcgetwinsize(terminal) else { return false };
        let changed = self.size != size;
        self.size = size;
        changed && tcsetwinsize(&self.file, size).is_ok()
    }
}
