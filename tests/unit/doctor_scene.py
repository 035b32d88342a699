"""A node and its services, which a test spoils before it asks the doctor."""

import os
import types
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from pilot.doctor import agent, examination, node
from pilot.doctor.finding import FAULT
from tests import forked
from tests.unit.pilot_scene import CONFIGURATION, make_keys, ok, packed, serving

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
