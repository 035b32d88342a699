"""The ssh transport, with a client in front of it that is none: it runs the command in a shell of this machine."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ce_backends.batch.ssh import Login, Ssh
from ce_backends.errors import CEUnavailable

LOCAL = 'for last; do :; done; exec /bin/sh -c "$last"'
CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
Host key verification failed.
"""
UNKNOWN = """\
No ED25519 host key is known for ce01 and you have requested strict checking.
Host key verification failed.
"""
UNIX_PATH, SSH_ADDS = 107, 17
Client = Callable[[str], Ssh]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    opened = []

    def made(script: str) -> Ssh:
        path = tmp_path / "fake_ssh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        opened.append(Ssh(Login(host="ce01", user="grid"), command=str(path)))
        return opened[-1]

    yield made
    for ssh in opened:
        ssh.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(os.urandom(300_000))
    return path


def checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_answer_is_the_commands_own(client: Client) -> None:
    done = client(LOCAL).run(["sh", "-c", "echo out; echo err >&2; exit 255"], timeout_s=10)

    assert (done.exit_code, done.stdout, done.stderr) == (255, "out\n", "err\n")


@pytest.mark.parametrize("shell", ["sh", "dash", "bash", "tcsh", "fish"])
def test_words_reach_the_command_as_they_are_through_any_shell(client: Client, shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} (Debian: apt-get install {shell})")
    words = [
        "a b",
        "$HOME",
        "it's",
        "*",
        "",
        "line\nbreak\n",
        '"',
        "\\n",
        "-n",
        "!!",
        "!x",
        "`",
        "\\",
        "é",
        "%s",
        "~",
        "#",
    ]

    done = client(LOCAL.replace("/bin/sh", shell)).run(["printf", "%s|", *words], timeout_s=10)

    assert done.stdout == "".join(f"{word}|" for word in words)


def test_what_a_login_prints_is_no_part_of_the_answer(client: Client) -> None:
    noisy = f"echo Welcome; printf 'no newline'; echo 'module: not found' >&2; ({LOCAL}); printf Bye; printf Bye >&2"

    done = client(noisy).run(["echo", "hello"], timeout_s=10)

    assert (done.exit_code, done.stdout.removesuffix("Bye"), done.stderr) == (0, "hello\n", "Bye")


def test_what_a_login_prints_does_not_get_into_a_file(client: Client, tmp_path: Path) -> None:
    noisy = f"head -c 20000 /dev/zero; ({LOCAL})"

    client(noisy).run(["head", "-c", "3000000", "/dev/zero"], timeout_s=10, into=tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == bytes(3_000_000)


@pytest.mark.parametrize("end", ["kill -9 $$", "exit 255", "kill -15 $$"])
def test_connection_lost_after_the_command_began_is_no_answer(client: Client, end: str) -> None:
    lost = f"({LOCAL}) 2>&1 > /dev/null | head -n 2 >&2; {end}"

    done = client(lost).run(["true"], timeout_s=10)

    assert done.exit_code is None


@pytest.mark.parametrize(
    "said",
    [
        "Connection to ce01 closed by remote host.",
        "client_loop: send disconnect: Broken pipe",
        "Read from remote host ce01: Connection reset by peer",
        "Timeout, server ce01 not responding.",
        "Shared connection to ce01 closed.",
        "",
    ],
)
def test_connection_lost_before_anything_was_heard_is_no_answer(client: Client, said: str) -> None:
    done = client(f"echo '{said}' >&2; exit 255").run(["true"], timeout_s=10)

    assert done.exit_code is None
    assert said in done.sentence


def test_host_that_runs_no_commands_is_told_with_its_words(client: Client) -> None:
    with pytest.raises(CEUnavailable, match=r"by ssh: This account is currently not available\."):
        client("echo 'This account is currently not available.'; exit 1").run(["true"], timeout_s=10)


def test_connection_that_hangs_is_no_answer(client: Client) -> None:
    assert client("sleep 60").run(["true"], timeout_s=0.2).exit_code is None


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("ssh: connect to host ce01 port 22: Connection refused", "port 22: Connection refused"),
        (CHANGED, "Host key verification failed: its host key is not the one in known_hosts"),
        (UNKNOWN, "Host key verification failed: its host key is not in known_hosts; compare"),
        ("grid@ce01: Permission denied (publickey).", "(publickey): the user or the key is not accepted there"),
        ("kex_exchange_identification: Connection closed by remote host", "Connection closed by remote host"),
    ],
)
def test_no_connection_is_told_in_one_sentence(client: Client, said: str, told: str) -> None:
    with pytest.raises(CEUnavailable, match=r"^grid@ce01 cannot be reached by ssh: ") as error:
        client(f"cat >&2 <<'E'\n{said}\nE\nexit 255").run(["true"], timeout_s=10)

    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_sockets_path_is_short_also_where_tmpdir_is_long(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("long" * 30)))
    note = f'case $word in ControlPath=*) printf %s "${{word#*=}}" > {tmp_path}/path;; esac'

    client(f"for word; do {note}; done; {LOCAL}").run(["true"], timeout_s=10)

    assert len((tmp_path / "path").read_text()) < UNIX_PATH - SSH_ADDS


def test_file_arrives_whole(client: Client, source: Path, tmp_path: Path) -> None:
    client(LOCAL).put(source, str(tmp_path / "new folder/it's"), timeout_s=10)

    assert checksum(tmp_path / "new folder/it's") == checksum(source)
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["it's"]


def test_upload_that_is_cut_goes_on_where_it_was(client: Client, source: Path, tmp_path: Path) -> None:
    cut = f"""case "$*" in
*"cat >>"*) if [ ! -e {tmp_path}/cut ]; then
    : > {tmp_path}/cut; head -c 100000 > {tmp_path}/target.part; echo 'client_loop: send disconnect' >&2; exit 255
else
    tee {tmp_path}/sent | ({LOCAL}); exit
fi;; esac
{LOCAL}"""

    client(cut).put(source, str(tmp_path / "target"), timeout_s=10)

    assert checksum(tmp_path / "target") == checksum(source)
    assert (tmp_path / "sent").stat().st_size == 200_000


def test_what_an_earlier_upload_has_left_is_not_mixed_in(client: Client, source: Path, tmp_path: Path) -> None:
    (tmp_path / "target.part").write_bytes(b"of another file")

    client(LOCAL).put(source, str(tmp_path / "target"), timeout_s=10)

    assert checksum(tmp_path / "target") == checksum(source)


def test_upload_that_arrives_changed_is_repeated(client: Client, source: Path, tmp_path: Path) -> None:
    changed = f"""case "$*" in
*"cat >>"*) if [ ! -e {tmp_path}/once ]; then
    : > {tmp_path}/once; printf xxx >> {tmp_path}/target.part
fi;; esac
{LOCAL}"""

    client(changed).put(source, str(tmp_path / "target"), timeout_s=10)

    assert checksum(tmp_path / "target") == checksum(source)


@pytest.mark.parametrize("said", ["No space left on device", "Disk quota exceeded"])
def test_full_disk_is_told_at_once_and_leaves_nothing(client: Client, source: Path, tmp_path: Path, said: str) -> None:
    tries = tmp_path / "tries"
    (tmp_path / "cat").write_text(f"#!/bin/sh\necho >> {tries}; echo 'cat: write error: {said}' >&2; exit 1\n")
    (tmp_path / "cat").chmod(0o755)

    with pytest.raises(CEUnavailable, match=f"cannot be written on grid@ce01: cat: write error: {said}"):
        client(f"PATH={tmp_path}:$PATH; {LOCAL}").put(source, str(tmp_path / "target"), timeout_s=10)

    assert tries.read_text() == "\n"
    assert not (tmp_path / "target.part").exists()
