"""The doctor on a healthy node, and on nodes with one planted fault each. Full disk and no cgroup: tests/nodes too."""

import json
import os
import time
import types
from email.utils import formatdate
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from pilot.doctor import agent, examination, network, node
from pilot.doctor.finding import FAULT, OK, SKIPPED, WARNING, Finding
from tests import forked
from tests.ports import held_port
from tests.unit.test_pilot_services import CONFIGURATION, Door, error, made, make_keys, ok, packed, serving

SERVICES = ("Matcher", "JobStateUpdate", "JobManager", "SandboxStore", "PilotManager", "PilotLogging", "JobMonitoring")


def configuration(url):
    lines = "".join(f"      {name} = {url}/WorkloadManagement/{name}\n" for name in SERVICES)
    return CONFIGURATION.format(url=url).replace("    URLs\n    {\n", f"    URLs\n    {{\n{lines}", 1)


class Site:
    """A node and its services, which a test spoils before it asks the doctor."""

    def __init__(self, certificates, folder):
        self.keys, self.folder = certificates, folder
        self.host = "host.pem"
        self.environ = {"X509_USER_PROXY": str(certificates / "proxy.pem"), "PATH": os.environ["PATH"]}
        self.options = ["--ca-dir", str(certificates / "ca.pem"), "-n", "LCG.A.ch", "-N", "ce01", "-Q", "q"]
        self.options += ["--wnVO", "vo", "-T", "1000", "--work-dir", str(folder / "w"), "--disk", "1"]
        self.text = configuration
        self.is_up = True

    def examined(self):
        with serving(self.keys, self._answer, host=self.host) as self.url:
            url = self.url
            if self.is_up:
                return examination.examine([*self.options, "-C", f"{url}/Configuration/Server"], self.environ)
        return examination.examine([*self.options, "-C", f"{url}/Configuration/Server"], self.environ)

    def _answer(self, *_):
        return ok(packed(self.text(self.url)))

    def program(self, name, text):
        """Put a program of this name first on the PATH."""
        folder = self.folder / "bin"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
        self.environ["PATH"] = f"{folder}:{self.environ['PATH']}"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def containment():
    """How tasks are held is tried once: it does not depend on what a test has spoiled."""
    found = []

    def step(patient):
        found[:] = found or node.containment(patient)[1]
        return patient, found

    return step


@pytest.fixture
def real_site(keys, tmp_path, monkeypatch):
    """One whose doctor tries all there is to try, and asks a new process what the agent would say."""
    monkeypatch.chdir(tmp_path)
    return Site(keys, tmp_path)


@pytest.fixture
def site(real_site, containment, monkeypatch):
    monkeypatch.setitem(examination.STEPS, "cgroups", containment)
    monkeypatch.setattr(agent, "subprocess", types.SimpleNamespace(run=forked_check, TimeoutExpired=TimeoutExpired))
    return real_site


def forked_check(command, *, env, input, **_):  # noqa: A002 - as subprocess.run calls it
    """Ask a process that is forked from one in which the agent is imported already."""
    assert command[1:] == ["-P", "-m", "agents.check"]
    return forked.run("agents.check", cwd=Path.cwd(), env=env, given=input)


def bad(found, *severities):
    return [each for each in found if each.severity in (severities or (FAULT,))]


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


def test_no_cgroup_is_a_warning_with_the_reason():
    found = node.contained("session, sub-reaper and cookie", [], "cgroup v2: it is not mounted")

    assert (found.severity, found.step) == (WARNING, "cgroups")
    assert found.says.startswith("no cgroup can be used: payloads are held by session")
    assert "Delegate=yes" in found.remedy


def test_a_container_runtime_that_nobody_asked_for_is_only_a_warning(site):
    site.program("podman", "exit 125")

    (found,) = [each for each in bad(site.examined(), WARNING) if each.step == "containers"]

    assert found.says.endswith("podman does not work: exit code 125")


def test_a_name_that_dns_does_not_have_is_named():
    contacts, (found,) = network.reach_all("x", ("https://no-such-host.invalid:1/X",), None, None, FAULT)

    assert contacts == []
    assert found.says == "https://no-such-host.invalid:1/X: there is no host 'no-such-host.invalid' (DNS)"


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


TOKEN = {"access_token": "a.b.c", "refresh_token": "d.e.f", "expires_in": 1200, "token_type": "Bearer"}


def with_diracx(*gone, exchanged=None):
    """A site whose VO has DiracX, at the same door; these services are published no more."""

    def spoil(site):
        def text(url):
            whole = configuration(url) + f"DiracX\n{{\n  URL = {url}\n}}\n"
            manager = f"  Framework\n  {{\n    URLs\n    {{\n      ProxyManager = {url}/F/P\n    }}\n  }}\n"
            lines = whole.replace("Systems\n{\n", f"Systems\n{{\n{manager}", 1).splitlines(keepends=True)
            return "".join(line for line in lines if not line.split()[:1] or line.split()[0] not in gone)

        site.text = text
        site.exchanged = exchanged or ok(TOKEN)

    return spoil


class Joined(Site):
    """A site that answers an exchange too."""

    def _answer(self, path, method, *_):
        return self.exchanged if method == "exchangeProxyForToken" else ok(packed(self.text(self.url)))


@pytest.fixture
def joined(keys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Joined(keys, tmp_path)


def about_diracx(found):
    return [each for each in found if each.step == "DiracX"]


def test_without_diracx_that_is_said(site):
    (finding,) = about_diracx(site.examined())

    assert (finding.severity, finding.says) == (OK, "the VO has none: everything is asked of DIRAC")


def test_diracx_is_reached_and_asked_for_a_token_and_the_ways_are_told(joined):
    with_diracx()(joined)

    found = about_diracx(joined.examined())

    assert {each.severity for each in found} == {OK}
    said = " | ".join(each.says for each in found)
    assert "our proxy is exchanged for a token" in said
    assert "reports go by JobStateUpdate, by DiracX while that is away" in said
    assert "pilots are told to the PilotManager" in said
    assert "a.b.c" not in said


def test_what_diracx_does_instead_is_no_fault(joined):
    with_diracx("JobStateUpdate", "SandboxStore")(joined)

    found = joined.examined()

    assert bad(found) == []
    said = " | ".join(each.says for each in about_diracx(found))
    assert "reports go by DiracX (no JobStateUpdate is published)" in said
    assert "sandboxes are in S3 (no SandboxStore is published)" in said


@pytest.mark.parametrize("exchanged", [error("Error getting token from DiracX: 403"), (500, b""), ok("nonsense")])
def test_a_token_that_is_not_given_is_a_warning_that_says_what_it_costs(joined, exchanged):
    with_diracx(exchanged=exchanged)(joined)

    (finding,) = [each for each in about_diracx(joined.examined()) if each.severity == WARNING]

    assert "token" in finding.says
    assert "no job gets its files from DiracX" in finding.remedy


def test_a_vo_that_is_disabled_has_no_diracx(joined):
    with_diracx()(joined)
    whole = joined.text
    joined.text = lambda url: whole(url).replace("DiracX\n{\n", "DiracX\n{\n  DisabledVOs = other, vo\n", 1)

    assert [each.says for each in about_diracx(joined.examined())] == ["the VO has none: everything is asked of DIRAC"]
