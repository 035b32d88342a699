"""DIRAC 9.1.22 over https: what is HTTP's business and what is not."""

from typing import Any

import pytest


@pytest.mark.parametrize("path", ["/WorkloadManagement/Nope", "/WorkloadManagement/JobManager"])
def test_an_unknown_path_is_404_with_a_page(wms: Any, path: str) -> None:
    reply = wms.post("user", "JobManager", {"method": "ping"}, path)

    assert (reply.status_code, reply.headers["Content-Type"][:9]) == (404, "text/html")


@pytest.mark.parametrize("who", ["user", "nobody"])
def test_an_unknown_method_is_501_even_before_the_caller_is_known(wms: Any, who: str) -> None:
    reply = wms.post(who, "JobManager", {"method": "noSuchMethod"})

    assert (reply.status_code, "501: Not Implemented" in reply.text) == (501, True)


@pytest.mark.parametrize("method", ["getJobStatus", "getJobOwner"])
def test_methods_that_dirac_9_has_dropped_are_501(wms: Any, method: str) -> None:
    assert wms.post("user", "JobMonitoring", {"method": method, "args": "[1]"}).status_code == 501


def test_no_method_is_400(wms: Any) -> None:
    assert wms.post("user", "JobManager", {"args": "[]"}).status_code == 400


def test_get_is_405(wms: Any) -> None:
    reply = wms.session.get(wms.urls["JobManager"], cert=wms.endpoint["user_proxy"], timeout=30)

    assert reply.status_code == 405


@pytest.mark.parametrize("who", ["nobody", "stranger"])
def test_who_is_not_in_the_registry_gets_401(wms: Any, who: str) -> None:
    form = {"method": "submitJob", "args": '["Executable = 1"]'}

    assert wms.post(who, "JobManager", form).status_code == 401


def test_a_group_without_the_property_gets_401(wms: Any) -> None:
    form = {"method": "setPilotStatus", "args": '["ref", "Done"]'}

    assert wms.post("user", "PilotManager", form).status_code == 401


def test_a_stranger_with_a_valid_certificate_may_ping(wms: Any) -> None:
    assert wms.call("stranger", "JobManager", "ping")["OK"]


@pytest.mark.parametrize(
    "form",
    [
        {"method": "submitJob", "args": "{oops"},
        {"method": "submitJob"},
        {"method": "submitJob", "args": "[]"},
        {"method": "ping", "args": "[1, 2, 3]"},
    ],
)
def test_bad_json_and_a_wrong_number_of_arguments_are_500_without_detail(wms: Any, form: dict[str, str]) -> None:
    reply = wms.post("user", "JobManager", form)

    assert (reply.status_code, reply.headers["Content-Type"][:9]) == (500, "text/html")
    assert "Traceback" not in reply.text


def test_missing_args_are_no_arguments(wms: Any) -> None:
    assert wms.post("user", "JobMonitoring", {"method": "getJobs"}).json()["OK"]


def test_tagged_values_come_back_as_they_went(wms: Any) -> None:
    tagged = {
        "t": {"__dCls": "dt", "obj": "2026-01-02 03:04:05"},
        "d": {"__dCls": "date", "obj": "2026-01-02"},
        "b": {"__dCls": "b64", "obj": "AAE="},
    }

    assert wms.value("user", "JobManager", "echo", tagged) == tagged


@pytest.mark.parametrize(("who", "prop"), [("user", "NormalUser"), ("admin", "Operator"), ("pilot", "GenericPilot")])
def test_the_proxy_tells_who_calls(wms: Any, who: str, prop: str) -> None:
    caller = wms.value(who, "JobManager", "whoami")

    assert prop in caller["properties"]
    assert caller["group"].startswith(wms.endpoint["vo"])


def test_a_refusal_is_200_with_number_and_message(wms: Any) -> None:
    answer = wms.call("pilot", "JobManager", "submitJob", 'Executable = "x"')

    assert (answer["OK"], answer["Errno"]) == (False, 1503)
    assert answer["Message"].startswith("Job submission error ( 1503 : ")


def test_the_configuration_is_sent_only_when_newer(wms: Any) -> None:
    version = wms.value("pilot", "Configuration", "getVersion")

    assert wms.value("pilot", "Configuration", "getCompressedDataIfNewer", version) == {"newestVersion": version}
    assert set(wms.value("pilot", "Configuration", "getCompressedDataIfNewer", "0")) == {"newestVersion", "data"}


def test_the_configuration_has_what_an_agent_needs(wms: Any) -> None:
    lines = {line.strip() for line in wms.configuration().splitlines()}

    assert {"Systems", "URLs", "Registry", "Users", "Operations", "Resources"} <= lines
