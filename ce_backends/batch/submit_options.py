"""What a site's extra arguments of a submit command may not change: what lets a task run once, and what it was granted.

The commands take the last of two, and say nothing. So what is ours is refused, with the option to be used in its place.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ce_backends.errors import CEMisconfigured

_LEAST_LETTERS = 4  # of a long option that is abbreviated, as getopt_long(3) lets it be

ONCE = "a task would run a second time where its node was lost; whether it does is for the WMS to decide"
NAMED = "by it gridpilot finds its tasks again"
COUNTED = "gridpilot makes its arrays itself"
WAITS = "gridpilot does not wait for a task at its submission"
PROCESSORS = "use NumberOfProcessors"
WALL = "use WallTime"
FILES = "gridpilot reads it"
GPUS = "use NumberOfGPUs"
ASKED = "gridpilot would ask another one about its tasks"
NOTHING = "nothing would be submitted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """Arguments that a dialect gives itself.

    Attributes:
        long: by name with its dashes, `--requeue`: why it is ours, or what to use instead.
        short: the same for `-J`, whose value may follow at once (`-Jname`) where `is_joined`.
        is_joined: values may follow short options without a blank.
    """

    long: Mapping[str, str] = field(default_factory=dict)
    short: Mapping[str, str] = field(default_factory=dict)
    is_joined: bool = True

    def check(self, words: Sequence[str]) -> None:
        """Let none of them be set by a site.

        Raises:
            CEMisconfigured: one is; the sentence says why not.
        """
        for word in words:
            for name, why in self._found(word):
                raise CEMisconfigured(f"option SubmitOptions has {word}: {name} is set by gridpilot; {why}")

    def _found(self, word: str) -> Iterator[tuple[str, str]]:
        if word.startswith("--"):
            given = word.partition("=")[0]
            for name, why in self.long.items():
                if given == name or (len(given) >= 2 + _LEAST_LETTERS and name.startswith(given)):
                    yield name, why
        elif word.startswith("-"):
            for name, why in self.short.items():
                if word == name or (self.is_joined and len(name) == 2 and word.startswith(name)):
                    yield name, why


def has_any(words: Sequence[str], names: Sequence[str]) -> bool:
    """Tell whether one of these options is given."""
    return any(word.partition("=")[0] in names for word in words)


def resources(words: Sequence[str], granted: Mapping[str, str], flag: str = "-l") -> frozenset[str]:
    """Return what a site asks for itself, of `-l a=1,b=2:c=3`.

    Args:
        words: its arguments.
        granted: what is ours, by name: why, or what to use instead.
        flag: how resources are asked for.

    Raises:
        CEMisconfigured: it asks for one that is ours.
    """
    asked = [one.partition("=")[0] for text in following(words, flag) for one in re.split("[,:]", text)]
    for name in asked:
        if name in granted:
            raise CEMisconfigured(f"option SubmitOptions has {flag} {name}: it is set by gridpilot; {granted[name]}")
    return frozenset(asked)


def following(words: Sequence[str], flag: str) -> Iterator[str]:
    """Yield what follows each `-l`, or is joined to it."""
    for at, word in enumerate(words):
        if word == flag:
            yield from words[at + 1 : at + 2]
        elif word.startswith(flag) and not word.startswith("--"):
            yield word.removeprefix(flag)
