"""pilot.json, as DIRAC's PilotSyncAgent writes it: both its schemas, turned into settings.

Old: a top key `Setups` with one section per setup. New: sections of setups and VOs, each with a `Pilot` part.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

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
}
TOP_KEYS = {"ConfigurationServers": "servers", "DefaultSetup": "setup", "PreferredURLPatterns": "url_patterns"}
CE_KEYS = {"Site": "site", "GridCEType": "grid_ce_type", "LocalCEType": "inner_ce"}


def load(path: Path, *, must_exist: bool) -> dict[str, Any]:
    """Return the file's sections; {} when it is missing and nobody named it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if must_exist:
            raise UsageError(f"{path}: there is no such file; expected a pilot.json") from error
        return {}
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not readable as pilot.json: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: found {type(content).__name__}; expected a JSON object")
    return content


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
        yield from _section(_find(content, place, path), PILOT_KEYS, f"{path} {'/'.join(place)}")
    for place in (("CEs", told.ce), ("CEs", told.ce, told.queue)):
        yield from _section(_find(content, place, path), CE_KEYS, f"{path} {'/'.join(place)}")


def without_effect(content: Mapping[str, Any], path: Path, told: Settings, vo: str) -> list[str]:
    """Return the keys for this pilot that name commands to run: gridpilot has its own list, which only -X changes."""
    setup = told.setup or str(content.get("DefaultSetup", ""))
    found = []
    for place in _pilot_sections(content, setup, vo):
        section = _find(content, place, path)
        found += [f"{'/'.join(place)}/{key}" for key in ("Commands", "CommandExtensions") if section.get(key)]
    return found


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
