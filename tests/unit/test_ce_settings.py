"""A backend's settings: a frozen value made from its table of options."""

import types
from dataclasses import FrozenInstanceError, dataclass, fields
from typing import get_type_hints

import pytest

from ce_backends.batch.options import BatchSettings
from ce_backends.batch.systems.grid_engine import GridEngineSettings
from ce_backends.batch.systems.htcondor import CondorSettings
from ce_backends.batch.systems.oar import OarSettings
from ce_backends.batch.systems.pbs import PbsSettings
from ce_backends.batch.systems.slurm import SlurmSettings
from ce_backends.ce_types.arex import ArexSettings
from ce_backends.ce_types.htcondor_ce import ScheddSettings
from ce_backends.ce_types.local_and_ssh import PlaceSettings, SshSettings
from ce_backends.cli.template_ce import Settings as TemplateSettings
from ce_backends.containers.options import ContainerSettings
from ce_backends.options import Described, Option, parse_options, setting, table_of, value_of
from ce_backends.pool.options import PoolSettings

OURS = (
    ArexSettings,
    BatchSettings,
    CondorSettings,
    ContainerSettings,
    GridEngineSettings,
    OarSettings,
    PbsSettings,
    PlaceSettings,
    PoolSettings,
    ScheddSettings,
    SlurmSettings,
    SshSettings,
    TemplateSettings,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Two options."""

    at_a_time: int = setting(Option(name="MaxTotalJobs", kind=int, default=2, doc="Tasks.", minimum=1))
    queue: str | None = setting(Option(name="Queue", kind=str, default=None, doc="Queue."))


def test_options_become_a_frozen_value_in_their_types() -> None:
    value = value_of(Example, parse_options(table_of(Example), {"MaxTotalJobs": "7"}, "Example"))

    assert value == Example(at_a_time=7, queue=None)
    with pytest.raises(FrozenInstanceError):
        value.at_a_time = 8  # type: ignore[misc] # that is the point


def test_the_table_has_the_options_in_the_order_of_the_fields() -> None:
    assert [option.name for option in table_of(Example)] == ["MaxTotalJobs", "Queue"]


def test_what_is_not_given_is_as_its_default_and_what_is_of_others_is_left() -> None:
    assert value_of(Example, {"Queue": "long", "Other": 1}) == Example(queue="long")


@pytest.mark.parametrize("settings", OURS)
def test_the_type_of_each_field_is_that_of_its_option(settings: type[Described]) -> None:
    hints = get_type_hints(settings)
    for each in fields(settings):
        option: Option = each.metadata["option"]
        expected = option.kind | types.NoneType if option.default is None else option.kind
        assert hints[each.name] == expected, each.name
        assert each.default == option.default


@pytest.mark.parametrize("settings", OURS)
def test_a_value_of_defaults_is_one_of_the_options_own_types(settings: type[Described]) -> None:
    assert value_of(settings, parse_options(table_of(settings), {}, "")) == settings()
