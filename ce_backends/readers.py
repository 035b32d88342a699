"""How settings are read, of CEs and of the agent: yes or no, numbers with bounds, lists, and the name that was meant.

`pilot/readers.py` reads alike; one table of cases tries both. Pure functions: any thread may call them.
"""

import math
from collections.abc import Collection, Mapping

NICKNAMES: Mapping[str, tuple[str, ...]] = {
    "slurm": ("SLURM", "Local with BatchSystem = SLURM"),
    **dict.fromkeys(
        ("sge", "uge", "oge", "gridengine", "univa", "son of grid engine"), ("GE", "Local with BatchSystem = GE")
    ),
    **dict.fromkeys(("ge",), ("GE", "Local with BatchSystem = GE")),
    **dict.fromkeys(("pbs", "openpbs", "pbspro", "pbs pro", "altair"), ("Torque", "Local with BatchSystem = Torque")),
    **dict.fromkeys(("htcondor", "condor"), ("Condor", "HTCondorCE, or Local with BatchSystem = Condor")),
    **dict.fromkeys(("torque", "maui", "moab"), ("Torque", "Local with BatchSystem = Torque")),
    **dict.fromkeys(("spectrum lsf", "openlava", "lsf"), ("LSF", "Local with BatchSystem = LSF")),
    "oar": ("OAR", "Local with BatchSystem = OAR"),
    **dict.fromkeys(("arc", "arc-ce", "arcce", "nordugrid"), ("AREX",)),
    **dict.fromkeys(("apptainer", "singularity"), ("Singularity",)),
    **dict.fromkeys(("pool/apptainer",), ("Pool/Singularity",)),
    **dict.fromkeys(("docker", "pool/docker"), ("Pool/Podman",)),
    **dict.fromkeys(("bwrap", "pool/bwrap"), ("Pool/Bubblewrap",)),
}
"""What people call batch systems and CE types, with the names that are meant: of a batch system, of a CE type."""
MOST_WHOLE = 10**15  # bytes of a petabyte
MOST_PROCESSORS = 100_000  # of a slot
MOST = 1e9  # seconds of some thirty years: nobody can wait for much more, least of all Python
_YES = ("yes", "true", "y", "1", "on")
_NO = ("no", "false", "n", "0", "off", "")


class TooMuch(ValueError):
    """A number is greater than any that makes sense; the text says what is expected."""

    def __init__(self, most: float) -> None:
        super().__init__(f"a number of at most {most:.0f}")


def yes_no(value: object) -> bool:
    """Read DIRAC's words for true and false, in any case; nothing at all is false, as it is for DIRAC.

    Raises:
        ValueError: it is another word.
    """
    word = str(value).strip().lower()
    if word not in (*_YES, *_NO):
        raise ValueError(word)
    return word in _YES


def whole_number(value: object, least: int | None = None, most: int = MOST_WHOLE) -> int:
    """Read a whole number, as Python's `int` reads a text.

    Raises:
        ValueError: it is none, has a fraction, or is less than `least`; TooMuch of it where it is more than `most`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError(value)  # noqa: TRY004 - readers have one error
    number = int(value)
    if abs(number) > most:
        raise TooMuch(most)
    if least is not None and number < least:
        raise ValueError(value)
    return number


def number(value: object, least: float | None = None, most: float = MOST) -> float:
    """Read a number, as Python's `float` reads a text; never infinite, nor none.

    Raises:
        ValueError: it is none, or less than `least`; TooMuch of it where it is more than `most`.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(value)  # noqa: TRY004 - readers have one error
    try:
        read = float(value)
    except OverflowError as error:
        raise ValueError(value) from error
    if math.isfinite(read) and abs(read) > most:
        raise TooMuch(most)
    if not math.isfinite(read) or (least is not None and read < least):
        raise ValueError(value)
    return read


def comma_list(text: str) -> tuple[str, ...]:
    """Return the elements of a comma list in their order, without the blanks around them and without empty ones."""
    return tuple(element for element in (part.strip() for part in text.split(",")) if element)


def nearest(name: str, known: Collection[str], least_alike: float = 0.6) -> str:
    """Return the right name that is probably meant: what people call it, or the nearest in spelling; "" for none.

    Args:
        name: as it is written; its case does not count.
        known: the right names.
        least_alike: how near in spelling it must be, from 0 to 1 (`difflib`): the more, the fewer names are guessed.
    """
    import difflib  # noqa: PLC0415 - 10 ms that only a mistake has to pay

    meant = {folded: right for folded, rights in NICKNAMES.items() for right in rights if _first_word(right) in known}
    meant |= {candidate.casefold(): candidate for candidate in known}
    folded = name.strip().casefold()
    near = [folded] if folded in meant else difflib.get_close_matches(folded, meant, n=1, cutoff=least_alike)
    return meant[near[0]] if near else ""


def _first_word(right: str) -> str:
    return right.replace(",", " ").split()[0]


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return the end of a sentence that rejects a name: the nearest right one, or all there are."""
    if near := nearest(name, known):
        return f"; did you mean {near}?"
    return f"; there are {', '.join(sorted(known))}" if known else "; it has none"
