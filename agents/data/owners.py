"""The owners of jobs, each with what his data are reached by."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from agents.jobs.job import MatchedJob
from agents.wms.published import Published
from agents.wms.transports import Transports

if TYPE_CHECKING:
    from agents.data.access import Access
    from agents.data.opening import Opening

_CATALOGUE = "DataManagement/FileCatalog"


class Owners:
    """Makes what data are reached by, with the owner's credential and never with the pilot's. Any thread may call.

    Args:
        published: the configuration.
        transports: by credential.
        site: DIRAC's name of this one.
        vo: of owners whose group names none.
    """

    def __init__(self, published: Published, transports: Transports, *, site: str, vo: str) -> None:
        self._published = published
        self._transports = transports
        self._site = site
        self._vo = vo

    @property
    def have_catalogue(self) -> bool:
        """Tell whether the configuration publishes any file catalogue."""
        named = self._published.tree.section("/Resources/FileCatalogs").content
        return bool(named) or self._published.has(_CATALOGUE)

    def access(self, matched: MatchedJob, credential: Path | None) -> "Access":
        """Return what the data of a job's owner are reached by.

        Raises:
            HandBack: there is no credential of his, or no catalogue.
        """
        return self._opening.access(matched, credential)

    @functools.cached_property
    def _opening(self) -> "Opening":
        from agents.data.opening import Opening  # noqa: PLC0415 - thirty modules; only jobs with data wait for them

        return Opening(self._published, self._transports, site=self._site, vo=self._vo)
