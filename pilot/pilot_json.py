"""pilot.json, as DIRAC's PilotSyncAgent writes it: both its schemas, turned into settings.

Old: a top key `Setups` with one section per setup. New: sections of setups and VOs, each with a `Pilot` part.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pilot import strict_json
from pilot.errors import UsageError
from pilot.settings import Given, Settings

# key of a Pilot section -> setting
PILOT_KEYS = {
    "Version": "release",
    "Project": "project",
    "RemoteLogging": "remote_logging",
    "RemoteLoggerURL": "logger_url",
    "RemoteLoggerTimerInterval": "logger_interval_s",
    "RemoteLoggerBufsize": "logger_lines",
    "RemoteLoggerCEsWhiteList": "logger_ces",
    "PilotLogLevel": "log_level",
    "CVMFS_locations": "cvmfs_folders",
    "ConfigurationServer": "servers",
    "CommandExtensions": "extensions",
    "NagiosProbes": "nagios_probes",
    "NagiosPutURL": "nagios_put_url",
}
TOP_KEYS = {"ConfigurationServers": "servers", "DefaultSetup": "setup", "PreferredURLPatterns": "url_patterns"}
CE_KEYS = {"Site": "site", "GridCEType": "grid_ce_type", "LocalCEType": "inner_ce"}


def load(path: Path, *, must_exist: bool) -> dict[str, Any]:
    """Return the file's sections; {} when it is missing and nobody named it."""
    try:
        text = path.read_bytes()
        content = strict_json.read(text)
    except FileNotFoundError as error:
        if must_exist:
            raise UsageError(f"{path}: there is no such file; expected a pilot.json") from error
        return {}
    except strict_json.NotJson as error:
        raise UsageError(_not_json(path, error.__cause__ or error) + _looks_like(text)) from error
    except OSError as error:
        raise UsageError(f"{path}: not readable as pilot.json: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: found {type(content).__name__}; expected a JSON object")
    if twice := _said_twice(text):
        raise UsageError(f"{path}: {twice!r} stands twice in one section; one of the two would be lost")
    return content


def _said_twice(text: bytes) -> str:
    """Return a name that stands twice in one object, "" for none; of two, Python's reader takes the last."""
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        if len(dict(pairs)) < len(pairs):
            counted = Counter(name for name, _ in pairs)
            found.append(max(counted, key=lambda name: counted[name]))

    json.loads(text, object_pairs_hook=look)
    return found[0] if found else ""


def _looks_like(text: bytes) -> str:
    """Return the end of a sentence about a file in another language."""
    shown = text.decode("utf-8", "replace")
    if re.search(r"^\s*[\w.]+\s*=[^=]", shown, re.MULTILINE):
        return "; this looks like DIRAC's CFG"
    return "; this looks like YAML" if re.search(r"^(---|\s*[\w.-]+:(\s|$))", shown, re.MULTILINE) else ""


def _not_json(path: Path, error: BaseException) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{path}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}"
    return f"{path}: not JSON: {error}"


def settings(content: Mapping[str, Any], path: Path, told: Settings, vo: str) -> Iterator[Given]:
    """Yield what the file sets for this pilot, least specific first.

    Args:
        content: the file's sections.
        path: the file, for messages.
        told: setup ("" for the file's DefaultSetup), CE and queue choose the sections.
        vo: the pilot's VO.
    """
    yield from _section(content, TOP_KEYS, str(path))
    setup = told.setup or str(content.get("DefaultSetup", ""))
    for place in _pilot_sections(content, setup, vo):
        section = _find(content, place, path)
        yield from _section(section, PILOT_KEYS, f"{path} {'/'.join(place)}")
        yield from _commands(section, _ce_type(content, told, path), f"{path} {'/'.join(place)}")
    for place in (("CEs", told.ce), ("CEs", told.ce, told.queue)):
        yield from _section(_find(content, place, path), CE_KEYS, f"{path} {'/'.join(place)}")


def _ce_type(content: Mapping[str, Any], told: Settings, path: Path) -> str:
    """Return the type of the CE that the pilot came through: the option, else what the file says of the CE."""
    return told.grid_ce_type or str(_find(content, ("CEs", told.ce), path).get("GridCEType", ""))


def _commands(section: Mapping[str, Any], ce_type: str, origin: str) -> Iterator[Given]:
    """Yield the list of commands for this type of CE; one list for all types will do as well."""
    listed = section.get("Commands")
    if isinstance(listed, dict):
        name = ce_type if listed.get(ce_type) else "Defaults"
        listed, origin = listed.get(name), f"{origin}/Commands/{name}"
    else:
        origin = f"{origin}/Commands"
    if listed:
        yield Given("commands", listed, origin)


def _pilot_sections(content: Mapping[str, Any], setup: str, vo: str) -> tuple[tuple[str, ...], ...]:
    """Return where options for this pilot may be; a later place wins."""
    if "Setups" in content:
        return ("Setups", "Defaults"), ("Setups", setup)
    return (
        ("Defaults", "Pilot"),
        (setup, "Pilot"),
        (vo, "Defaults", "Pilot"),
        (vo, setup, "Pilot"),
        (vo, "Pilot"),
    )


def _find(content: Mapping[str, Any], place: tuple[str, ...], path: Path) -> Mapping[str, Any]:
    here: Any = content
    for depth, name in enumerate(place, start=1):
        here = here.get(name, {}) if name else {}
        if not isinstance(here, dict):
            at = "/".join(place[:depth])
            raise UsageError(f"{path}: {at} is {here!r}; expected a JSON object")
    return dict(here)


def _section(section: Mapping[str, Any], keys: Mapping[str, str], origin: str) -> Iterator[Given]:
    for key, setting in keys.items():
        if section.get(key) not in (None, "", []):
            yield Given(setting, section[key], f"{origin}/{key}")
