//! The program's standard output and standard error: a pseudo-terminal where goflame shows the stream on a terminal, so
//! that the program keeps its colours and progress bars, and otherwise a pipe.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// Size of a pipe in packet mode: 1 MiB, the most that users may have without rights.
const PACKET_PIPE_SIZE: usize = 1 << 20;

/// Both ends of a stream.
pub(super) struct Stream {
    /// goflame's end.
    pub(super) reader: File,
    /// The program's end.
    pub(super) program_end: OwnedFd,
    /// The window of a pseudo-terminal.
    pub(super) window: Option<Window>,
}

impl Stream {
    /// Opens a stream that is shown on `terminal`, if that is one.
    pub(super) fn open(terminal: Option<BorrowedFd<'_>>) -> io::Result<Self> {
        // A machine may have no pseudo-terminals, or none left.
        if let Some(Ok(stream)) = terminal.map(Self::pseudo_terminal) {
            return Ok(stream);
        }
        let (reader, program_end) = io::pipe()?;
        Ok(Self { reader: OwnedFd::from(reader).into(), program_end: program_end.into(), window: None })
    }

    /// Opens a pipe in packet mode: each read returns the bytes of one write, or a page of a longer one. A terminal does not
    /// keep writes apart, so it cannot be one.
    pub(super) fn packets() -> io::Result<Self> {
        let (reader, program_end) = pipe_with(PipeFlags::DIRECT | PipeFlags::CLOEXEC)?;
        fcntl_setfl(&reader, OFlags::NONBLOCK)?;
        // Each piece takes a page of the pipe, and a line has many. With the usual 16 pages, the program would wait.
        let _ = fcntl_setpipe_size(&reader, PACKET_PIPE_SIZE);
        Ok(Self { reader: reader.into(), program_end, window: None })
    }

    /// Opens a pseudo-terminal. It is nobody's controlling terminal: signals and job control stay with the real one, whose
    /// foreground group the program is in.
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
        let window = Some(Window { pseudo_terminal: reader.try_clone()?, size });
        Ok(Self { reader: reader.into(), program_end, window })
    }
}

/// The window of a pseudo-terminal.
pub(super) struct Window {
    pseudo_terminal: OwnedFd,
    size: Winsize,
}

impl Window {
    /// Takes over the size of `terminal`. Returns whether it has changed.
    pub(super) fn resize_like(&mut self, terminal: BorrowedFd<'_>) -> bool {
        let Ok(size) = tcgetwinsize(terminal) else { return false };
        let changed = self.size != size;
        self.size = size;
        changed && tcsetwinsize(&self.pseudo_terminal, size).is_ok()
    }
}
