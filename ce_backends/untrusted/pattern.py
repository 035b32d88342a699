"""Regular expressions that job owners choose: tried in a process of its own, since one may take for ever.

Python's `re` goes back and forth (`(a+)+$` takes twice as long for each letter more), and holds the interpreter's lock
meanwhile: no thread of ours would run, and none could end it.
"""

import os
import re
import subprocess
import sys
from collections.abc import Sequence

from ce_backends.errors import CEError

MOST_CHARACTERS = 256
MOST_TEXT_BYTES = 4096  # of each text that it is tried on
WITHIN_S = 5.0  # of CPU time it has less; on a busy node a second goes by before a process has begun
_MEMORY_BYTES = 512 << 20
_SETS_FLAGS = re.compile(r"\(\?[aiLmsux-]")
_END = b"end"  # the exit code may have been collected by somebody else

_TRY = f"""
import re, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
resource.setrlimit(resource.RLIMIT_AS, ({_MEMORY_BYTES}, {_MEMORY_BYTES}))
pattern, *texts = sys.stdin.buffer.read().decode("utf-8", "surrogateescape").split("\\0")
found = re.compile(pattern).search
print(*(number for number, text in enumerate(texts) if found(text)), {_END.decode()!r})
"""


class PatternFailed(CEError):
    """An expression found nothing, since it is none or took too long: its owner has to mend it."""


def is_expression(pattern: str) -> bool:
    """Tell whether it is a regular expression, as far as that is found out at once.

    One that sets flags is not looked at: compiling a set without regard to case takes long.
    """
    if len(pattern) > MOST_CHARACTERS or "\0" in pattern:
        return False
    try:
        return bool(_SETS_FLAGS.search(pattern) or re.compile(pattern))
    except (re.error, RecursionError, OverflowError):
        return False


def found_in(pattern: str, texts: Sequence[str], within_s: float = WITHIN_S) -> list[int]:
    """Return the numbers of the texts in which an expression is found; of long ones, their beginning is looked at.

    Raises:
        PatternFailed: it is none, or takes longer than that.
    """
    if len(pattern) > MOST_CHARACTERS:
        raise PatternFailed(f"it has more than {MOST_CHARACTERS} characters")
    if not texts:
        return []
    asked = "\0".join([pattern, *(text.replace("\0", " ") for text in texts)])
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _TRY],
            input=asked.encode("utf-8", "surrogateescape"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath},  # the bundle's Python is started by a script
            timeout=within_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PatternFailed(f"it took longer than {within_s} s") from error
    except OSError as error:
        raise PatternFailed(f"it could not be tried: {error.strerror}") from error
    *numbers, end = done.stdout.split() or [b""]
    if end != _END:
        raise PatternFailed("it is no regular expression, or needs too much time or memory")
    return [int(number) for number in numbers]
