"""What is a warning of the doctor and no fault."""

from pilot.doctor import node
from pilot.doctor.finding import OK, WARNING
from tests.ports import held_port
from tests.unit.doctor_scene import bad, containment, keys, real_site, site

__all__ = ["containment", "keys", "real_site", "site"]


def test_no_cgroup_is_a_warning_with_the_reason():
    found = node.contained("session, sub-reaper and cookie", [], "cgroup v2: it is not mounted")

    assert (found.severity, found.step) == (WARNING, "cgroups")
    assert found.says.startswith("no cgroup can be used: payloads are held by session")
    assert "Delegate=yes" in found.remedy


def test_a_container_runtime_that_nobody_asked_for_is_only_a_warning(site):
    site.program("podman", "exit 125")

    (found,) = [each for each in bad(site.examined(), WARNING) if each.step == "containers"]

    assert found.says.endswith("podman does not work: exit code 125")


def test_one_server_of_two_that_is_down_is_a_warning(site):
    site.options += ["-C", f"https://localhost:{held_port()}/Configuration/Server"]

    found = [each for each in site.examined() if each.step == "configuration"]

    assert [each.severity for each in found] == [WARNING, OK, OK]


def test_an_option_that_is_nearly_one_of_ours_is_a_warning(site):
    site.options += ["-o", "/LocalSite/LocalCEE=Pool"]

    (found,) = [each for each in site.examined() if each.step == "agent"]

    assert found.severity == WARNING
    assert found.says == "pilot.cfg: /LocalSite/LocalCEE has no meaning here; did you mean LocalCE?"


def warnings(site):
    return {(each.step, each.says) for each in bad(site.examined(), WARNING)}


def test_more_processors_than_the_node_has_are_a_warning(site):
    site.options += ["-P", "8000"]

    assert any("8000 processors would be offered, and this node gives" in says for _, says in warnings(site))


def test_a_queue_that_the_configuration_does_not_have_is_told_with_the_nearest(site):
    site.options += ["-Q", "qq"]

    assert any(step == "site" and says.endswith("did you mean queue q?") for step, says in warnings(site))


def test_a_proxy_of_another_vo_is_a_warning(site, monkeypatch):
    monkeypatch.setattr("pilot.wms.certificate.voms_vo", lambda _: "lhcb")

    said = "the pilot is told to work for VO vo, and its proxy has VOMS attributes of lhcb"
    assert ("credential", said) in warnings(site)
