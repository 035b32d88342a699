"""The doctor on a healthy node, and on nodes with one planted fault each. Full disk and no cgroup: tests/nodes too."""

import json
import time
from email.utils import formatdate

import pytest

from pilot.doctor import examination, network
from pilot.doctor.finding import FAULT, OK, SKIPPED, WARNING, Finding
from tests.unit.doctor_scene import SERVICES, bad, containment, keys, real_site, site
from tests.unit.pilot_scene import Door, made

__all__ = ["containment", "keys", "real_site", "site"]


def test_a_healthy_node_has_no_fault_and_every_step_was_taken(real_site):
    found = real_site.examined()

    assert bad(found) == []
    assert {each.step for each in found} == {"options", "isolation", "DIRAC client", *examination.STEPS} - {
        "services"
    } | set(SERVICES)
    assert bad(found, SKIPPED) == []


def test_the_client_that_jobs_may_need_is_named_and_so_is_where_one_was_looked_for(site, tmp_path):
    (none,) = [each.says for each in site.examined() if each.step == "DIRAC client"]
    (tmp_path / "diracosrc").touch()
    site.options += ["--preinstalledEnv", str(tmp_path)]
    (found,) = [each.says for each in site.examined() if each.step == "DIRAC client"]

    assert none.startswith("none: jobs with modules of a VO or commands of DIRAC are handed back")
    assert "/cvmfs/dirac.egi.eu/dirac/pro/Linux-" in none
    assert found == f"{tmp_path}/diracosrc, for jobs that need one"


def expired_proxy(site):
    site.environ["X509_USER_PROXY"] = str(site.keys / "old.pem")


def wrong_ca(site):
    site.options[1] = str(site.keys / "other-ca.pem")


def host_without_san(site):
    site.host = "nosan.pem"


def service_down(site):
    site.is_up = False


def full_disk(site):
    site.options[-1] = str(10**9)


def broken_container_runtime(site):
    site.program("apptainer", "echo 'FATAL: container creation failed' >&2; exit 255")
    site.options += ["-y", "Pool/Singularity", "-o", "/LocalSite/ContainerRoot=/"]


def missing_ca_directory(site):
    site.options[1] = "/nowhere/certificates"


def unreadable_configuration(site):
    site.text = lambda _url: "Systems\n{\n"


def unreadable_pilot_json(site):
    (site.folder / "pilot.json").write_text("{")


def unknown_ce_type(site):
    site.options += ["-y", "Pol"]


def wrong_option_of_the_ce(site):
    site.options += ["-y", "Pool", "-o", "/LocalSite/KillGraceTime=soon"]


def misspelt_option_of_the_agent(site):
    site.options += ["-o", "PolingTime=5"]


def no_container_runtime(site):
    site.options += ["-y", "Pool/Singularity", "-o", "/LocalSite/ContainerBin=/nowhere/apptainer"]


def what_people_call_a_ce_type(site):
    site.options += ["-y", "Slurm"]


def old_proxy(site):
    path = site.folder / "old-kind.pem"
    certificate, key, _ = made("proxy")
    path.write_bytes(certificate + key)
    path.chmod(0o600)
    site.environ["X509_USER_PROXY"] = str(path)


def ssh_without_a_host(site):
    site.options += ["-y", "SSH"]


def open_quotation(site):
    site.options += ["-y", "Local", "-o", "/LocalSite/BatchSystem=SLURM", "-o", "/LocalSite/SubmitOptions=-p 'x"]


PLANTED = [
    (unknown_ce_type, "agent", "unknown CE type Pol; did you mean Pool?", "correct -y", 2),
    (wrong_option_of_the_ce, "agent", "KillGraceTime", "correct -y, -o or the configuration", 2),
    (misspelt_option_of_the_agent, "agent", "JobAgent/PolingTime; did you mean PollingTime?", "correct -y, -o", 2),
    (expired_proxy, "credential", "expired at ", "send a new proxy", 3),
    (wrong_ca, "configuration", "its certificate comes from no CA that we trust", "install the CA that issued it", 4),
    (
        host_without_san,
        "configuration",
        "its certificate has no subjectAltName",
        "with subjectAltName DNS:localhost",
        4,
    ),
    (service_down, "configuration", "nothing listens there", "start the service", 4),
    (full_disk, "disk", "MB are free; a pilot wants 1000000000 MB", "free space there", 6),
    (broken_container_runtime, "agent", "FATAL: container creation failed", "install or repair what is missing", 6),
    (
        no_container_runtime,
        "agent",
        "/nowhere/apptainer is not there: install Apptainer",
        "install or repair what is missing",
        6,
    ),
    (what_people_call_a_ce_type, "agent", "did you mean Local with BatchSystem = SLURM?", "correct -y", 2),
    (old_proxy, "credential", "a proxy of an old kind (before RFC 3820)", "send a new proxy", 3),
    (ssh_without_a_host, "agent", "option SSHHost of CE type SSH is not set", "correct -y, -o", 2),
    (open_quotation, "agent", 'option SubmitOptions is "-p \'x": no closing quotation', "correct -y, -o", 2),
    (missing_ca_directory, "CAs", "/nowhere/certificates (option --ca-dir): no CA certificates", "install the IGTF", 3),
    (
        unreadable_configuration,
        "configuration",
        "the section that opens in line 2 is never closed",
        "ask the operators",
        2,
    ),
    (unreadable_pilot_json, "options", "pilot.json, line 1, column 2: not JSON", "correct the option or the file", 2),
]


@pytest.mark.parametrize(
    ("plant", "step", "says", "remedy", "exit_code"), PLANTED, ids=lambda each: getattr(each, "__name__", "")
)
def test_a_planted_fault_is_found_with_its_own_sentence_and_what_to_do(site, plant, step, says, remedy, exit_code):
    plant(site)

    (fault,) = bad(site.examined())

    assert (fault.step, fault.exit_code) == (step, exit_code)
    assert says in fault.says
    assert remedy in fault.remedy


@pytest.mark.parametrize(
    ("off_s", "severity", "says"),
    [(600, FAULT, "600 s behind localhost"), (-600, FAULT, "600 s ahead of localhost"), (100, WARNING, "100 s behind")],
)
def test_a_clock_that_is_wrong_is_found_by_those_of_the_services(site, monkeypatch, off_s, severity, says):
    monkeypatch.setattr(Door, "date_time_string", lambda *_: formatdate(time.time() + off_s, usegmt=True))

    (clock,) = [each for each in site.examined() if each.step == "clock"]

    assert clock.severity == severity
    assert says.partition(" ")[2] in clock.says
    assert abs(int(clock.says.split()[3]) - abs(off_s)) <= 2
    assert "chronyc makestep" in clock.remedy


def test_a_name_that_dns_does_not_have_is_named():
    contacts, (found,) = network.reach_all("x", ("https://no-such-host.invalid:1/X",), None, None, FAULT)

    assert contacts == []
    assert found.says == "https://no-such-host.invalid:1/X: there is no host 'no-such-host.invalid' (DNS)"


def test_the_end_of_the_slot_that_only_the_queue_tells_is_found(site):
    given = site.options.index("-T")
    del site.options[given : given + 2]

    (found,) = [each for each in site.examined() if each.step == "batch system"]

    assert found.severity == OK
    assert found.says.endswith("; 3600 s left (maxCPUTime of the queue)")


def test_the_work_folder_is_as_it_was_before(site):
    site.options += ["--work-dir", str(site.folder / "not" / "yet" / "there")]
    (site.folder / "not").mkdir()

    site.examined()

    assert list(site.folder.iterdir()) == [site.folder / "not"]
    assert list((site.folder / "not").iterdir()) == []


@pytest.mark.parametrize(("worst", "code"), [(OK, 0), (SKIPPED, 0), (WARNING, 1), (FAULT, 2)])
def test_the_exit_code_is_that_of_the_worst_finding(worst, code):
    found = [Finding("a", OK, "fine"), Finding("b", worst, "so so"), Finding("c", OK, "fine")]

    assert examination.EXIT_CODES[examination.worst(found)] == code


def test_the_report_is_a_line_for_each_finding_or_json(site, capsys):
    site.environ["X509_USER_PROXY"] = "/nowhere"

    code = examination.main([*site.options, "--json"], site.environ)

    told = json.loads(capsys.readouterr().out)
    assert (code, told["severity"]) == (2, "fault")
    assert {"step", "severity", "says", "remedy", "exit_code"} == set(told["findings"][0])
    lines = examination.report([Finding("disk", FAULT, "full", "empty it", 6)], as_json=False).splitlines()
    assert lines == ["fault    disk  full", "               -> empty it", "1 fault, 0 warning, 0 ok"]
