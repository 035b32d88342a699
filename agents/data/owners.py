"""The owners of jobs, each with what his data are reached by."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from agents.jobs.job import MatchedJob
from agents.wms.published import Published

if TYPE_CHECKING:
    from agents.data.access import Access
    from agents.data.opening import Opening

_CATALOGUE = "DataManagement/FileCatalog"


class Owners:
    """Gives what data are reached by, with the owner's credential and never with the pilot's. Any thread may call.

    Args:
        published: the configuration.
        opening: makes what opens data; called for the first job that has any.
    """

    def __init__(self, published: Published, opening: Callable[[], "Opening"]) -> None:
        self._published = published
        self._make_opening = opening

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
        return self._make_opening()
