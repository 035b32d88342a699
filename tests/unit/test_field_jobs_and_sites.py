"""What was met in the field, and the value that is right: JDLs, sites, pilot.json, control groups."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from agents.jobs.jdl import describe
from agents.local_wms.jdl import parse as parse_submitted
from agents.local_wms.jdl import show
from ce_backends.cfg import parse
from ce_backends.cli.commands import examine
from ce_backends.configuration.site_file import definitions
from ce_backends.linux import cgroup
from pilot import pilot_json, settings
from tests.field.batch_answers import ANSWERS
from tests.field.cfg_texts import TEXTS
from tests.field.cgroups import LAYOUTS, Layout
from tests.field.jdls import JDLS
from tests.field.machine_features import FEATURES
from tests.field.pilot_jsons import FILES, Place
from tests.field.sites import SITES

SITE = "Resources\n{\nSites\n{\nLCG\n{\nLCG.A.org\n{\nCEs\n{\nce01\n{\n%s}\n}\n}\n}\n}\n}\n"


def test_there_are_more_than_sixty_of_them() -> None:
    assert len([*JDLS, *SITES, *FILES, *LAYOUTS, *ANSWERS]) > 60
    assert len([*TEXTS, *FEATURES]) > 50


def fields_of(text: str) -> dict[str, object]:
    job = describe(text)
    request = {each.name: getattr(job.request, each.name) for each in dataclasses.fields(job.request)}
    return {each.name: getattr(job, each.name) for each in dataclasses.fields(job)} | request


@pytest.mark.parametrize(("text", "expected", "source"), JDLS, ids=[source for *_, source in JDLS])
def test_a_jdl_is_read_as_it_was_meant(text: str, expected: dict[str, object], source: str) -> None:
    read = fields_of(text)

    assert {name: read[name] for name in expected} == expected, source


@pytest.mark.parametrize(("text", "expected", "source"), JDLS, ids=[source for *_, source in JDLS])
def test_what_the_local_wms_stores_of_it_means_the_same(text: str, expected: dict[str, object], source: str) -> None:
    read = fields_of(show(parse_submitted(text)))

    assert {name: read[name] for name in expected} == expected, source


@pytest.mark.parametrize(("lines", "ce_type", "expected", "source"), SITES, ids=[source for *_, source in SITES])
def test_a_section_of_a_site_is_understood(lines: str, ce_type: str, expected: dict[str, object], source: str) -> None:
    (definition,) = definitions(parse(SITE % lines, "dirac.cfg"))

    reading, _ = examine(definition)

    assert definition.ce_type == ce_type, source
    if "mistake" in expected:
        assert str(expected["mistake"]) in " ".join(reading.mistakes)
    else:
        assert reading.mistakes == []
        assert {name: reading.options[name] for name in expected} == expected


@pytest.mark.parametrize(("content", "place", "expected", "source"), FILES, ids=[source for *_, source in FILES])
def test_a_pilot_json_is_read_in_either_schema(
    content: dict[str, object], place: Place, expected: dict[str, object], source: str, tmp_path: Path
) -> None:
    setup, vo, ce, queue = place
    path = tmp_path / "pilot.json"
    path.write_text(json.dumps(content))
    told = settings.Settings(setup=setup, ce=ce, queue=queue)

    loaded = settings.load(pilot_json.settings(pilot_json.load(path, must_exist=True), path, told, vo)).settings

    assert {name: getattr(loaded, name) for name in expected} == expected, source


@pytest.mark.parametrize("layout", LAYOUTS, ids=[layout.source for layout in LAYOUTS])
def test_the_group_for_tasks_is_the_first_upwards_that_is_ours(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in layout.folders:
        (tmp_path / folder).mkdir(parents=True)
    closed = {str(tmp_path / folder) for folder in layout.closed}

    def access(path: os.PathLike[str] | str, mode: int) -> bool:  # as a user that root's permissions do not stop
        place = str(path).removesuffix("/cgroup.procs")
        return os.path.isdir(place) and not (mode & os.W_OK and place in closed)  # noqa: PTH112

    monkeypatch.setattr(cgroup.os, "access", access)
    found = cgroup.hierarchies(layout.mountinfo.format(tmp_path), layout.membership)

    own = next((str(h.own.relative_to(tmp_path)) for h in found if h.version == 2), "")
    assert own == layout.own
