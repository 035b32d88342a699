"""Who we are to a cloud: key and secret from DIRAC's `cloud.auth`."""

import configparser
import stat
from dataclasses import dataclass
from pathlib import Path

from ce_backends.errors import CEMisconfigured

_READABLE_BY_OTHERS = 0o077
_PROXY = "PROXY"  # DIRAC's word for the pilot's proxy


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """Who we are to the cloud; never shown."""

    key: str
    secret: str


def account(path: Path | None, section: str) -> Account:
    """Read key and secret of a cloud.

    Raises:
        CEMisconfigured: there is no such file, others can read it, or it has none of them.
    """
    if path is None:
        raise CEMisconfigured("option CloudAuth is not set: expected the file with key and secret of the cloud")
    try:
        if stat.S_IMODE(path.stat().st_mode) & _READABLE_BY_OTHERS:
            raise CEMisconfigured(f"option CloudAuth: others may read {path}: expected the mode 0600")
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        said = type(error).__name__ if isinstance(error, configparser.Error) else error  # never a line of it
        raise CEMisconfigured(f"option CloudAuth: {path} cannot be read: {said}") from None
    values = parser[section] if section and section in parser else parser["DEFAULT"]
    read = {name: values.get(name, "").strip() for name in ("key", "secret")}
    for name, value in read.items():
        if not value or value[0] in "\"'":
            raise CEMisconfigured(f"{path}: {name} of [{section or 'DEFAULT'}]: expected a value without quotes")
    if read["secret"] == _PROXY:
        raise CEMisconfigured(f"{path}: secret = {_PROXY}, DIRAC's word for the pilot's proxy, is not supported here")
    return Account(read["key"], read["secret"])
