"""What a pilot can be told: one typed table, filled from pilot.json and from DIRAC's command line options.

The table gives the parsing, the defaults with their units, the messages, `--help`, `--explain` and the documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pilot import readers
from pilot.errors import UsageError
from pilot.readers import yes_no

DEFAULT = "default"
BARE_WORDS = ("diracInstallOnly", "cvmfsOnly")  # -o words that steer an installation, which we do not have
HOST_CERTIFICATES = "/etc/grid-security"
LEVELS = {
    "DEBUG": "DEBUG",
    "VERBOSE": "DEBUG",
    "INFO": "INFO",
    "NOTICE": "INFO",
    "WARN": "WARNING",
    "WARNING": "WARNING",
    "ERROR": "ERROR",
    "FATAL": "ERROR",
    "ALWAYS": "ERROR",
}


def text(value: object) -> str:
    """Read a string; of a list, as pilot.json has for Version, the first element."""
    if isinstance(value, (list, tuple)) and value:
        return text(value[0])
    if isinstance(value, str):
        return value.strip()
    raise ValueError("a text")


def count(value: object) -> int:
    """Read a whole number that is not negative."""
    try:
        return readers.whole_number(value, 0)
    except readers.TooMuch:
        raise
    except ValueError:
        raise ValueError("a whole number, 0 or more") from None


def processor_count(value: object) -> int:
    """Read a number of processors that one machine may have."""
    return readers.whole_number(count(value), most=readers.MOST_PROCESSORS)


def seconds(value: object) -> float:
    """Read a duration in seconds."""
    try:
        return readers.number(value, 0)
    except readers.TooMuch:
        raise
    except ValueError:
        raise ValueError("a number of seconds, 0 or more") from None


def level(value: object) -> str:
    """Read one of DIRAC's log levels as the nearest of DEBUG, INFO, WARNING and ERROR."""
    word = str(value).strip().upper()
    if word not in LEVELS:
        raise ValueError(f"one of {', '.join(LEVELS)}")
    return LEVELS[word]


def names(value: object) -> tuple[str, ...]:
    """Read a comma list, or a list of them."""
    if isinstance(value, str):
        return readers.comma_list(value)
    if isinstance(value, (list, tuple)):
        return tuple(name for part in value for name in names(part))
    raise ValueError("a comma list")


def assignments(value: object) -> tuple[tuple[str, str], ...]:
    """Read `-o` options: `name=value` each, or one of DIRAC's two bare words."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    return tuple(_assignment(str(part)) for part in parts)


def _assignment(part: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    if part in BARE_WORDS:
        return part, ""
    if not equals or not name.strip().strip("/"):
        raise ValueError("/Section/Option=value")
    return name.strip(), value.strip()


def pairs(value: object) -> tuple[tuple[str, str], ...]:
    """Read DIRAC's `k=v,...` list of options for commands."""
    split = [part.partition("=") for part in names(value)]
    if not all(equals and name.strip() for name, equals, _ in split):
        raise ValueError("NAME=value,...")
    return tuple((name.strip(), content.strip()) for name, _, content in split)


def variables(value: object) -> tuple[tuple[str, str], ...]:
    """Read DIRAC's `name:::value,...` list of environment variables."""
    found = []
    for part in names(value):
        name, separator, content = part.partition(":::")
        if not separator or not name.strip():
            raise ValueError("NAME:::value,...")
        found.append((name.strip(), content))
    return tuple(found)


@dataclass(frozen=True)
class Option:
    """How one setting is written on the command line.

    Attributes:
        names: DIRAC's spellings, or ours where DIRAC has none; none for what only pilot.json can set.
        read: turns what was written into the value, or raises ValueError naming what was expected.
        meaning: one line for `--help`.
        flag: takes no value.
        repeats: may be given several times; the values add up.
    """

    names: tuple[str, ...]
    read: Callable[[object], Any]
    meaning: str
    flag: bool = False
    repeats: bool = False


def option(*spellings: str, read: Callable[[object], Any] = text, default: Any = "", meaning: str) -> Any:
    """Declare a setting with its row of the table."""
    row = Option(spellings, read, meaning, repeats=read in (names, assignments))
    return field(default=default, metadata={"option": row})


def flag(*spellings: str, meaning: str) -> Any:
    """Declare a setting that is off unless its option is there; the option takes no value."""
    return field(default=False, metadata={"option": Option(spellings, yes_no, meaning, flag=True)})


@dataclass(frozen=True)
class Settings:
    """Everything a pilot was told."""

    site: str = option("-n", "--name", meaning="site name, e.g. LCG.CERN.ch")
    ce: str = option("-N", "--Name", meaning="computing element through which the pilot came")
    queue: str = option("-Q", "--Queue", meaning="queue of the computing element")
    grid_ce_type: str = option("-a", "--gridCEType", meaning="type of that computing element")
    inner_ce: str = option("-y", "--CEType", meaning="CE type that runs the jobs; `ce list` names them all")
    vo: str = option("--wnVO", meaning="virtual organisation")
    setup: str = option("-S", "--setup", meaning="DIRAC setup (before DIRAC 9)")
    servers: tuple[str, ...] = option(
        "-C", "--configurationServer", read=names, default=(), meaning="Configuration servers, comma list"
    )
    release: str = option("-r", "--release", meaning="DIRAC release that the Matcher expects")
    project: str = option("-l", "--project", meaning="DIRAC project that the Matcher expects")
    processors: int = option(
        "-P", "--pilotProcessors", read=processor_count, default=0, meaning="processors of this slot; 0: find out"
    )
    max_processors: int = option(
        "-m",
        "--maxNumberOfProcessors",
        read=processor_count,
        default=0,
        meaning="never use more processors; 0: no limit",
    )
    cpu_work_hs06s: int = option(
        "-T", "--CPUTime", read=count, default=0, meaning="CPU work to offer, HS06 seconds; 0: find out"
    )
    min_disk_mb: int = option("-D", "--disk", read=count, default=2560, meaning="free disk needed, MB")
    tags: tuple[str, ...] = option("-t", "--tag", read=names, default=(), meaning="tags to offer, comma list")
    required_tags: tuple[str, ...] = option(
        "--requiredTag", read=names, default=(), meaning="tags that a job must ask for, comma list"
    )
    max_cycles: int = option(
        "-M", "--MaxCycles", read=count, default=0, meaning="requests of the agent to the Matcher; 0: no limit"
    )
    polling_s: float = option(
        "--PollingTime", read=seconds, default=20.0, meaning="seconds between matching cycles without a job"
    )
    stop_on_application_failure: bool = option(
        "--StopOnApplicationFailure", read=yes_no, default=False, meaning="end the agent when a payload fails"
    )
    stop_after_failed_matches: int = option(
        "--StopAfterFailedMatches", read=count, default=10, meaning="end the agent after more empty matches than this"
    )
    start_spread_s: float = option(
        "--StartSpread",
        read=seconds,
        default=0.0,
        meaning="seconds over which pilots that start together spread; 0: by their number, none for one on its own",
    )
    owner_group: str = option("-G", "--Group", meaning="match only jobs of this group")
    owner_dn: str = option("-O", "--OwnerDN", meaning="match only jobs of this owner")
    options: tuple[tuple[str, str], ...] = option(
        "-o", "--option", read=assignments, default=(), meaning="configuration option, /Section/Option=value"
    )
    reference: str = option("-R", "--reference", meaning="pilot reference, where the batch system's is wrong")
    stamp: str = option("--pilotUUID", meaning="pilot stamp, when DIRAC_PILOT_STAMP is not set")
    use_host_certificate: bool = flag("-c", "--cert", meaning="use the host certificate, not a proxy")
    host_certificate_folder: str = option(
        "-K", "--certLocation", default=HOST_CERTIFICATES, meaning="folder of hostcert.pem and hostkey.pem"
    )
    ca_folder: str = option("--ca-dir", meaning="trusted CA certificates: a hashed folder, or one PEM file")
    cvmfs_folders: tuple[str, ...] = option(
        "--CVMFS_locations",
        read=names,
        default=("/cvmfs/grid.cern.ch", "/cvmfs/dirac.egi.eu"),
        meaning="where to look for DIRAC clients, and for CA certificates when the node has none",
    )
    pilot_json: str = option("-F", "--pilotCFGFile", meaning="the file (default: pilot.json, if there is one)")
    work_dir: str = option("--work-dir", default=".", meaning="folder for everything that the pilot writes")
    environment: tuple[tuple[str, str], ...] = option(
        "--userEnvVariables", read=variables, default=(), meaning="environment for the agent, NAME:::value,..."
    )
    keep_python_path: bool = flag("-k", "--keepPP", meaning="leave the node's PYTHONPATH to the agent")
    python_environment: str = option(
        "--preinstalledEnv",
        meaning="diracosrc of a DIRAC client, or its folder, for jobs that need one; a folder with bin/python is also "
        "the agent's Python, if ours will not do",
    )
    client_prefix: str = option(
        "--preinstalledEnvPrefix", meaning="folder of DIRAC clients, VERSION or pro/Linux-x86_64/diracosrc"
    )
    program: str = option("-x", "--execute", meaning="run this program in place of the agent")
    commands: tuple[str, ...] = option("-X", "--commands", read=names, default=(), meaning="run only these commands")
    extensions: tuple[str, ...] = option(
        "-E", "--commandExtensions", read=names, default=(), meaning="take commands from <name>Commands.py first"
    )
    command_options: tuple[tuple[str, str], ...] = option(
        "-Z", "--commandOptions", read=pairs, default=(), meaning="options for commands of extensions, k=v,..."
    )
    remote_logging: bool = flag("-z", "--pilotLogging", meaning="send the pilot's log to the logger URL")
    logger_url: str = option("-g", "--loggerURL", meaning="the PilotLogging service")
    debug: bool = flag("-d", "--debug", meaning="log more")
    log_level: str = option(read=level, default="INFO", meaning="PilotLogLevel of pilot.json")
    logger_lines: int = option(read=count, default=1000, meaning="RemoteLoggerBufsize of pilot.json, lines")
    logger_interval_s: float = option(read=seconds, default=0.0, meaning="RemoteLoggerTimerInterval of pilot.json")
    logger_ces: tuple[str, ...] = option(
        read=names, default=(), meaning="RemoteLoggerCEsWhiteList of pilot.json: only these send their log"
    )
    nagios_probes: tuple[str, ...] = option(
        read=names, default=(), meaning="NagiosProbes of pilot.json: programs that run next to the pilot"
    )
    nagios_put_url: str = option(meaning="NagiosPutURL of pilot.json: where their results go")
    url_patterns: tuple[str, ...] = option(read=names, default=(), meaning="PreferredURLPatterns of pilot.json")


# accepted because site directors send them; (spellings, takes a value)
WITHOUT_EFFECT = (
    (("-e", "--extraPackages"), True),
    (("-s", "--section"), True),
    (("-u", "--url"), True),
    (("-V", "--installation"), True),
    (("-W", "--gateway"), True),
    (("--modules",), True),
    (("--pipInstallOptions",), True),
    (("--architectureScript",), True),
)


@dataclass(frozen=True)
class Given:
    """One value for one setting, as its source wrote it."""

    setting: str
    value: object
    origin: str


@dataclass(frozen=True)
class Loaded:
    """The settings, and where each came from."""

    settings: Settings
    origins: Mapping[str, str]

    def is_given(self, setting: str) -> bool:
        """True when somebody wrote it down; False for a default."""
        return self.origins[setting] != DEFAULT


def table() -> dict[str, Option]:
    """Return the row of each setting, in the order of the documentation."""
    return {each.name: each.metadata["option"] for each in fields(Settings)}


def defaults() -> dict[str, Any]:
    """Return the default of each setting."""
    return {each.name: each.default for each in fields(Settings)}


def load(given: Iterable[Given]) -> Loaded:
    """Return the settings; of two values for the same one the later wins."""
    rows = table()
    values: dict[str, Any] = {}
    origins = dict.fromkeys(rows, DEFAULT)
    for each in given:
        values[each.setting] = read(rows[each.setting], each)
        origins[each.setting] = each.origin
    return Loaded(Settings(**values), origins)


def read(row: Option, given: Given) -> Any:
    """Return the typed value, or say which source wrote what, and what was expected."""
    try:
        return row.read(given.value)
    except ValueError as error:
        raise UsageError(f"{given.origin}: {_as_written(given.value)!r} is not {error}") from error


def _as_written(value: object) -> object:
    return value[0] if isinstance(value, list) and len(value) == 1 else value
