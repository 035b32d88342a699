"""What a command does when the reader of its output has seen enough, as `head` has."""

import os
import signal
import sys

from ce_backends.untrusted.text import visible

EXIT_CODE = 128 + signal.SIGPIPE  # of a tool that the signal ends


def say(text: str, exit_code: int = 0) -> int:
    """Print a text; return the exit code, or that of a command whose reader is gone."""
    try:
        print(visible(text), flush=True)
    except BrokenPipeError:
        return reader_gone()
    return exit_code


def reader_gone() -> int:
    """Let nothing more be said of the closed pipe; return the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_CODE
