"""The configuration that the agent was started with: files, and options of the command line over them."""

from collections.abc import Sequence
from pathlib import Path

from agents.errors import ConfigurationError
from ce_backends.cfg import Section, read


def read_files(paths: Sequence[Path], assignments: Sequence[str]) -> Section:
    """Read CFG files in order, then `-o /path=value` assignments over them.

    Raises:
        ConfigurationError: a file or an assignment is malformed.
    """
    merged = Section()
    for path in paths:
        merged = merged.merge(read(path))
    for assignment in assignments:
        path_text, equals, text = assignment.partition("=")
        if not equals or not path_text.startswith("/"):
            raise ConfigurationError(f"-o {assignment}: expected /Section/option=value")
        merged.set(path_text.strip(), text.strip(), "command line")
    return merged
