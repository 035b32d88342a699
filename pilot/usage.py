"""`--help` of the pilot and of the doctor: the options by what they are about, an example, the exit codes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping

from pilot.errors import EXIT_CODES
from pilot.settings import WITHOUT_EFFECT, Option, defaults, table

WIDTH = 80
WHERE, WHAT, UNTIL, WHO, REST = (
    "where am I",
    "what may I use",
    "when do I stop",
    "credential and authorities",
    "DIRAC's, rarely needed",
)
GROUPS: Mapping[str, tuple[str, ...]] = {
    WHERE: ("site", "ce", "queue", "vo", "servers", "options", "work_dir", "pilot_json"),
    WHAT: ("inner_ce", "processors", "max_processors", "min_disk_mb", "cpu_work_hs06s", "tags", "required_tags"),
    UNTIL: ("max_cycles", "polling_s", "stop_on_application_failure", "stop_after_failed_matches"),
    WHO: ("use_host_certificate", "host_certificate_folder", "ca_folder", "cvmfs_folders"),
}
QUESTIONS = (
    ("--explain [OPTION]", "show every setting and fact with its origin, or one of them, and stop"),
    ("--dry-run", "do everything but register and start the agent; show pilot.cfg, write nothing, and stop"),
    ("--json", "with --explain and --dry-run: for programs"),
    ("--version", "show the version, and stop"),
)
_VALUES = {
    "site": "SITE",
    "ce": "CE",
    "queue": "QUEUE",
    "grid_ce_type": "TYPE",
    "inner_ce": "TYPE",
    "vo": "VO",
    "servers": "URL",
    "logger_url": "URL",
    "min_disk_mb": "MB",
    "cpu_work_hs06s": "HS06S",
    "options": "/PATH=VALUE",
    "environment": "NAME:::VALUE",
    "command_options": "NAME=VALUE",
    "pilot_json": "FILE",
    "work_dir": "DIR",
    "host_certificate_folder": "DIR",
    "ca_folder": "DIR",
    "cvmfs_folders": "DIR",
    "python_environment": "DIR",
    "client_prefix": "DIR",
    "program": "COMMAND",
}
_OF_READER = {"count": "N", "processor_count": "N", "seconds": "SECONDS", "names": "NAME,…", "yes_no": "YES|NO"}


def rows() -> Iterator[tuple[str, tuple[str, ...], str, str]]:
    """Yield group, spellings, what stands for the value ("" for a flag) and meaning of each option."""
    of_group = {setting: group for group, settings in GROUPS.items() for setting in settings}
    found = [
        (of_group.get(setting, REST), row.names, value_of(setting, row), row.meaning + _shown(defaults()[setting]))
        for setting, row in table().items()
        if row.names
    ]
    for group in (*GROUPS, REST):
        yield from (each for each in found if each[0] == group)


def value_of(setting: str, row: Option) -> str:
    """Return what stands for an option's value, "" for a flag."""
    if row.flag:
        return ""
    return _VALUES.get(setting) or _OF_READER.get(row.read.__name__, "VALUE")


def text(program: str = "python -m pilot") -> str:
    """Return the text of the pilot's `--help`."""
    lines = [f"usage: {program} [options]", "", "Finds out what this slot has and runs the job agent in it.", ""]
    lines += [f"  {program} --dry-run -n LCG.Site.ch -N ce01.site.ch -Q long -C URL"]
    lines += [*_options(), "", "questions:", *_described(QUESTIONS), ""]
    ignored = "accepted, without effect: " + ", ".join(names[-1] for names, _ in WITHOUT_EFFECT)
    lines += textwrap.wrap(ignored, WIDTH, break_on_hyphens=False)
    lines += ["", "exit codes:", *(f"  {code:<4}{meaning}" for code, meaning in EXIT_CODES.items())]
    lines.append("  128+n stopped by signal n")
    if program == "python -m pilot":
        lines += ["", "other words:", *_described(_WORDS)]
    return "\n".join(lines)


_WORDS = (
    ("python -m pilot status [--work-dir DIR] [--json]", "the jobs of a work directory"),
    ("python -m pilot explain JOB [--work-dir DIR] [--json]", "what became of one of them"),
    ("python -m pilot report [--work-dir DIR] [--json] [-O FILE]", "one HTML page of the whole slot"),
    ("python -m pilot doctor [options] [--json]", "what works on this node, and what to do about what does not"),
    ("python -m pilot ce list | describe | validate | plan | test | new", "computing elements"),
    ("python -m pilot site-director run | status | plan | why | hold | release", "submit pilots by demand"),
    ("python -m pilot data ls | replicas | get | put | register", "files of the catalogue"),
)


def of_doctor(program: str = "python -m pilot doctor") -> str:
    """Return the text of the doctor's `--help`."""
    lines = [f"usage: {program} [options] [--json]", ""]
    lines += ["Tries what a pilot with these options needs on this node, and says what to do"]
    lines += ["about what does not work. It starts and writes nothing.", *_options(), ""]
    lines += ["  --json", "        for programs"]
    return "\n".join(lines)


def _options() -> Iterator[str]:
    heading = ""
    for group, names, value, meaning in rows():
        if group != heading:
            heading = group
            yield from ("", f"{group}:")
        yield from _described([(f"{', '.join(names)} {value}".rstrip(), meaning)])


def _described(described: Iterable[tuple[str, str]]) -> Iterator[str]:
    for spelling, meaning in described:
        yield f"  {spelling}"
        yield from textwrap.wrap(meaning, WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8)


def _shown(default: object) -> str:
    if default in ("", 0, (), None):  # False is 0, and a flag's default needs no mention
        return ""
    return f" (default: {', '.join(default) if isinstance(default, tuple) else default})"
