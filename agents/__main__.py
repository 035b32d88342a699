"""`python -m agents`: the JobAgent."""

import gc
import os
import sys
from collections.abc import Sequence

PRIVATE = 0o077  # what the agent makes is nobody else's; payloads have a umask of their own
NODE_UNFIT = 6  # agents.errors.ExitCode, which may be what could not be loaded
_NO_MEMORY = ("Cannot allocate memory", "failed to map segment")  # ld.so's words


def main(argv: Sequence[str] | None = None) -> int:
    """Run the agent; return its exit code, also where the node has no room for its code."""
    os.umask(PRIVATE)
    gc.disable()  # loading leaves no garbage: a search for it at every 700 new things is a sixth of the time it takes
    try:
        from agents import command_line  # noqa: PLC0415 - loading it may fail for want of memory or descriptors
    except (ImportError, MemoryError, OSError) as error:
        if isinstance(error, ImportError) and not any(word in str(error) for word in _NO_MEMORY):
            raise
        print(f"agent: the node cannot run an agent: its code cannot be loaded: {error}", file=sys.stderr)
        return NODE_UNFIT
    finally:
        gc.freeze()  # what is loaded stays
        gc.enable()
    return command_line.main(argv)


def _let_go_of_streams() -> None:
    """Write out what was printed, or drop it: Python itself ends with 120 where it cannot be written."""
    for name in ("stdout", "stderr"):
        try:
            if (stream := getattr(sys, name)) is not None:
                stream.flush()
        except (OSError, ValueError):
            setattr(sys, name, None)  # what is left in it would be tried once more


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        _let_go_of_streams()
