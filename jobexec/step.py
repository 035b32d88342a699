"""Runs one step as DIRAC's module `Script` does; its output goes to the application log while it comes."""

import errno
import fcntl
import os
import selectors
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time

NOT_STARTED = 1000  # DIRAC's word for a program that cannot be started
LOG_BYTES, LOG_TAIL_BYTES = 50000000, 1000000  # of a step's output, and again of its errors: beginning and end
SHOWN_BYTES, SHOWN_LINES = 8192, 50  # of each step's end, in our own output: for those who look while it runs
LOOK_S, DRAIN_S = 1.0, 2.0


class Stream:
    """Output of a step: its beginning goes to a file at once; of what is too much the end is kept, and added later."""

    def __init__(self, file):
        self.file, self.written, self.left_out, self.tail = file, 0, 0, bytearray()

    def add(self, data):
        """Take what a step has written."""
        room = max(0, LOG_BYTES - self.written)
        self.file.write(data[:room])
        self.file.flush()
        self.written += min(room, len(data))
        self.tail += data[room:]
        over = max(0, len(self.tail) - LOG_TAIL_BYTES)
        self.left_out += over
        del self.tail[:over]

    def close(self):
        """Add the end of what was too much."""
        if self.left_out:
            self.file.write(b"\n[dirac-jobexec: %d bytes are left out here]\n" % self.left_out)
        self.file.write(self.tail)


class Screen:
    """The last lines of a step at the end of our own output, replaced as they change where that is a file."""

    def __init__(self):
        sys.stdout.flush()
        self.last, self.is_shown, self.next_s = bytearray(), True, 0.0
        appends = fcntl.fcntl(1, fcntl.F_GETFL) & os.O_APPEND
        self.at = os.lseek(1, 0, os.SEEK_CUR) if stat.S_ISREG(os.fstat(1).st_mode) and not appends else None

    def add(self, data):
        """Take what a step has written, of either kind."""
        self.last += data
        del self.last[: max(0, len(self.last) - SHOWN_BYTES)]
        self.is_shown = False

    def _text(self):
        lines = bytes(self.last).splitlines(True)
        return b"".join(lines[-SHOWN_LINES:])

    def look(self):
        """Show what there is, if it has changed and enough time has passed."""
        if self.at is not None and not self.is_shown and time.monotonic() >= self.next_s:
            text = self._text()
            os.pwrite(1, text, self.at)
            os.ftruncate(1, self.at + len(text))
            self.is_shown, self.next_s = True, time.monotonic() + LOOK_S

    def close(self):
        """Leave the last lines there for good."""
        text = self._text()
        if text and not text.endswith(b"\n"):
            text += b"\n"
        if self.at is None:
            sys.stdout.buffer.write(text)
            sys.stdout.flush()
            return
        os.pwrite(1, text, self.at)
        os.ftruncate(1, self.at + len(text))
        os.lseek(1, self.at + len(text), os.SEEK_SET)


def command_of(values):
    """Return the name by which a step's program is known, and its argv, found as DIRAC finds it. Raises ValueError."""
    executable = values.get("executable", "Unknown")
    if not executable:
        raise ValueError("No executable defined")
    name, words = os.path.basename(executable), shlex.split(values.get("arguments", ""))
    if os.path.isfile(name):
        if not os.access(name, os.R_OK | os.X_OK):
            os.chmod(name, 0o755)  # noqa: S103 - as DIRAC does
        return name, [os.path.abspath(name), *words]
    first = shlex.split(executable)
    if executable.endswith(".py"):
        first = [sys.executable, *first]
    return executable, first + words


def started(argv):
    """Start a program; one whose file says nothing of how, by Python or by a shell. Raises OSError."""
    argv = [word.encode("utf-8", "surrogateescape") for word in argv]  # whatever the locale
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        return subprocess.Popen(argv, **pipes)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    return subprocess.Popen([sys.executable if argv[0].endswith(b".py") else "/bin/sh", *argv], **pipes)


def copied(process, streams, screen):
    """Copy what a process writes until it has ended; what it left running may write a moment longer."""
    with selectors.DefaultSelector() as selector:
        for pipe, stream in ((process.stdout, streams[0]), (process.stderr, streams[1])):
            selector.register(pipe, selectors.EVENT_READ, stream)
        end_s = None
        while selector.get_map() and (end_s is None or time.monotonic() < end_s):
            for key, _ in selector.select(LOOK_S if end_s is None else DRAIN_S / 10):
                data = os.read(key.fd, 65536)
                if data:
                    key.data.add(data)
                    screen.add(data)
                else:
                    selector.unregister(key.fileobj)
            screen.look()
            if end_s is None and process.poll() is not None:
                end_s = time.monotonic() + DRAIN_S
    return process.wait()


class Running:
    """The program that runs now, if any. Signals that come while it is being started are passed on when it is."""

    def __init__(self):
        self.process, self.early, self.is_starting = None, [], False

    def send(self, number):
        """Pass a signal on; called by the handler."""
        if self.process:
            self.process.send_signal(number)
        elif self.is_starting:
            self.early.append(number)

    def start(self, argv):
        """Start a program and return it. Raises OSError."""
        self.early, self.is_starting = [], True
        try:
            self.process = started(argv)
        finally:
            self.is_starting = False
        for number in self.early:
            self.process.send_signal(number)
        return self.process


def _watched(process, streams, screen, running):
    """Return the status of a process; it does not outlive an error of ours."""
    try:
        return copied(process, streams, screen)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()
        running.process = None


def run_step(values, running):
    """Run one module of a step; return DIRAC's status of it, negative for a signal. Raises ValueError, OSError."""
    name, argv = command_of(values)
    print("Command is: %s" % " ".join(shlex.quote(word) for word in argv), flush=True)
    log = os.path.abspath(values.get("applicationLog") or values.get("logFile") or "applicationLog.txt")
    os.makedirs(os.path.dirname(log), exist_ok=True)
    screen = Screen()
    with open(log, "wb") as file, tempfile.TemporaryFile() as errors:
        file.write(("<<<<<<<<<< %s Standard Output >>>>>>>>>>\n\n" % name).encode("utf-8", "surrogateescape"))
        file.flush()
        streams = [Stream(file), Stream(errors)]
        try:
            process = running.start(argv)
        except OSError as error:
            message = ("%s: %s\n" % (argv[0], error.strerror)).encode("utf-8", "backslashreplace")
            streams[1].add(message)
            screen.add(message)
            status = NOT_STARTED
        else:
            status = _watched(process, streams, screen, running)
        for stream in streams:
            stream.close()
        file.write(b" ")
        if errors.tell():
            errors.seek(0)
            file.write(("<<<<<<<<<< %s Standard Error >>>>>>>>>>\n\n" % name).encode("utf-8", "surrogateescape"))
            shutil.copyfileobj(errors, file)
            file.write(b" ")
    screen.close()
    return status


def application_of(values):
    """Return the name by which DIRAC's Script speaks of a step's program."""
    return os.path.basename(values.get("executable", "")).split("_")[0]
