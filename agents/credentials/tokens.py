"""Bearer tokens, found as the WLCG says (Bearer Token Discovery 1.0); they live shortly, so each request reads anew."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agents.errors import CredentialError
from agents.private import read_secret

if TYPE_CHECKING:
    from requests import PreparedRequest

_YES = ("y", "yes", "true")


def is_wanted(environ: Mapping[str, str], *, configured: bool) -> bool:
    """Tell whether https calls shall show a token: DIRAC_USE_ACCESS_TOKEN, else /DIRAC/Security/UseTokens."""
    said = environ.get("DIRAC_USE_ACCESS_TOKEN", "").strip().lower()
    return said in _YES if said else configured


def find(environ: Mapping[str, str]) -> str:
    """Return the token.

    Raises:
        CredentialError: there is none; or the file that was named cannot be read.
    """
    if environ.get("BEARER_TOKEN"):
        return _checked(environ["BEARER_TOKEN"], "BEARER_TOKEN")
    if found := place(environ):
        return _read(found)
    looked = ", ".join(map(str, _usual_places(environ)))
    raise CredentialError(f"no bearer token: looked at BEARER_TOKEN, BEARER_TOKEN_FILE, {looked}")


def place(environ: Mapping[str, str]) -> Path | None:
    """Return the file that holds the token, None where it is in none."""
    if environ.get("BEARER_TOKEN"):
        return None
    if environ.get("BEARER_TOKEN_FILE"):
        return Path(environ["BEARER_TOKEN_FILE"])
    return next((place for place in _usual_places(environ) if os.path.lexists(place)), None)


def _usual_places(environ: Mapping[str, str]) -> list[Path]:
    folders = [environ[name] for name in ("XDG_RUNTIME_DIR",) if environ.get(name)]
    return [Path(folder, f"bt_u{os.geteuid()}") for folder in (*folders, "/tmp")]  # noqa: S108 - the WLCG's own place


def _read(path: Path) -> str:
    return _checked(read_secret(path, "bearer token"), str(path))


def _checked(text: str, origin: str) -> str:
    token = text.strip()
    if not token.isascii() or not token or any(character.isspace() for character in token):
        raise CredentialError(f"{origin}: expected one bearer token, got {len(text)} characters that are none")
    return token


class BearerToken:
    """Puts the token into each request of a session, as its `auth`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self) -> str:
        """Return the token as it is now.

        Raises:
            CredentialError: it has gone.
        """
        return find(self._environ)

    def __call__(self, request: "PreparedRequest") -> "PreparedRequest":
        """Add the header; a token that has gone is an OSError, so that the call surely was not sent."""
        try:
            request.headers["Authorization"] = f"Bearer {find(self._environ)}"
        except CredentialError as error:
            raise OSError(str(error)) from error
        return request
