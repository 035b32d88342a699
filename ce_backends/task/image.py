"""The container image that a task asks for: its script runs in it, or the task is refused; never outside of it.

At batch CEs a program of the node starts it, which the option ContainerLauncher names: the same for all of them,
through ssh too, since the node script does it. Where nobody names one, and at pools without containers, a task with an
image is refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ce_backends.errors import CEError, CEMisconfigured
from ce_backends.options import Option
from ce_backends.readers import did_you_mean

_NAME = "ContainerLauncher"
_IMAGE = "image"
_PLACES = (_IMAGE, "directory")
_IN_BRACES = re.compile(r"\{([^{}]*)\}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")

OPTION = Option(
    name=_NAME,
    kind=str,
    default="",
    doc="Program of the nodes, with arguments, that starts a task in the image that it asks for, such as "
    "apptainer exec --bind {directory} {image}; the task's own command is put behind it. Quoted as for a shell; it "
    "goes to no shell. If empty, tasks that ask for an image are refused.",
    is_quoted=True,
)


@dataclass(frozen=True, slots=True)
class ImageLauncher:
    """What starts a task's script in its image.

    Attributes:
        words: program and arguments, with `{image}` and `{directory}` in them; empty where there is none.
    """

    words: Sequence[str] = ()

    def problem(self, image: str) -> str:
        """Return why no task can run in this image, empty if one may, or if none is asked for."""
        if not image:
            return ""
        if image.startswith("-") or _UNPRINTABLE.search(image):
            return f"needs the image {image!r}: expected a name or path without line breaks that begins with no dash"
        if not self.words:
            return (
                f"needs the image {image!r}, and this CE starts tasks in no image: expected a task without one, a CE "
                f"type with containers that has this one as its ContainerRoot, or a batch CE with {_NAME}"
            )
        return ""

    def argv(self, image: str, directory: Path) -> list[str]:
        """Return what stands before the command of a task; nothing before that of one without an image.

        Args:
            image: of the task; empty for none.
            directory: of the task, on its node.

        Raises:
            CEError: it cannot run in this image.
        """
        if problem := self.problem(image):
            raise CEError(problem)
        values = {_IMAGE: image, "directory": str(directory)}
        return [_IN_BRACES.sub(lambda found: values[found[1]], word) for word in self.words] if image else []


NO_LAUNCHER = ImageLauncher()


def launcher_of(written: str, words: Sequence[str]) -> ImageLauncher:
    """Return the launcher that the option names.

    Args:
        written: the option's value.
        words: the same, split into words.

    Raises:
        CEMisconfigured: nothing can be started by it.
    """
    if words and (wrong := _wrong(words)):
        raise CEMisconfigured(f"option {_NAME} is {written!r}: {wrong}")
    return ImageLauncher(words)


def _wrong(words: Sequence[str]) -> str:
    names = [name for word in words for name in _IN_BRACES.findall(word)]
    if unknown := [name for name in names if name not in _PLACES]:
        return f"nothing is known that could stand for {{{unknown[0]}}}{did_you_mean(unknown[0], _PLACES)}"
    if words[0].startswith("-") or _IN_BRACES.search(words[0]):
        return "expected a program of the nodes first"
    return "" if _IMAGE in names else "expected {image} in it, where the image that a task asks for is put"


def other_than(image: str, own: str) -> str:
    """Return why a task cannot run in its image at a CE with one image for all, empty if it can, or asks for none."""
    if image in ("", own):
        return ""
    return (
        f"needs the image {image!r}, and all tasks of this CE run in {own or 'the system of the node'} (ContainerRoot)"
    )
