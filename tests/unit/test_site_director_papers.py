"""What goes with a pilot that the SiteDirector submits: its task, and certificates."""

from pathlib import Path

import pytest

from agents.errors import ConfigurationError
from agents.site_director.starter import Starter, gather_certificates
from tests.unit.site_director_scene import chosen, pilot


def test_the_task_of_a_pilot_has_no_secret_in_its_text(tmp_path: Path) -> None:
    proxy = tmp_path / "proxy.pem"
    proxy.write_text("-----BEGIN PRIVATE KEY-----\nabc", encoding="utf-8")
    bundle = tmp_path / "gridpilot.pyz"
    bundle.write_text("bundle", encoding="utf-8")
    start = Starter(servers=["https://a/C", "https://b/C"], vo="example", bundle=bundle, certificates=tmp_path)
    queue = chosen()[1]
    task = start.task(pilot(queue=queue.name), queue, proxy)

    assert (task.credential, task.processors, task.stamp) == (proxy, 8, f"{1:032x}")
    assert (task.inputs, task.shared) == ([tmp_path], [bundle])
    assert "PRIVATE" not in task.script
    for words in (
        "'-n' 'LCG.One.ch' '-N' 'ce1.one.ch' '-Q' 'long' '--wnVO' 'example'",
        "'-C' 'https://a/C,https://b/C'",
        f"'-R' 'gridpilot://ce1.one.ch/long/{1:032x}'",
        "'-P' '8' '-y' 'Pool' '-t' 'a b'",
    ):
        assert words in task.script


def test_only_certificates_go_with_a_pilot_and_not_what_lies_beside_them(tmp_path: Path) -> None:
    ca = tmp_path / "authority"
    ca.mkdir()
    for name in ("0a1b2c3d.0", "0a1b2c3d.signing_policy", "ca.key", "user.pem"):
        (ca / name).write_text(name, encoding="utf-8")

    made = gather_certificates(ca, tmp_path / "work")

    assert sorted(path.name for path in made.iterdir()) == ["0a1b2c3d.0", "0a1b2c3d.signing_policy"]
    with pytest.raises(ConfigurationError, match="0 CA files"):
        gather_certificates(tmp_path / "work", tmp_path / "other")
