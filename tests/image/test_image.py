"""The container image, built by podman on a Debian tree (no registry can be had), and a pilot in it that drains."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agents.local_wms.client import connect
from agents.local_wms.home import Endpoint
from agents.local_wms.testing import running
from tests.nodes.bare_node import ROOT, tree
from tests.waiting import until

BUILD_S = 600
RUN = ("run", "--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096")  # a sandbox may not raise what it has
JDL = 'Executable = "/bin/sh"; Arguments = "-c \'until [ -e /gate/go ]; do sleep 0.2; done\'"; CPUTime = 300;'


@dataclass(frozen=True)
class Podman:
    """Podman with a store of its own; the sandbox has hybrid control groups, which crun refuses and runc takes."""

    store: Path

    def argv(self, *words: str) -> list[str]:
        places = ["--root", str(self.store / "root"), "--runroot", str(self.store / "run"), "--runtime", "runc"]
        return ["podman", *places, "--cgroup-manager", "cgroupfs", "--storage-driver", "vfs", *words]

    def run(self, *words: str, **more: object) -> "subprocess.CompletedProcess[str]":
        argv = self.argv(*words)
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=BUILD_S, **more)  # type: ignore[call-overload,no-any-return]

    def said(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return str(done.stdout).strip()


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    made = Podman(tmp_path_factory.mktemp("podman"))
    base = tree("bookworm")
    packed = made.store / "base.tar"
    subprocess.run(["tar", "-C", str(base), "--exclude=./dev/*", "-cf", str(packed), "."], check=True, timeout=BUILD_S)
    made.said("import", str(packed), "localhost/base")
    packed.unlink()
    into = made.store / "dist"
    subprocess.run([sys.executable, "-m", "tools.bundle", "--into", str(into)], cwd=ROOT, check=True, timeout=BUILD_S)
    recipe = ["--isolation", "chroot", "--build-arg", "BASE=localhost/base", "-f", "packaging/Containerfile"]
    made.said("build", *recipe, "-t", "localhost/gridpilot", str(into))
    yield made
    made.run("rm", "--all", "--force")
    made.run("unshare", "rm", "-rf", str(made.store))
    shutil.rmtree(made.store, ignore_errors=True)


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    with running(tmp_path / "home") as found:
        yield found


def test_the_image_is_the_pilot_as_a_user_of_its_own(podman: Podman) -> None:
    run = [*RUN, "--rm", "--network=none", "localhost/gridpilot"]
    config = json.loads(podman.said("inspect", "localhost/gridpilot"))[0]["Config"]

    assert podman.said(*run, "--version").startswith("0.")
    assert podman.run(*run, "--disk", "much").returncode == 2
    assert (config["User"], config["StopSignal"]) == ("gridpilot", "SIGUSR1")


def test_a_pilot_in_it_runs_a_job_and_drains_when_it_is_stopped(
    podman: Podman, endpoint: Endpoint, tmp_path: Path
) -> None:
    credentials = tmp_path / "credentials"
    shutil.copytree(endpoint.ca_dir, credentials / "certificates", symlinks=True)
    shutil.copy(endpoint.pilot_proxy, credentials / "proxy.pem")
    user = podman.said(*RUN, "--rm", "--network=none", "--entrypoint=/usr/bin/id", "localhost/gridpilot", "-u")
    for path in (credentials, *credentials.rglob("*")):
        os.chown(path, int(user), int(user), follow_symlinks=False)
    words = ["-n", endpoint.site, "-N", endpoint.ce, "-Q", endpoint.queue, "--wnVO", endpoint.vo]
    words += ["-C", endpoint.configuration, "-y", "Pool", "-P", "1", "--PollingTime", "0.5", "--disk", "100"]
    gate = tmp_path / "gate"
    gate.mkdir()
    given = ["-v", f"{gate}:/gate", "-v", f"{credentials}:/srv", "-e", "X509_USER_PROXY=/srv/proxy.pem"]
    given += ["-e", "X509_CERT_DIR=/srv/certificates", "--network=host", "--name=pilot"]
    with connect(endpoint) as client:
        first, second = (int(client.call("JobManager", "submitJob", JDL)) for _ in range(2))

        def status(job: int) -> str:
            return str(client.call("JobMonitoring", "getJobsStatus", [job])[str(job)]["Status"])

        def logs() -> str:
            written = podman.run("logs", "pilot")
            return f"{written.stdout}{written.stderr}"

        podman.said(*RUN, "--detach", *given, "localhost/gridpilot", *words)
        until(lambda: status(first) == "Running", "it runs")
        with subprocess.Popen(podman.argv("stop", "--time", "120", "pilot"), stdout=subprocess.DEVNULL):
            until(lambda: "agent.stopping" in logs(), "the pilot has heard")
            (gate / "go").touch()  # not by `exec`, which takes no container that is being stopped

        assert podman.said("inspect", "--format", "{{.State.ExitCode}}", "pilot") == "0"
        assert (status(first), status(second)) == ("Done", "Waiting")
