"""Delegation of a proxy to A-REX: its certificate request is signed with our proxy, by the openssl command (3.0).

No Python library that we may ask for reads A-REX's request, which says that its version is 2.
"""

import math
import re
import secrets
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from ce_backends.arc.rest import Answer, Rest
from ce_backends.errors import CEError, CEUnavailable
from ce_backends.linux.command import run
from ce_backends.untrusted.text import lines_of

_OPENSSL_S = 30.0
_DAY_S = 86400
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)
_EXTENSIONS = """\
keyUsage = critical, digitalSignature, keyEncipherment
proxyCertInfo = critical, language:id-ppl-inheritAll
"""


class Delegation:
    """The proxy that a CE holds for our jobs: made when first needed, renewed before it ends.

    Args:
        rest: the CE.
        proxy: what is delegated.
        renew_before_s: time left at which it is renewed.
    """

    def __init__(self, rest: Rest, proxy: Path, *, renew_before_s: float) -> None:
        self._rest = rest
        self._proxy = proxy
        self._renew_before_s = renew_before_s
        self._id = ""
        self._ends_at = 0.0  # of the system's clock

    def current(self) -> str:
        """Return the id of a delegation that lasts.

        Raises:
            CEUnavailable: there is none and none could be made.
        """
        if time.time() > self._ends_at - self._renew_before_s:
            ends_at = end_of(self._proxy)
            if ends_at > self._ends_at:
                self._delegate(ends_at)
        return self._id

    def forget(self) -> None:
        """Take the delegation for lost: the CE has refused a job for it, and the next one gets a new one."""
        self._id, self._ends_at = "", 0.0

    def _delegate(self, ends_at: float) -> None:
        """Renew the delegation, or make a new one, also where the CE does not know the old one any more."""
        try:
            if self._id and self._delegated(f"/delegations/{self._id}?action=renew", ends_at) is None:
                return
            self.forget()
            refused = self._delegated("/delegations?action=new", ends_at)
        except CEError as error:
            raise CEUnavailable(f"the proxy could not be delegated: {error}") from error
        if refused:
            raise CEUnavailable(f"the proxy could not be delegated: {refused.sentence}")

    def _delegated(self, path: str, ends_at: float) -> Answer | None:
        """Ask for something to sign and send it signed; return the answer that refuses it, None for none."""
        asked = self._rest.call("POST", path)
        if asked.status not in (200, 201):
            return asked
        name = asked.location.rstrip("/").rpartition("/")[2] or self._id
        chain = sign(asked.body, self._proxy, days=max(1, math.ceil((ends_at - time.time()) / _DAY_S)))
        put = self._rest.call("PUT", f"/delegations/{name}", body=chain, kind="application/x-pem-file")
        if put.status != 200:
            return put
        self._id, self._ends_at = name, ends_at
        return None


def end_of(proxy: Path) -> float:
    """Return when a proxy ends, in seconds of the system's clock.

    Raises:
        CEUnavailable: that cannot be told.
    """
    text = _openssl("x509", "-in", str(proxy), "-noout", "-enddate").decode()  # notAfter=Nov 25 04:00:00 2026 GMT
    try:
        return (
            datetime.strptime(text.strip().partition("=")[2], "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC).timestamp()
        )
    except ValueError as error:
        raise CEUnavailable(f"proxy {proxy}: its end cannot be read from {text!r}") from error


def sign(request: bytes, proxy: Path, *, days: int) -> bytes:
    """Return a proxy certificate for the request's key, signed with our proxy, and the chain below it.

    Raises:
        CEUnavailable: openssl could not.
    """
    serial = str(secrets.randbits(31))
    ours = str(proxy)
    with tempfile.TemporaryDirectory() as folder:
        csr, extensions = Path(folder) / "request", Path(folder) / "extensions"
        csr.write_bytes(request)
        extensions.write_text(_EXTENSIONS, encoding="ascii")
        subject = f"{_subject(proxy)}/CN={serial}"
        signing = ["-CA", ours, "-CAkey", ours, "-set_serial", serial, "-sha256", "-days", str(days)]
        named = ["-subj", subject, "-extfile", str(extensions)]
        certificate = _openssl("x509", "-req", "-in", str(csr), *signing, *named)
    return certificate + b"".join(_CERTIFICATE.findall(proxy.read_bytes()))


def _subject(proxy: Path) -> str:
    """Return the proxy's name as openssl takes it: /DC=org/CN=A User."""
    text = _openssl("x509", "-in", str(proxy), "-noout", "-subject", "-nameopt", "sep_multiline,utf8").decode()
    parts = [line.strip() for line in lines_of(text)[1:]]
    return "".join("/" + re.sub(r"([/+\\])", r"\\\1", part) for part in parts)


def _openssl(*arguments: str) -> bytes:
    try:
        said = run(["openssl", *arguments], timeout_s=_OPENSSL_S)
    except OSError as error:
        raise CEUnavailable(f"openssl: {error}") from error
    if said.exit_code is None:
        raise CEUnavailable(f"openssl {arguments[0]}: no answer in {_OPENSSL_S:g} s")
    if said.exit_code != 0:
        words = " ".join(said.stderr.decode("utf-8", "replace").split())
        raise CEUnavailable(f"openssl {arguments[0]}: {words[:300]}")
    return said.stdout
