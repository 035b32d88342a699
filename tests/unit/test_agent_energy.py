"""Energy of payloads: the node's counters shared out by CPU time, a site's figure, or nothing where nobody knows."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from agents.jobs.energy import Energy, co2_g, total
from agents.settings.energy import EnergySettings
from agents.slot.energy import EnergyAccount, PowerReading, Rapl, account

RANGE_UJ = 1_000_000_000


@dataclass
class Powercap:
    """A copy of the kernel's directory; the real one is not to be had in a virtual machine."""

    root: Path

    def zone(self, path: str, name: str, energy_uj: int) -> Path:
        zone = self.root / path
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "name").write_text(f"{name}\n", encoding="ascii")
        (zone / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n", encoding="ascii")
        (zone / "energy_uj").write_text(f"{energy_uj}\n", encoding="ascii")
        return zone


@pytest.fixture
def powercap(tmp_path: Path) -> Powercap:
    return Powercap(tmp_path / "powercap")


class Node:
    """CPU time of all that runs on it."""

    def __init__(self) -> None:
        self.busy_s = 1000.0

    def __call__(self) -> float:
        return self.busy_s


def test_packages_and_memory_count_once_and_counters_begin_again_at_their_range(powercap: Powercap) -> None:
    first = powercap.zone("intel-rapl:0", "package-0", 100)
    powercap.zone("intel-rapl:0:0", "core", 0)
    memory = powercap.zone("intel-rapl:0:1", "dram", 0)
    second = powercap.zone("intel-rapl:1", "package-1", RANGE_UJ - 5_000_000)
    platform = powercap.zone("intel-rapl:2", "psys", 0)
    made = account(EnergySettings(), is_remote=False, powercap=powercap.root)
    made.begun("a")
    (powercap.root / "intel-rapl:0:0/energy_uj").write_text("900000000", encoding="ascii")
    (first / "energy_uj").write_text("20000100", encoding="ascii")
    (memory / "energy_uj").write_text("5000000", encoding="ascii")
    (second / "energy_uj").write_text("5000000", encoding="ascii")
    (platform / "energy_uj").write_text("900000000", encoding="ascii")
    made._busy_s = lambda: 0.0

    used = made.used("a", 1.0)

    assert used is not None
    assert (used.joules, used.source, used.is_measured) == (pytest.approx(20 + 5 + 10), "RAPL", True)


def test_a_payload_has_its_share_of_what_the_node_used(powercap: Powercap) -> None:
    zone, node = powercap.zone("intel-rapl:0", "package-0", 0), Node()
    made = EnergyAccount(EnergySettings(carbon_g_per_kwh=360.0), Rapl([zone]), node)
    made.begun("a")
    node.busy_s += 40.0
    (zone / "energy_uj").write_text("100000000", encoding="ascii")

    used = made.used("a", 10.0)

    assert used is not None
    assert used.joules == pytest.approx(25.0)
    assert used.co2_g == pytest.approx(25 / 3.6e6 * 360)


def test_clocks_of_the_node_that_lag_behind_give_nobody_more_than_there_was(powercap: Powercap) -> None:
    zone, node = powercap.zone("intel-rapl:0", "package-0", 0), Node()
    made = EnergyAccount(EnergySettings(), Rapl([zone]), node)
    made.begun("a")
    (zone / "energy_uj").write_text("3000000", encoding="ascii")

    used = made.used("a", 10.0)

    assert used is not None
    assert used.joules == pytest.approx(3.0)


def test_a_reading_that_a_site_names_is_summed_over_time(tmp_path: Path) -> None:
    file, now_s = tmp_path / "power_now", [0.0]
    file.write_text("20000000\n", encoding="ascii")
    made = PowerReading(file, 1e-6, lambda: now_s[0])
    now_s[0] = 10.0
    file.write_text("40000000\n", encoding="ascii")

    assert made.joules() == pytest.approx(10 * 30)
    now_s[0] = 11.0
    assert made.joules() == pytest.approx(10 * 30 + 40)


@pytest.mark.parametrize("text", ["", "many", "-3", "nan", "1e9", "inf"])
def test_a_reading_that_is_no_power_is_used_no_more(tmp_path: Path, text: str) -> None:
    file = tmp_path / "watts"
    file.write_text("100", encoding="ascii")
    settings = EnergySettings(power_reading=str(file), processor_w=8.0)
    made = account(settings, is_remote=False)
    made.begun("a")
    file.write_text(text, encoding="ascii")
    made.look()

    used = made.used("a", 100.0)

    assert used == Energy(800.0, "estimated: 8 W a busy processor", is_measured=False)


def test_payloads_from_before_this_agent_and_on_other_nodes_are_estimated(powercap: Powercap) -> None:
    powercap.zone("intel-rapl:0", "package-0", 0)
    settings = EnergySettings(processor_w=8.0, carbon_g_per_kwh=100.0)
    here = account(settings, is_remote=False, powercap=powercap.root)
    elsewhere = account(settings, is_remote=True, powercap=powercap.root)
    elsewhere.begun("a")

    assert (
        here.used("before", 50.0)
        == elsewhere.used("a", 50.0)
        == Energy(400.0, "estimated: 8 W a busy processor", is_measured=False, co2_g=co2_g(400.0, 100.0))
    )


def test_where_nobody_can_know_nothing_is_told(tmp_path: Path) -> None:
    made = account(EnergySettings(carbon_g_per_kwh=100.0), is_remote=False, powercap=tmp_path / "none")
    made.begun("a")

    assert made.used("a", 50.0) is None
    assert account(EnergySettings(processor_w=8.0), is_remote=False, powercap=tmp_path).used("a", None) is None


def test_what_a_slot_used_is_the_sum_and_says_how_it_is_known() -> None:
    parts = [
        Energy(3600.0, "RAPL", is_measured=True, co2_g=1.0),
        None,
        Energy(1800.0, "estimated: 8 W", is_measured=False),
    ]

    assert str(total(parts)) == "1.500 Wh (RAPL, estimated: 8 W), 1.00 g CO2"
    assert total([None]) is None
