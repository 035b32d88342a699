"""Machines of EC2, or of what speaks like it, by Libcloud."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

from ce_backends.cloud.account import Account
from ce_backends.cloud.library import Library, Wishes, age_s, creating, deleting
from ce_backends.cloud.machines import Abilities, Machine, Power, stamp_of

_POWERS = {  # Libcloud's words
    "pending": Power.COMING,
    "stopped": Power.OFF,
    "terminated": Power.GOING,
}


class Ec2:
    """See Cloud. What it shows of a console is minutes old: that a task has begun is not seen there.

    Args:
        who: we are to it.
        driver: options of Libcloud's driver.
        wishes: what each machine is.
        timeout_s: for one request.

    Raises:
        CEMisconfigured: Libcloud does not take the options.
    """

    abilities = Abilities(  # 16 KiB; the last 64 KiB of a console
        user_data_bytes=16_384, has_parcel_disk=False, tells_at_once=False, console_bytes=24_000
    )

    def __init__(self, who: Account, driver: Mapping[str, str], wishes: Wishes, timeout_s: float) -> None:
        self._library = Library("ec2", who, driver, timeout_s)
        self._wishes = wishes

    def create(self, name: str, user_data: bytes, parcel: Path | None) -> str:  # noqa: ARG002 - it is in the text
        """See Cloud. EC2 makes one machine for one token; it stays when it stops, so that its console can be read."""
        library, wishes = self._library, self._wishes
        with library.sure():
            image = library.id_of(wishes.image, library.driver.list_images)
            flavor = library.id_of(wishes.flavor, library.driver.list_sizes)
        node = None
        with library.asked(creating):
            node = library.driver.create_node(
                name=name,
                image=SimpleNamespace(id=image),
                size=SimpleNamespace(id=flavor),
                ex_userdata=user_data,
                ex_clienttoken=name,
                ex_terminate_on_shutdown=False,
                **({"ex_keyname": wishes.ssh_key} if wishes.ssh_key else {}),
            ).id
        return str(node)

    def machines(self) -> Sequence[Machine]:
        """See Cloud."""
        with self._library.asked():
            nodes = self._library.driver.list_nodes(ex_filters={"tag:Name": "gridpilot-*"})
            return [
                Machine(
                    machine_id=str(node.id),
                    name=str(node.name),
                    power=_POWERS.get(str(node.state), Power.ON),
                    native=str(node.state),
                    age_s=age_s(node.created_at),
                )
                for node in nodes
                if stamp_of(str(node.name))
            ]

    def delete(self, machine_id: str) -> None:
        """See Cloud."""
        with self._library.asked(deleting):
            self._library.driver.destroy_node(SimpleNamespace(id=machine_id))

    def console(self, machine_id: str, most_bytes: int) -> str:
        """See Cloud."""
        output = None
        with self._library.asked():
            output = self._library.driver.ex_get_console_output(SimpleNamespace(id=machine_id))["output"]
        return output[-most_bytes:] if isinstance(output, str) else ""

    def close(self) -> None:
        """See Cloud. Libcloud's connections end with their threads."""
