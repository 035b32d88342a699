"""The Cloud CE without a cloud: what machines are told and what they say; its options, files and names."""

import base64
import gzip
import hashlib
import io
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from email import message_from_string
from pathlib import Path

import pytest

from ce_backends.ce_types.cloud import CloudCE
from ce_backends.cloud import qemu
from ce_backends.cloud.account import account
from ce_backends.cloud.console import said
from ce_backends.cloud.context import Contextualisation, unpacked, user_data
from ce_backends.cloud.machines import Power, name_of, stamp_of
from ce_backends.cloud.seed import iso
from ce_backends.cloud.system import installation
from ce_backends.errors import CEMisconfigured, CEUnavailable
from ce_backends.registry import create, validate

INSTALLATION, OTHERS = "0123456789ab", "ba9876543210"
STAMP = "f" * 32
TOLD = Contextualisation(user="gridpilot", lifetime_s=100)


def result(**files: str) -> bytes:
    """Return the archive that a task leaves."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    return packed.getvalue()


def told_by(stamp: str, content: bytes) -> str:
    """Return what a machine writes on its console about the result of its task."""
    text = base64.b64encode(gzip.compress(content)).decode()
    lines = [text[at : at + 100] for at in range(0, len(text), 100)]
    sum_ = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    numbered = [f"gridpilot:{stamp}:line:{number}:{line}" for number, line in enumerate(lines, 1)]
    return "\r\n".join([f"gridpilot:{stamp}:began", *numbered, f"gridpilot:{stamp}:end:{len(lines)}:{sum_}", ""])


# ---- the console


def test_a_result_is_read_among_what_others_write() -> None:
    content = result(exit_code="3\n", stdout="words" * 400)
    noise = "[    1.5] kernel: hello\r\nlogin: "
    console = noise + told_by(STAMP, content).replace("\r\n", f"\r\n{noise}")

    assert said(console, STAMP).result == content
    assert said(console, STAMP).has_begun


@pytest.mark.parametrize(
    "broken",
    [
        lambda text: text.replace(":line:1:", ":line:2:"),
        lambda text: text.replace(":line:1:", ":lime:1:"),
        lambda text: text.replace(STAMP, "e" * 32),
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(":end:", ":end:9"),
        lambda text: text.replace("H4s", "H4t", 1),
    ],
)
def test_a_result_that_is_not_whole_is_none(broken: Callable[[str], str]) -> None:
    text = told_by(STAMP, result(exit_code="0\n", stdout="".join(map(str, range(500)))))
    assert said(text, STAMP).result is not None

    assert said(broken(text), STAMP).result is None


def test_a_result_that_unpacks_to_more_than_may_be_is_none() -> None:
    assert said(told_by(STAMP, bytes(65_000_000)), STAMP).result is None


def test_why_a_task_failed_is_a_line_for_terminals() -> None:
    console = f"gridpilot:{STAMP}:failed:no disk\x1b[31m and\x07 more\r\nother"

    assert said(console, STAMP).why_failed == "no disk and more"


# ---- what machines are told


def parcel_in(folder: Path) -> Path:
    path = folder / "parcel.tar"
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("launcher"))
    return path


@pytest.mark.parametrize("is_in_text", [True, False])
@pytest.mark.parametrize("files", [[], ["a" * 64]])
def test_the_script_is_one_that_a_shell_reads(tmp_path: Path, is_in_text: bool, files: list[str]) -> None:
    told = replace(TOLD, files_url="https://files.example.org/pilot")
    parcel = parcel_in(tmp_path) if is_in_text else None

    text = unpacked(user_data(told, STAMP, parcel, files=files, console_bytes=1000))

    done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert text.startswith("#!/bin/sh\n")
    assert ("more " + "a" * 64 in text) == bool(files)


def test_what_the_site_adds_goes_before_our_script_in_parts_of_their_own() -> None:
    told = replace(TOLD, cloud_config="#cloud-config\nbootcmd: [[true]]\n", packages=["cvmfs", "apptainer=1.3"])

    message = message_from_string(unpacked(user_data(told, STAMP, None, console_bytes=1000)))

    kinds = [part.get_content_type() for part in message.walk() if not part.is_multipart()]
    texts = [part.get_payload(decode=True) for part in message.walk() if not part.is_multipart()]
    assert kinds == ["text/cloud-config", "text/cloud-config", "text/x-shellscript"]
    assert texts[1] == b"#cloud-config\npackages: [cvmfs, apptainer=1.3]\n"
    assert isinstance(texts[2], bytes)
    assert texts[2].startswith(b"#!/bin/sh\n")


def test_a_seed_is_a_disc_with_the_label_and_the_files_that_cloud_init_looks_for() -> None:
    disc = iso({"user-data": b"u" * 3000, "meta-data": b"m"})

    assert len(disc) % 2048 == 0
    assert disc[16 * 2048 + 1 : 16 * 2048 + 6] == b"CD001"
    assert disc[16 * 2048 + 40 : 16 * 2048 + 72].rstrip() == b"cidata"
    root = disc[18 * 2048 : 19 * 2048]
    for name, content in {b"user-data": b"u" * 3000, b"meta-data": b"m"}.items():
        at = root.index(name) - 33
        sector, size = (int.from_bytes(root[at + by : at + by + 4], "little") for by in (2, 10))
        assert disc[sector * 2048 :][:size] == content


# ---- names, files, options


def test_names_say_whose_a_machine_is_and_which_task_it_has() -> None:
    assert stamp_of(name_of(INSTALLATION, STAMP)) == STAMP
    assert [stamp_of(name) for name in ("", "gridpilot-", f"x{name_of(INSTALLATION, STAMP)}")] == ["", "", ""]
    assert len(name_of(INSTALLATION, STAMP)) <= 63, "a host name"


def test_an_installation_keeps_its_digits(tmp_path: Path) -> None:
    assert installation(tmp_path / "new", INSTALLATION) == INSTALLATION
    assert installation(tmp_path / "new", OTHERS) == INSTALLATION

    (tmp_path / "new/installation").write_text("../x")
    with pytest.raises(CEUnavailable, match="twelve hexadecimal digits"):
        installation(tmp_path / "new", OTHERS)


@pytest.mark.parametrize(
    ("text", "mode", "expected"),
    [
        ("[ce]\nkey = k\nsecret = s%x\n", 0o600, "s%x"),
        ("[DEFAULT]\nkey = k\nsecret = s\n", 0o400, "s"),
        ("[ce]\nkey = k\nsecret = s\n", 0o640, "others may read"),
        ("[ce]\nkey = k\n", 0o600, "secret of"),
        ('[ce]\nkey = k\nsecret = "s"\n', 0o600, "without quotes"),
        ("[ce]\nkey = k\nsecret = PROXY\n", 0o600, "not supported"),
        ("no section: s3cret", 0o600, "cannot be read"),
    ],
)
def test_the_account_of_a_cloud(tmp_path: Path, text: str, mode: int, expected: str) -> None:
    path = tmp_path / "cloud.auth"
    path.write_text(text)
    path.chmod(mode)

    try:
        read = account(path, "ce")
        told, shown = read.secret, repr(read)
    except CEMisconfigured as error:
        told = shown = str(error)

    assert expected in told
    assert "s3cret" not in shown
    assert "s%x" not in shown


@pytest.fixture(autouse=True)
def _qemu_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here starts one."""
    monkeypatch.setattr("ce_backends.cloud.qemu.shutil.which", lambda name: f"/usr/bin/{name}")


def machine_options(folder: Path, **more: str) -> dict[str, str]:
    (folder / "disk.raw").touch()
    told = {"CloudType": "qemu", "Instance_Image": str(folder / "disk.raw"), "Instance_Flavor": "1x512"}
    return {**told, **more}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"CloudType": ""}, "option CloudType of CE type Cloud is not set"),
        ({"CloudType": "OPENSTAK"}, "did you mean OPENSTACK"),
        ({"CloudType": "OPENSTACK"}, "option CloudAuth is not set"),
        ({"Instance_Flavor": "m1.small"}, "expected PROCESSORSxMB"),
        ({"Driver_kernal": "x"}, "option Driver_kernal means nothing to CloudType = qemu"),
        ({"Context_User": "root"}, "not root"),
        ({"Context_User": "a;b"}, "the name of a user"),
        ({"Context_ExtPackages": "a, b;c"}, "the name of a package"),
        ({"Context_FilesDir": "/srv"}, "both or none"),
        ({"Context_FilesDir": "/srv", "Context_FilesURL": "http://x/y"}, "expected https"),
        ({"Context_FilesDir": "/srv", "Context_FilesURL": "https://x/$(id)"}, "expected https"),
        ({"Context_Template": "/no/such"}, "cannot be read"),
        ({"Context_MaxLifetime": "1"}, "at least 60"),
        ({"Contxt_User": "x"}, "did you mean Context_User"),
    ],
)
def test_a_wrong_option_is_one_sentence(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    with pytest.raises(CEMisconfigured) as raised:
        create("Cloud", machine_options(tmp_path, **changed), tmp_path / "ce")

    assert said in str(raised.value)


@pytest.mark.parametrize("name", ["Instance_Image", "Driver_kernel", "Driver_initrd"])
def test_a_file_that_is_not_here_is_no_mistake_of_the_options(tmp_path: Path, name: str) -> None:
    with pytest.raises(CEUnavailable, match=f"option {name} is '/no/such': there is no such file"):
        create("Cloud", machine_options(tmp_path, **{name: "/no/such"}), tmp_path / "ce")


@pytest.mark.parametrize(
    ("text", "said"),
    [("packages: [x]\n", "in its first line"), ("#cloud-config\nx: EXECUTABLE_STR\n", "DIRAC's CloudCE")],
)
def test_a_template_that_is_another_thing(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "t").write_text(text)

    with pytest.raises(CEMisconfigured, match=said):
        create("Cloud", machine_options(tmp_path, Context_Template=str(tmp_path / "t")), tmp_path / "ce")


def test_all_options_of_a_family_reach_the_driver(tmp_path: Path) -> None:
    options = validate("Cloud", machine_options(tmp_path, Driver_accel="tcg", Driver_append="quiet"))

    assert {name: options[name] for name in options if name.startswith("Driver_")} == {
        "Driver_accel": "tcg",
        "Driver_append": "quiet",
    }
    assert any(option.name == "Driver_*" for option in CloudCE.OPTIONS)


def test_qemu_is_given_its_disks_in_the_order_of_their_names(tmp_path: Path) -> None:
    what = qemu.hardware(str(machine_options(tmp_path)["Instance_Image"]), "2x1024", {"accel": "tcg"})

    assert (what.processors, what.memory_mb, what.accel, what.kernel) == (2, 1024, "tcg", "")
    assert qemu.accelerator() in ("kvm", "tcg,thread=multi")


def test_a_machine_that_was_prepared_and_not_started_is_none(tmp_path: Path) -> None:
    """What a kill leaves: it is no machine, and the next creation begins anew."""
    machines = qemu.Qemu(tmp_path, qemu.Hardware(image=tmp_path, processors=1, memory_mb=64, accel="tcg"), 5)
    place = tmp_path / name_of(INSTALLATION, STAMP)
    place.mkdir()
    (place / "alive").touch()
    prepared = machines.machines()
    (place / "started").touch()

    (machine,) = machines.machines()
    assert prepared == []
    assert (machine.power, machine.stamp) == (Power.OFF, STAMP)
    assert machines.create(place.name, b"", None) == place.name, "it is not made twice"
    machines.delete(place.name)
    machines.delete("../elsewhere")
    assert machines.machines() == []
