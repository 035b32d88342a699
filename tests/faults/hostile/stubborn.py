"""Ignore and block every signal that can be, be traced by ourselves, and stay."""

import ctypes
import signal
import time

PTRACE_TRACEME = 0

for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(number, signal.SIG_IGN)
    except OSError:  # the C library's own two
        continue
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
ctypes.CDLL(None).ptrace(PTRACE_TRACEME, 0, 0, 0)
while True:
    time.sleep(60)
