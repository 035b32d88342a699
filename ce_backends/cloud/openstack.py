"""Machines of OpenStack: Nova's requests over Libcloud's connection, which signs in at Keystone.

Source: Nova's API reference, 2.1. Libcloud's own methods make a second request for each machine that was created, which
may fail when the machine is there, and list the first thousand machines only.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ce_backends.cloud.account import Account
from ce_backends.cloud.library import Library, Wishes, age_s, creating, deleting
from ce_backends.cloud.machines import Abilities, Machine, Power, stamp_of
from ce_backends.errors import CEError
from ce_backends.untrusted.text import printable

_POWERS = {
    "BUILD": Power.COMING,
    **dict.fromkeys(("SHUTOFF", "STOPPED", "SUSPENDED", "PAUSED", "SHELVED", "SHELVED_OFFLOADED"), Power.OFF),
    "ERROR": Power.BROKEN,
    **dict.fromkeys(("DELETED", "SOFT_DELETED"), Power.GOING),
}
_MOST_PAGES = 50
_CONSOLE_LINES = 100_000
_NOTHING_YET = (404, 409)  # a console of a machine that is being created, or is gone


class OpenStack:
    """See Cloud.

    Args:
        who: we are to it.
        driver: options of Libcloud's driver.
        wishes: what each machine is.
        timeout_s: for one request.

    Raises:
        CEMisconfigured: Libcloud does not take the options.
    """

    abilities = Abilities(  # 65535 in base64; Nova shows the last 100 KiB of a console
        user_data_bytes=49_000, has_parcel_disk=False, tells_at_once=True, console_bytes=40_000
    )

    def __init__(self, who: Account, driver: Mapping[str, str], wishes: Wishes, timeout_s: float) -> None:
        self._library = Library("openstack", who, driver, timeout_s)
        self._wishes = wishes

    def create(self, name: str, user_data: bytes, parcel: Path | None) -> str:  # noqa: ARG002 - it is in the text
        """See Cloud."""
        library, wishes = self._library, self._wishes
        with library.sure():
            server: dict[str, Any] = {
                "name": name,
                "imageRef": library.id_of(wishes.image, library.driver.list_images),
                "flavorRef": library.id_of(wishes.flavor, self._flavors),
                "user_data": base64.b64encode(user_data).decode("ascii"),
                "config_drive": True,
            }
        if wishes.ssh_key:
            server["key_name"] = wishes.ssh_key
        if wishes.networks:
            server["networks"] = [{"uuid": network} for network in wishes.networks]
        with library.asked(creating):
            machine_id = self._request("/servers", "POST", {"server": server})["server"]["id"]
        if not isinstance(machine_id, str) or not machine_id:
            raise CEError(f"the cloud answered with {machine_id!r} in place of a machine's id")
        return machine_id

    def _flavors(self) -> Sequence[SimpleNamespace]:
        listed = self._request("/flavors", "GET")["flavors"]
        return [SimpleNamespace(id=flavor["id"], name=flavor["name"]) for flavor in listed]

    def machines(self) -> Sequence[Machine]:
        """See Cloud."""
        with self._library.asked():
            return [_machine(server) for server in self._servers() if stamp_of(str(server["name"]))]

    def _servers(self) -> Iterator[Mapping[str, Any]]:
        """Yield what is listed, page by page."""
        params = {"name": "^gridpilot-"}
        for _ in range(_MOST_PAGES):
            answer = self._library.driver.connection.request("/servers/detail", params=params).object
            servers = answer["servers"]
            yield from servers
            if not servers or not answer.get("servers_links"):
                return
            params = {**params, "marker": str(servers[-1]["id"])}
        raise CEError(f"the cloud lists more than {_MOST_PAGES} pages of machines")

    def delete(self, machine_id: str) -> None:
        """See Cloud."""
        with self._library.asked(deleting):
            self._request(f"/servers/{machine_id}", "DELETE")

    def console(self, machine_id: str, most_bytes: int) -> str:
        """See Cloud."""
        output = ""
        with self._library.asked(lambda code, words: None if code in _NOTHING_YET else creating(code, words)):
            asked = {"os-getConsoleOutput": {"length": _CONSOLE_LINES}}
            output = self._request(f"/servers/{machine_id}/action", "POST", asked)["output"]
        return output[-most_bytes:] if isinstance(output, str) else ""

    def close(self) -> None:
        """See Cloud. Libcloud's connections end with their threads."""

    def _request(self, path: str, method: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._library.driver.connection.request(path, method=method, **({"data": body} if body else {})).object


def _machine(server: Mapping[str, Any]) -> Machine:
    word = printable(str(server["status"]), 40)
    is_going = server.get("OS-EXT-STS:task_state") == "deleting"
    return Machine(
        machine_id=str(server["id"]),
        name=str(server["name"]),
        power=Power.GOING if is_going else _POWERS.get(word, Power.ON),
        native=word,
        age_s=age_s(datetime.fromisoformat(str(server["created"]))),
    )
