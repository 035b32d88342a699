"""A batch system's command that never began, or found no configuration: it has done nothing, and refused nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from ce_backends.errors import CEUnavailable
from ce_backends.transport import CANNOT_EXECUTE, NOT_FOUND, Done, advised


@dataclass(frozen=True, slots=True, kw_only=True)
class Unconfigured:
    """How commands fail that do not know which batch system is theirs.

    Attributes:
        texts: each of them is in what such a command says, and in nothing else that it says.
        advice: what to do then.
    """

    texts: Sequence[str]
    advice: str


def begun(done: Done, command: str, where: str, unconfigured: Unconfigured) -> Done:
    """Return the answer of a command that could ask its batch system.

    Raises:
        CEUnavailable: a shell or env(1) could not start it, or it found no configuration.
    """
    if done.exit_code in (CANNOT_EXECUTE, NOT_FOUND):
        raise CEUnavailable(advised(f"{command} cannot be started on {where}: {done.sentence}", done.exit_code))
    if done.exit_code and any(text in done.stderr for text in unconfigured.texts):
        raise CEUnavailable(
            f"{command} finds no configuration on {where}: {done.sentence}; {unconfigured.advice}, "
            "also in shells that ssh starts"
        )
    return done
