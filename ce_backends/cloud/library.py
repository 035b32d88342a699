"""Machines of a cloud by Apache Libcloud: an extra, never needed on a worker node.

What all clouds of it have in common: drivers, what their errors mean, images and flavors by name.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests
from libcloud.common.exceptions import BaseHTTPError
from libcloud.common.types import InvalidCredsError, LibcloudError
from libcloud.compute.providers import get_driver

from ce_backends.cloud.account import Account
from ce_backends.cloud.machines import Refused
from ce_backends.errors import CEError, CEMisconfigured, CEUnavailable
from ce_backends.readers import whole_number, yes_no
from ce_backends.untrusted.text import printable

_LATER = re.compile(  # EC2 says 400 to what passes, OpenStack 403 to a full quota
    r"LimitExceeded|InsufficientInstanceCapacity|Throttling|quota|rate limit", re.IGNORECASE
)
_NEVER = (400, 404, 405, 409, 413, 422)
_NOT_NOW = (401, 403, 429, 503)
_MOST_WORDS = 300
Meaning = Callable[[int, str], CEError | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What each machine is.

    Attributes:
        image: id of its image, or `name:` and its name.
        flavor: of its size, likewise.
        networks: ids.
        ssh_key: name of a key, empty for none.
    """

    image: str
    flavor: str
    networks: Sequence[str] = ()
    ssh_key: str = ""


class Library:
    """One cloud as Libcloud reaches it; a driver for each thread, because it may be used by one only.

    Args:
        provider: Libcloud's name of the cloud.
        who: we are to it.
        driver: options of Libcloud's driver.
        timeout_s: for one request.

    Raises:
        CEMisconfigured: Libcloud does not take the options.
    """

    def __init__(self, provider: str, who: Account, driver: Mapping[str, str], timeout_s: float) -> None:
        options = {name: _typed(name, value) for name, value in driver.items()}
        kind = get_driver(provider)
        self._make: Callable[[], Any] = lambda: kind(who.key, **{"secret": who.secret, "timeout": timeout_s, **options})
        self._of_thread = threading.local()
        self._ids: dict[str, str] = {}  # of images and flavors, by what was written
        try:
            self._make()
        except Exception as error:  # noqa: BLE001 - whatever Libcloud makes of options
            raise CEMisconfigured(f"Libcloud does not take the options Driver_*: {_words(error)}") from None

    @property
    def driver(self) -> Any:
        """This thread's driver."""
        if not hasattr(self._of_thread, "driver"):
            self._of_thread.driver = self._make()
        return self._of_thread.driver

    def id_of(self, written: str, everything: Callable[[], Sequence[Any]]) -> str:
        """Return the id of an image or flavor; a name is looked up once.

        Raises:
            CEUnavailable: there is none of this name, or several; or no answer.
        """
        if not written.startswith("name:"):
            return written
        if written not in self._ids:
            name = written.removeprefix("name:")
            found = [each.id for each in everything() if each.name == name]
            if len(found) != 1:
                raise CEUnavailable(f"the cloud has {len(found)} images or flavors of the name {name}: expected one")
            self._ids[written] = str(found[0])
        return self._ids[written]

    @contextmanager
    def sure(self) -> Iterator[None]:
        """Whatever fails within, no machine was asked for."""
        try:
            with self.asked():
                yield
        except CEError as error:
            raise error if isinstance(error, CEUnavailable) else CEUnavailable(str(error)) from error

    @contextmanager
    def asked(self, meaning: Meaning | None = None) -> Iterator[None]:
        """Turn what Libcloud raises into what the contract has; what it means may depend on what was asked."""
        try:
            yield
        except CEError:
            raise
        except (requests.ConnectTimeout, requests.exceptions.SSLError) as error:
            raise CEUnavailable(f"the cloud cannot be reached: {_words(error)}") from error
        except InvalidCredsError as error:
            raise CEUnavailable(f"the cloud does not let us in: {_words(error)}") from error
        except BaseHTTPError as error:
            code = int(error.code) if str(error.code).isdigit() else 0
            means = (meaning or _asking)(code, _words(error))
            if means is not None:
                raise means from error
        except (requests.RequestException, LibcloudError, OSError) as error:
            raise CEError(f"no answer from the cloud: {_words(error)}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CEError(f"the cloud's answer cannot be understood: {type(error).__name__}") from error


def _asking(code: int, words: str) -> CEError | None:
    return CEError(f"the cloud says {code}: {words}")


def creating(code: int, words: str) -> CEError | None:
    """Tell what an error means where a machine was to be created."""
    sentence = f"the cloud says {code}: {words}"
    if code in _NOT_NOW or _LATER.search(words):
        return CEUnavailable(sentence)
    return Refused(sentence) if code in _NEVER else CEError(sentence)


def deleting(code: int, words: str) -> CEError | None:
    """Tell what an error means where a machine was to be deleted: that it is gone is none."""
    return None if code == 404 or "InvalidInstanceID.NotFound" in words else _asking(code, words)


def age_s(created: object) -> float:
    """Return how long ago something was created, by the cloud's own word.

    Raises:
        TypeError: it says none.
    """
    if not isinstance(created, datetime):
        raise TypeError(created)
    zoned = created if created.tzinfo else created.replace(tzinfo=UTC)
    return max(0.0, (datetime.now(UTC) - zoned).total_seconds())


def _words(error: BaseException) -> str:
    return printable(str(error).replace("\n", " "), _MOST_WORDS) or type(error).__name__


def _typed(name: str, value: str) -> object:
    """Return an option as Libcloud's drivers want it; none may switch off TLS."""
    try:
        if value.startswith("http://") or (name == "secure" and not yes_no(value)):
            raise CEMisconfigured(f"option Driver_{name} is {value!r}: expected TLS, a cloud is asked by https only")
        return True if name == "secure" else whole_number(value, 1) if name == "port" else value
    except ValueError as error:
        raise CEMisconfigured(f"option Driver_{name} is {value!r}: expected a number, or yes") from error
