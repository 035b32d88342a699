"""What can go wrong while a file moves, by what the caller must do next.

TransferError
├── Transient     the same again, after a pause: the way broke, or no byte moved for minutes
│   └── Silent    the same again on another connection: nothing came in answer
├── NotHere       another replica: the element does not hold the file
├── Damaged       another replica, and tell of this one: its size or its checksum is not what the catalogue says
├── NotAllowed    nothing will help but the owner: no right, an expired proxy
├── NoRoom        another element: it is full, read-only, or beyond a quota
├── ElementDown   later, or another element: nobody answers there
├── Unsupported   another endpoint: we do not speak its protocol here, or do not trust where it leads
├── Exists        a clash at the target: there is a file of that name, and it was not touched
├── NoSpaceHere   this node's disk is full, or the file cannot be written or read here
└── GivenUp       whoever watches said so, or the time is over
"""

from agents.errors import AgentError


class TransferError(AgentError):
    """A file was not moved; the message is one sentence that names it and the element."""


class Transient(TransferError):
    """The way broke, or no byte moved for too long: the same again, after a pause. What has come is kept."""


class Silent(Transient):
    """Nothing came in answer to a request for too long: the answer may be lost, or still be made."""


class NotHere(TransferError):
    """The element does not hold the file: take another replica."""


class Damaged(TransferError):
    """What came, or what lies there, is not the file: take another replica, and tell of this one."""


class NotAllowed(TransferError):
    """The owner has no right to do that there, or shows a proxy that has expired: another try is no use."""


class NoRoom(TransferError):
    """The element is full, read-only, or beyond a quota: take another one."""


class ElementDown(TransferError):
    """Nobody answers there, or the server's identity is not to be trusted: later, or another element."""


class Unsupported(TransferError):
    """We do not speak this protocol here, or the server sends us where the credential must not go."""


class Exists(TransferError):
    """There is a file of that name at the target; it was not touched.

    Attributes:
        size_bytes: of the file that is there, None when the element does not say.
        adler32: of it, None when the element does not say.
    """

    def __init__(self, message: str, *, size_bytes: int | None = None, adler32: int | None = None) -> None:
        super().__init__(message)
        self.size_bytes = size_bytes
        self.adler32 = adler32


class NoSpaceHere(TransferError):
    """This node's disk is full, or the file cannot be written or read here."""


class GivenUp(TransferError):
    """Whoever watches has given the transfer up, or its time is over. What has come is kept."""
