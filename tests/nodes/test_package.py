"""The Debian package on a Debian that systemd has booted: installed, a pilot as a service, drained, purged."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.nodes.bare_node import ROOT, Wms, tree, wms_on_loopback
from tests.waiting import until

NODES = ROOT / "tests/clusters/nodes"
BUILD_S = 600
SLOW = 'Executable = "/bin/sh"; Arguments = "-c \'until [ -e /tmp/go ]; do sleep 0.2; done\'"; CPUTime = 300;'
CONF = """\
PILOT_OPTIONS=-n {site} -N {ce} -Q {queue} -y Pool -P 1 --wnVO {vo} -C {configuration} --PollingTime 0.5 --disk 100
X509_USER_PROXY=/etc/gridpilot/proxy.pem
X509_CERT_DIR=/etc/gridpilot/certificates
"""


@dataclass(frozen=True)
class Host:
    """A Debian that has been booted; `init` is its first process, as seen from here."""

    tree: Path
    init: int

    def run(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        """Run a command there as root."""
        inside = [
            "nsenter",
            f"--target={self.init}",
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
            f"--root=/proc/{self.init}/root",
        ]
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"]
        return subprocess.run(
            [*inside, f"--root=/proc/{self.init}/root", f"--wd=/proc/{self.init}/root", *clean, *argv],
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_S,
        )

    def said(self, *argv: str) -> str:
        """Run a command that has to succeed; return what it wrote."""
        done = self.run(*argv)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def package(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("deb")
    argv = [sys.executable, "-m", "tools.release.deb", "--bundle", str(bundle / "gridpilot"), "--into", str(into)]
    subprocess.run(argv, cwd=ROOT, check=True, timeout=BUILD_S)
    (made,) = into.glob("*.deb")
    return made


@pytest.fixture(scope="module")
def wms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wms]:
    tree("bookworm")  # installs what namespaces are made with
    with wms_on_loopback(tmp_path_factory.mktemp("wms") / "home") as running:
        yield running


@pytest.fixture(scope="module")
def host(wms: Wms, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    root = tmp_path_factory.mktemp("host") / "tree"
    subprocess.run([str(NODES / "with_systemd.sh"), str(root)], check=True, timeout=BUILD_S)
    shutil.copy(package, root / "root/gridpilot.deb")
    with booted(root, wms) as running:
        yield running
    shutil.rmtree(root, ignore_errors=True)


@contextmanager
def booted(root: Path, wms: Wms) -> Iterator[Host]:
    own = ["unshare", "--pid", "--mount", "--uts", "--ipc", "--fork", "--kill-child"]
    log = root.with_name("boot.log")
    with log.open("wb") as out:
        process = subprocess.Popen([*wms.inside(), *own, str(NODES / "boot.sh"), str(root)], stdout=out, stderr=out)
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until(lambda: process.poll() is not None or children.read_text().split(), "the first process")
        found = Host(root, int(children.read_text().split()[0]))
        until(lambda: found.run("systemctl", "is-active", "multi-user.target").stdout == "active\n", log.read_text())
        yield found
    finally:
        process.kill()  # and with it, its first process, and so all
        process.wait()


def submitted(wms: Wms, folder: Path) -> int:
    path = folder / "job.jdl"
    path.write_text(SLOW, encoding="utf-8")
    return int(wms.command("submit", str(path)).split()[-1])


def status(wms: Wms, job: int) -> str:
    return str(wms.job(job)["status"])


def state(host: Host) -> str:
    return host.run("systemctl", "is-active", "gridpilot-pilot@here").stdout.strip()


def test_a_pilot_is_a_service_that_drains_when_it_is_stopped(host: Host, wms: Wms, tmp_path: Path) -> None:
    host.said("dpkg", "--install", "/root/gridpilot.deb")
    configure(host, wms)
    assert "Debian" in host.said("sh", "-c", "cat /etc/os-release")
    findings = json.loads(host.run("gridpilot", "doctor", "-n", "LOCAL.Demo.ch", "-y", "Pool", "--json").stdout)
    assert {each["severity"] for each in findings["findings"] if each["step"] in ("Python", "agent")} == {"ok"}
    assert host.said("systemctl", "show", "-P", "LoadState", "gridpilot-pilot@here") == "loaded\n"

    running, waiting = submitted(wms, tmp_path), submitted(wms, tmp_path)
    host.said("systemctl", "start", "gridpilot-pilot@here")
    until(lambda: status(wms, running) == "Running", journal(host))
    assert host.said("stat", "-c", "%U %a", "/var/lib/gridpilot/here") == "gridpilot 700\n"

    host.said("systemctl", "stop", "--no-block", "gridpilot-pilot@here")
    until(lambda: state(host) == "deactivating", "the service is being stopped")
    until(lambda: "agent.stopping" in log_of(host), "the pilot has been told to drain")
    assert (status(wms, running), state(host)) == ("Running", "deactivating")
    host.said("touch", "/tmp/go")
    until(lambda: state(host) in ("inactive", "failed"), journal(host))

    assert (status(wms, running), status(wms, waiting)) == ("Done", "Waiting")
    assert host.said("systemctl", "show", "-P", "Result", "gridpilot-pilot@here") == "success\n"
    assert host.said("systemctl", "show", "-P", "NRestarts", "gridpilot-pilot@here") == "0\n"


def test_wrong_configuration_is_not_tried_again(host: Host) -> None:
    conf = host.tree / "etc/gridpilot/wrong.conf"
    conf.write_text("PILOT_OPTIONS=--disk much\n")

    host.run("systemctl", "start", "gridpilot-pilot@wrong")

    until(lambda: host.run("systemctl", "is-active", "gridpilot-pilot@wrong").stdout == "failed\n", "it has failed")
    assert host.said("systemctl", "show", "-P", "ExecMainStatus", "gridpilot-pilot@wrong") == "2\n"
    assert "'much' is not a whole number" in host.said("journalctl", "-u", "gridpilot-pilot@wrong", "--no-pager")


def test_purged_it_leaves_nothing_of_its_own(host: Host) -> None:
    host.said("dpkg", "--purge", "gridpilot")

    assert host.said("sh", "-c", "ls -d /usr/lib/gridpilot /usr/bin/gridpilot /var/lib/gridpilot 2>/dev/null; :") == ""
    assert host.run("systemctl", "cat", "gridpilot-pilot@here").returncode != 0


def configure(host: Host, wms: Wms) -> None:
    folder = host.tree / "etc/gridpilot"
    endpoint = wms.endpoint
    (folder / "here.conf").write_text(CONF.format(**endpoint))
    shutil.copytree(endpoint["ca_dir"], folder / "certificates", symlinks=True)
    shutil.copy(endpoint["pilot_proxy"], folder / "proxy.pem")
    host.said("chmod", "755", "/etc/gridpilot/certificates")
    host.said("sh", "-c", "chmod 644 /etc/gridpilot/certificates/*")
    host.said("chmod", "600", "/etc/gridpilot/proxy.pem")
    host.said("chown", "gridpilot:", "/etc/gridpilot/proxy.pem")


def log_of(host: Host) -> str:
    path = host.tree / "var/lib/gridpilot/here/agent.log"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def journal(host: Host) -> str:
    return host.run("journalctl", "-u", "gridpilot-pilot@here", "--no-pager", "-n", "30").stdout
