"""Whose processes payloads in containers are where the pilot is root: nobody's.

What only root may read (passwords, host keys, keytabs, credentials of services) is closed to them by its owner and mode
then, wherever it lies, under whatever name, and however often it is replaced.
"""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from ce_backends.linux.small_files import read_small

_NOBODY = 65534  # of the kernel; where the node has no account of that name


@dataclass(frozen=True, slots=True)
class PayloadUser:
    """An account, as the kernel counts it."""

    uid: int
    gid: int

    def own(self, tree: Path) -> None:
        """Give a directory that we have just made, and all in it, to this account.

        Raises:
            OSError: it cannot be given.
        """
        for directory, names, files in os.walk(tree):
            os.chown(directory, self.uid, self.gid)
            for name in (*names, *files):
                os.chown(os.path.join(directory, name), self.uid, self.gid, follow_symlinks=False)  # noqa: PTH118


def payload_user() -> PayloadUser | None:
    """Return the account for payloads, None where they are the pilot's own.

    That is: the pilot is not root, or root of a user namespace that knows no other account. The node's root-only files
    are closed to both.
    """
    if os.geteuid() != 0:
        return None
    user = _nobody()
    return user if _has("uid", user.uid) and _has("gid", user.gid) else None


def _nobody() -> PayloadUser:
    try:
        found = pwd.getpwnam("nobody")
    except KeyError:
        return PayloadUser(_NOBODY, _NOBODY)
    return PayloadUser(found.pw_uid, found.pw_gid)


def _has(kind: str, number: int) -> bool:
    """Tell whether this user namespace knows an account (user_namespaces(7): first inside, first outside, how many)."""
    lines = read_small(f"/proc/self/{kind}_map").decode("ascii").splitlines()
    ranges = ((int(inside), int(count)) for inside, _, count in map(str.split, lines))
    return any(inside <= number < inside + count for inside, count in ranges)
