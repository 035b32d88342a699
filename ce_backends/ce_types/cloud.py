"""CE type Cloud: one machine for each task, from a cloud or from qemu on this host."""

import os
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from ce_backends.base import TaskSpec
from ce_backends.batch import options as batch_options
from ce_backends.batch.ce import BatchCE
from ce_backends.batch.options import BatchSettings, Options
from ce_backends.batch.task_book import TaskBook
from ce_backends.ce_types.local_and_ssh import bounds, cap, steps
from ce_backends.cloud import qemu
from ce_backends.cloud.account import account
from ce_backends.cloud.context import Contextualisation
from ce_backends.cloud.machines import Cloud
from ce_backends.cloud.plan import PlannedCloud
from ce_backends.cloud.spool import CloudSpool, Published
from ce_backends.cloud.system import Lives, Machines, installation
from ce_backends.errors import CEMisconfigured, CEUnavailable, plain_word
from ce_backends.options import Option, OptionValue, setting, table_of, value_of
from ce_backends.readers import comma_list, did_you_mean

_QEMU = "qemu"
_KINDS = (_QEMU, "openstack", "ec2")
# other defaults than batch systems have: machines cost money, and nothing is late there
_OURS: Mapping[str, OptionValue] = {
    "MaxTotalJobs": 10,
    "LostAfter": 600.0,
    "ExitCodeWait": 20.0,
    "NumberOfProcessors": 1,
    "WallTime": 0,
    "MaxWaitingJobs": 10,
    "StatusInterval": 30.0,
    "CommandTimeout": 60.0,
    "OutputLimit": 64,
    "ContainerLauncher": "",
}
_MARGIN_S = 600.0  # from the deadline that a machine keeps itself to the one that is kept from outside
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._:=~/-]*", re.ASCII)
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}", re.ASCII)
_TWO_WEEKS_S = 1_209_600


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudSettings:
    """What can be set for machines."""

    ce_name: str = setting(
        Option(name="CEName", kind=str, default="", doc="Section of CloudAuth; the name of the CE if not set.")
    )
    cloud_type: str = setting(
        Option(
            name="CloudType",
            kind=str,
            default="",
            example="qemu",
            doc="Apache Libcloud's name of the cloud, OPENSTACK or EC2; or qemu for machines of this host.",
        )
    )
    auth: str = setting(
        Option(
            name="CloudAuth",
            kind=str,
            default="",
            doc="File that only we may read, with `key` and `secret` in a section [CEName] or [DEFAULT]; not for qemu.",
        )
    )
    driver: Mapping[str, str] = setting(
        Option(
            name="Driver_*",
            kind=str,
            default="",
            doc="Each goes to Libcloud's driver (Driver_ex_force_auth_url, Driver_region); qemu has Driver_accel, "
            "Driver_kernel, Driver_initrd, Driver_append and Driver_network.",
        )
    )
    image: str = setting(
        Option(
            name="Instance_Image",
            kind=str,
            default="",
            example="/var/lib/images/debian-12.qcow2",
            doc="Image with cloud-init: its id, or name: and its name; for qemu a file, raw or qcow2.",
        )
    )
    flavor: str = setting(
        Option(
            name="Instance_Flavor",
            kind=str,
            default="",
            example="1x1024",
            doc="Size of a machine: its id, or name: and its name; for qemu PROCESSORSxMB, 1x1024.",
        )
    )
    networks: str = setting(
        Option(
            name="Instance_Networks",
            kind=str,
            default="",
            doc="Ids of networks, with commas; the cloud's own choice if empty. OpenStack only.",
        )
    )
    ssh_key: str = setting(
        Option(name="Instance_SSHKey", kind=str, default="", doc="Name of a key to log in with; none if empty.")
    )
    template: str = setting(
        Option(
            name="Context_Template",
            kind=str,
            default="",
            doc="File with the site's own #cloud-config, which cloud-init does before the task: CVMFS, users, proxies.",
        )
    )
    packages: str = setting(
        Option(
            name="Context_ExtPackages",
            kind=str,
            default="",
            doc="Packages of the image's system that are installed first, with commas.",
        )
    )
    lifetime_s: int = setting(
        Option(
            name="Context_MaxLifetime",
            kind=int,
            default=_TWO_WEEKS_S,
            unit="s",
            minimum=60,
            doc="After so long a machine goes off by itself, and is deleted ten minutes later if it has not.",
        )
    )
    boot_s: int = setting(
        Option(
            name="Context_BootTime",
            kind=int,
            default=1800,
            unit="s",
            minimum=10,
            doc="A machine whose task has not begun after so long has hung, and is deleted.",
        )
    )
    user: str = setting(
        Option(
            name="Context_User",
            kind=str,
            default="gridpilot",
            doc="User of the machine that the task runs as; made where there is none.",
        )
    )
    files_dir: str = setting(
        Option(
            name="Context_FilesDir",
            kind=str,
            default="",
            doc="Directory here that a web server shows: inputs are put there once for all machines, named by their "
            "SHA-256. Never a credential.",
        )
    )
    files_url: str = setting(
        Option(
            name="Context_FilesURL",
            kind=str,
            default="",
            doc="That directory as machines see it, https://…; without it inputs must fit into the user data.",
        )
    )


class CloudCE:
    """See the module."""

    OPTIONS: ClassVar[Sequence[Option]] = (
        *table_of(CloudSettings),
        *(replace(o, default=_OURS[o.name]) for o in batch_options.OPTIONS if o.name in _OURS),
    )

    @classmethod
    def from_options(cls, work_dir: Path, options: Options) -> BatchCE:
        """See registry.Backend."""
        settings, batch = value_of(CloudSettings, options), value_of(BatchSettings, options)
        return _build(work_dir, settings, batch, _cloud(work_dir, settings, batch.timeout_s))

    @classmethod
    def plan(cls, work_dir: Path, options: Options, tasks: Sequence[TaskSpec]) -> Sequence[str]:
        """See registry.Plans."""
        settings, batch = value_of(CloudSettings, options), value_of(BatchSettings, options)
        planned = PlannedCloud(_cloud(work_dir, settings, batch.timeout_s).abilities, settings.cloud_type)
        return steps(_build(work_dir, settings, batch, planned), planned, tasks)


def _build(work_dir: Path, settings: CloudSettings, batch: BatchSettings, cloud: Cloud) -> BatchCE:
    area = work_dir.resolve() / "area"
    system = Machines(
        cloud,
        area,
        installation(work_dir, uuid.uuid4().hex[:12]),
        _told(settings),
        Lives(boot_s=settings.boot_s, whole_s=settings.lifetime_s + _MARGIN_S),
    )
    launcher = batch_options.image_launcher(batch)
    spool = CloudSpool(area, work_dir / "moving", _published(settings), cap=cap(batch), launcher=launcher)
    return BatchCE(settings.cloud_type, system, cloud, spool, TaskBook(work_dir / "tasks.sqlite"), bounds(batch))


def _cloud(work_dir: Path, settings: CloudSettings, timeout_s: float) -> Cloud:
    for name, written in {
        "CloudType": settings.cloud_type,
        "Instance_Image": settings.image,
        "Instance_Flavor": settings.flavor,
    }.items():
        if not written:
            raise CEMisconfigured(f"option {name} of CE type Cloud is not set")
    if settings.cloud_type.lower() not in _KINDS:
        there_are = did_you_mean(settings.cloud_type, ["OPENSTACK", "EC2", _QEMU])
        raise CEMisconfigured(f"option CloudType is {settings.cloud_type!r}{there_are}")
    if settings.cloud_type.lower() == _QEMU:
        what = qemu.hardware(settings.image, settings.flavor, settings.driver)
        return qemu.Qemu(work_dir.resolve() / "machines", what, timeout_s)
    return _of_library(settings, timeout_s)


def _of_library(settings: CloudSettings, timeout_s: float) -> Cloud:
    key = account(Path(os.path.expandvars(settings.auth)) if settings.auth else None, settings.ce_name)
    try:
        from ce_backends.cloud.ec2 import Ec2  # noqa: PLC0415 - an extra
        from ce_backends.cloud.library import Wishes  # noqa: PLC0415
        from ce_backends.cloud.openstack import OpenStack  # noqa: PLC0415
    except ImportError as error:
        needs = f"CloudType = {settings.cloud_type} needs Apache Libcloud ({error})"
        raise CEUnavailable(f"{needs}: pip install 'gridpilot[cloud]'") from error
    wishes = Wishes(
        image=settings.image,
        flavor=settings.flavor,
        networks=comma_list(settings.networks),
        ssh_key=settings.ssh_key,
    )
    made = OpenStack if settings.cloud_type.upper() == "OPENSTACK" else Ec2
    return made(key, settings.driver, wishes, timeout_s)


def _told(settings: CloudSettings) -> Contextualisation:
    packages = comma_list(settings.packages)
    for package in packages:
        if not _PACKAGE.fullmatch(package):
            raise CEMisconfigured(f"option Context_ExtPackages has {package!r}: expected the name of a package")
    if not _USER.fullmatch(settings.user) or settings.user == "root":
        raise CEMisconfigured(f"option Context_User is {settings.user!r}: expected the name of a user, not root")
    return Contextualisation(
        user=settings.user,
        lifetime_s=settings.lifetime_s,
        cloud_config=_template(settings.template),
        packages=packages,
        files_url=settings.files_url.rstrip("/"),
    )


def _template(written: str) -> str:
    """Return the site's cloud-config."""
    if not written:
        return ""
    try:
        text = Path(os.path.expandvars(written)).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CEMisconfigured(
            f"option Context_Template is {written!r}: it cannot be read: {plain_word(error)}"
        ) from error
    if "EXECUTABLE_STR" in text or "PROXY_STR" in text:
        raise CEMisconfigured(
            f"option Context_Template is {written!r}: it is a template for DIRAC's CloudCE, which places the pilot; "
            "expected the site's own part, without PROXY_STR and EXECUTABLE_STR and without starting anything"
        )
    if not text.startswith("#cloud-config"):
        raise CEMisconfigured(f"option Context_Template is {written!r}: expected #cloud-config in its first line")
    return text


def _published(settings: CloudSettings) -> Published | None:
    if bool(settings.files_dir) != bool(settings.files_url):
        raise CEMisconfigured("options Context_FilesDir and Context_FilesURL: expected both or none of them")
    if not settings.files_dir:
        return None
    if not re.fullmatch(r"https://[A-Za-z0-9._~:/%\[\]-]+", settings.files_url):
        raise CEMisconfigured(f"option Context_FilesURL is {settings.files_url!r}: expected https://HOST/PATH")
    return Published(Path(os.path.expandvars(settings.files_dir)))
