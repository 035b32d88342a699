"""What would be asked of a cloud, without asking: a cloud that takes every machine and has none."""

from collections.abc import Sequence
from pathlib import Path

from ce_backends.cloud.context import unpacked
from ce_backends.cloud.machines import Abilities, Machine

_SHOWN_LINES = 12


class PlannedCloud:
    """See Cloud.

    Args:
        abilities: of the cloud that is meant.
        kind: its name.
    """

    def __init__(self, abilities: Abilities, kind: str) -> None:
        self.abilities = abilities
        self._kind = kind
        self.steps: list[str] = []

    def create(self, name: str, user_data: bytes, parcel: Path | None) -> str:
        """See Cloud."""
        disk = f", with a second disk of {parcel.stat().st_size} bytes" if parcel else ""
        lines = unpacked(user_data).splitlines()[:_SHOWN_LINES]
        told = "\n    ".join([f"{len(user_data)} bytes of user data, which begin so:", *lines])
        self.steps.append(f"create machine {name} in {self._kind}{disk}; {told}")
        return name

    def machines(self) -> Sequence[Machine]:
        """See Cloud."""
        self.steps.append(f"list the machines in {self._kind}")
        return []

    def delete(self, machine_id: str) -> None:
        """See Cloud."""
        self.steps.append(f"delete machine {machine_id} in {self._kind}")

    def console(self, machine_id: str, most_bytes: int) -> str:  # noqa: ARG002
        """See Cloud."""
        return ""

    def close(self) -> None:
        """See Cloud."""
