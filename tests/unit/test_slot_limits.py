"""What payload tools can read about their grant, and what they cannot."""

from pathlib import Path

import pytest

from agents.jobs.job import Grant
from agents.jobs.payload_cfg import payload_cfg, write_payload_cfg
from ce_backends.cfg import parse

CFG = parse(
    "LocalSite\n{\nSite = LCG.Test.ch\n}\n"
    "DIRAC\n{\nVirtualOrganization = vo\nSecurity\n{\nProxyFile = /secret/proxy\n}\n}\n"
    "Resources\n{\nComputing\n{\nCEDefaults\n{\nMaxRAM = 4000\n}\n}\nSites\n{\nLCG\n{\nName = x\n}\n}\n}\n",
    "pilot.cfg",
)


def test_limits_are_where_dirac_s_tools_look_for_them() -> None:
    shown = parse(payload_cfg(CFG, 42, Grant(processor_ids=(1, 2), memory_mb=3000, gpu_ids=("GPU-a",)), 12.34), "x")

    limits = shown.section("/Resources/Computing/JobLimits/42")
    assert {name: value.text for name, value in limits.options()} == {
        "NumberOfProcessors": "2",
        "MaxRAM": "3000",
        "NumberOfGPUs": "1",
    }


def test_memory_without_limit_is_not_written_as_one() -> None:
    shown = parse(payload_cfg(CFG, 42, Grant(processor_ids=(1,)), 12.34), "x")

    assert shown.value("/Resources/Computing/JobLimits/42/MaxRAM") is None


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/LocalSite/Site", "LCG.Test.ch"),
        ("/LocalSite/CPUNormalizationFactor", "12.3"),
        ("/DIRAC/VirtualOrganization", "vo"),
        ("/Resources/Computing/CEDefaults/MaxRAM", "4000"),
        ("/DIRAC/Security/ProxyFile", ""),
        ("/Resources/Sites/LCG/Name", ""),
    ],
)
def test_payload_reads_of_the_site_and_nothing_of_credentials(path: str, text: str) -> None:
    assert parse(payload_cfg(CFG, 42, Grant(processor_ids=(1,)), 12.34), "x").text(path) == text


def test_limits_that_cannot_be_written_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert write_payload_cfg(tmp_path / "file" / "below", CFG, 42, Grant(processor_ids=(1,)), 12.34) == []
