"""A backend's settings: a frozen value made from its table of options."""

import types
from collections.abc import Mapping
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
from ce_backends.ce_types.cloud import CloudSettings
from ce_backends.ce_types.htcondor_ce import ScheddSettings
from ce_backends.ce_types.local_and_ssh import PlaceSettings, SshSettings
from ce_backends.cli.template_ce import Settings as TemplateSettings
from ce_backends.containers.options import ContainerSettings
from ce_backends.errors import CEMisconfigured
from ce_backends.options import Described, Option, parse_options, setting, table_of, value_of
from ce_backends.pool.options import PoolSettings

OURS = (
    ArexSettings,
    BatchSettings,
    CloudSettings,
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
        if option.is_family:
            assert (hints[each.name], each.default_factory) == (Mapping[str, str], dict)
            continue
        expected = option.kind | types.NoneType if option.default is None else option.kind
        assert hints[each.name] == expected, each.name
        assert each.default == option.default


@pytest.mark.parametrize("settings", OURS)
def test_a_value_of_defaults_is_one_of_the_options_own_types(settings: type[Described]) -> None:
    assert value_of(settings, parse_options(table_of(settings), {}, "")) == settings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """An option that stands for many."""

    driver: Mapping[str, str] = setting(Option(name="Driver_*", kind=str, default="", doc="Each goes to the driver."))


def test_a_family_has_all_options_that_begin_like_it() -> None:
    given = {"Driver_region": "here", "Driver_port": "7"}

    assert value_of(Family, parse_options(table_of(Family), given, "Example")) == Family(
        driver={"region": "here", "port": "7"}
    )


@pytest.mark.parametrize("name", ["Driver_", "driver_x", "XDriver_x"])
def test_what_only_looks_like_one_of_a_family_is_unknown(name: str) -> None:
    with pytest.raises(CEMisconfigured, match=f"unknown option {name}"):
        parse_options(table_of(Family), {name: "x"}, "Example")


def test_an_option_of_a_family_is_named_when_it_is_wrong() -> None:
    with pytest.raises(CEMisconfigured, match="option Driver_x of CE type Example"):
        parse_options(table_of(Family), {"Driver_x": '"quoted"'}, "Example")
