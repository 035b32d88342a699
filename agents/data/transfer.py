"""Files moved with one owner's credential: by the implementation that speaks the endpoint's protocol."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from agents.credentials import proxy
from agents.credentials.identity import Identity
from agents.data import choice, tools
from agents.data.by_command import ByCommand
from agents.data.catalogue import FileRecord
from agents.data.choice import Source, Target
from agents.data.elements import Elements
from agents.data.errors import Damaged, ElementDown, NoSpaceHere, NotAllowed, Transient, Unsupported
from agents.data.over_dips import OverDips
from agents.data.over_https import OverHttps
from agents.data.way import UNWATCHED, Content, Watch, Way
from agents.errors import CredentialError


class Transfers:
    """Moves files of one owner, each call in its caller's thread; any thread may call.

    Args:
        owner: whose credential is shown.
        elements: what there is.
        vo: the owner's.
    """

    def __init__(self, owner: Identity, elements: Elements, vo: str) -> None:
        self._owner = owner
        self._elements = elements
        self._ways: dict[str, Way] = {"https": OverHttps(owner), "dips": OverDips(owner, vo)}
        for family in ("root", "srm", "gsiftp"):
            if tool := tools.find(family):
                self._ways[family] = ByCommand(owner, tool)

    def get(self, record: FileRecord, source: Source, into: Path, watch: Watch = UNWATCHED) -> None:
        """Bring a replica to a file here, of which size and checksum are those of the catalogue.

        It is written beside, as `.NAME.part`, and renamed when it is whole; a part that a former try has left there is
        gone on with where the server can. It is kept, but for what is Damaged. A file of that name is replaced.

        Raises:
            TransferError: see agents.data.errors.
        """
        part = into.with_name(f".{into.name[:200]}.part")
        content = Content(size_bytes=record.size_bytes, adler32=record.adler32)
        try:
            with self._blamed():
                self._way(source.endpoint.family).get(source.url, part, content, watch)
        except Damaged as error:
            part.unlink(missing_ok=True)
            raise Damaged(f"{source.element.name}: {record.lfn}: {error}") from error
        try:
            part.replace(into)
        except OSError as error:
            raise NoSpaceHere(f"{into}: {error.strerror}") from error

    def put(self, path: Path, lfn: str, target: Target, content: Content, watch: Watch = UNWATCHED) -> str:
        """Bring a file to an element; return its PFN there. Size and checksum at the element are compared afterwards.

        Raises:
            Exists: there is a file of that name; it was not touched. Its size and checksum come with the error, so that
                the caller sees whether it is this file, of an earlier try.
            TransferError: see agents.data.errors. What was written of it is taken away as far as the server can.
        """
        url = target.endpoint.url(lfn)
        with self._blamed():
            self._way(target.endpoint.family).put(path, url, content, watch)
        return url

    def take_away(self, path: Path, lfn: str, target: Target, may: Callable[[Content], bool], watch: Watch) -> bool:
        """Take away what lies at an element under a name if it may be, and what `put` of a path has left there.

        Args:
            path: of the file that was put.
            lfn: its name.
            target: the element.
            may: is told what lies there; where the element tells no checksum, without.
            watch: bounds it.

        Returns:
            False where something lies there that may not be taken away.

        Raises:
            TransferError: the element does not tell, or does not remove it.
        """
        with self._blamed():
            return self._way(target.endpoint.family).take_away(path, target.endpoint.url(lfn), may, watch)

    def speaks(self, family: str) -> bool:
        """Tell whether endpoints of this family (https, root, dips, srm) can be used on this node."""
        return family in self._ways

    def urls_for(self, record: FileRecord, protocols: Sequence[str] = ()) -> list[str]:
        """Return URLs by which a payload may read a file itself, the best first; of these protocols, of all if none."""
        found = choice.sources(record, self._elements)
        return [source.url for source in found if not protocols or source.endpoint.protocol in protocols]

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """Call by its name that the owner's proxy is no good: some servers only close the connection then."""
        try:
            yield
        except (Transient, ElementDown) as error:
            if isinstance(self._owner.certificate, Path) and self._owner.token is None:
                try:
                    proxy.load(self._owner.certificate, datetime.now(UTC))
                except CredentialError as fault:
                    raise NotAllowed(f"{fault}; {error}") from error
            raise

    def _way(self, family: str) -> Way:
        if family not in self._ways:
            raise Unsupported(f"nothing on this node speaks {family or 'the protocol'}")
        return self._ways[family]
