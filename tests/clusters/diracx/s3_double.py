"""A stand-in for S3: `s3_double.py PORT`. Objects in files; strict where a real one is, and nothing more.

Debian 12 has one S3 only, Ceph's, which needs a whole cluster. This checks what S3 checks of strangers: of a presigned
GET signature and expiry, and that no second authorisation comes with it; of a POST policy signature, expiry, size, all
fields, and the checksum of what is stored. Refusals are S3's XML. DiracX's own calls (HEAD, PUT) are believed.
Each exchange is one line of JSON in $STACK_S3_CAPTURE; faults as in `faults.py`.
"""

import base64
import datetime as dt
import hashlib
import hmac
import json
import os
import sys
import time
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from faults import Faults, note

SECRET = "testing"


class Refused(Exception):
    """HTTP status, S3's code, its sentence."""


def digest(key: bytes, text: str) -> bytes:
    """HMAC-SHA256."""
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(credential: str, text: str) -> str:
    """AWS4-HMAC-SHA256 of a text, for `<key>/<day>/<region>/<service>/aws4_request`."""
    key = f"AWS4{SECRET}".encode()
    for part in credential.split("/")[1:]:
        key = digest(key, part)
    return digest(key, text).hex()


def check_get(url: Any, headers: Any) -> None:
    """A presigned URL is good as it is, for its time, alone."""
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    if "X-Amz-Signature" not in query:
        raise Refused(403, "AccessDenied", "Access Denied")
    if headers.get("Authorization"):
        raise Refused(400, "InvalidArgument", "Only one auth mechanism allowed")
    made = dt.datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    if dt.datetime.now(dt.UTC) > made + dt.timedelta(seconds=int(query["X-Amz-Expires"])):
        raise Refused(403, "AccessDenied", "Request has expired")
    names = query["X-Amz-SignedHeaders"].split(";")
    pairs = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in query.items() if k != "X-Amz-Signature")
    asked = [
        "GET",
        url.path,
        "&".join(f"{name}={value}" for name, value in pairs),
        "".join(f"{name}:{headers[name].strip()}\n" for name in names),
        ";".join(names),
        "UNSIGNED-PAYLOAD",
    ]
    scope = query["X-Amz-Credential"].partition("/")[2]
    hashed = hashlib.sha256("\n".join(asked).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", query["X-Amz-Date"], scope, hashed])
    if signature(query["X-Amz-Credential"], text) != query["X-Amz-Signature"]:
        raise Refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match yours")


def check_post(fields: dict[str, str], content: bytes) -> None:
    """What a form stores must be what its policy allows, to the byte."""
    if "policy" not in fields:
        raise Refused(403, "AccessDenied", "Access Denied")
    if signature(fields["x-amz-credential"], fields["policy"]) != fields["x-amz-signature"]:
        raise Refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match yours")
    policy = json.loads(base64.b64decode(fields["policy"]))
    if dt.datetime.now(dt.UTC) > dt.datetime.fromisoformat(policy["expiration"]):
        raise Refused(403, "AccessDenied", "Invalid according to Policy: Policy expired.")
    for condition in policy["conditions"]:
        if isinstance(condition, dict):
            ((name, value),) = condition.items()
            if name != "bucket" and fields.get(name) != value:
                raise Refused(403, "AccessDenied", f"Invalid according to Policy: Policy Condition failed: {name}")
        elif condition[0] == "content-length-range" and not condition[1] <= len(content) <= condition[2]:
            code = "EntityTooLarge" if len(content) > condition[2] else "EntityTooSmall"
            raise Refused(400, code, f"Your proposed upload has {len(content)} bytes")
    if base64.b64encode(hashlib.sha256(content).digest()).decode() != fields["x-amz-checksum-sha256"]:
        raise Refused(400, "BadDigest", "The SHA256 you specified did not match the calculated checksum.")


def form(kind: str, body: bytes) -> tuple[dict[str, str], bytes]:
    """Return the fields of a multipart form, and its file."""
    fields: dict[str, str] = {}
    content = b""
    for part in message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body).get_payload():
        raw: bytes = part.get_payload(decode=True)  # type: ignore[union-attr, assignment]
        name = str(part.get_param("name", header="content-disposition"))  # type: ignore[union-attr]
        if name == "file":
            content = raw
        else:
            fields[name] = raw.decode()
    return fields, content


class Front(BaseHTTPRequestHandler):
    """S3's REST, as far as DiracX and its clients go."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: "Server"

    def log_message(self, *_: object) -> None:
        """Say nothing: there is the capture."""

    def _any(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.faults.of(self.command, url.path)
        time.sleep(fault.get("delay", 0))
        status, answer = self._answered(url, body, fault)
        if fault.get("spoil") and answer:
            answer = answer[:-1] + bytes([answer[-1] ^ 1])
        if fault.get("drop"):
            self.close_connection = True
        else:
            self._send(status, answer, fault)
        note(
            os.environ["STACK_S3_CAPTURE"],
            {
                "t": time.time(),
                "method": self.command,
                "path": url.path,
                "authorization": bool(self.headers.get("Authorization")),
                "bytes_in": len(body),
                "bytes_out": len(answer),
                "status": status,
                "fault": fault,
            },
        )

    def _send(self, status: int, answer: bytes, fault: dict[str, Any]) -> None:
        self.send_response(status)
        for name, value in fault.get("headers", {}).items():
            self.send_header(name, str(value))
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer[: fault.get("cut", len(answer))])
        self.close_connection = self.close_connection or "cut" in fault

    def _answered(self, url: Any, body: bytes, fault: dict[str, Any]) -> tuple[int, bytes]:
        try:
            return self._done(url, body, fault)
        except Refused as no:
            status, code, said = no.args
            return (
                status,
                f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>{said}</Message></Error>".encode(),
            )

    def _done(self, url: Any, body: bytes, fault: dict[str, Any]) -> tuple[int, bytes]:
        if "status" in fault:
            raise Refused(fault["status"], fault.get("code", "AccessDenied"), "a fault of the test")
        bucket, _, key = unquote(url.path).strip("/").partition("/")
        place = self.server.folder / bucket
        if key:
            place /= hashlib.sha256(key.encode()).hexdigest()
        if self.command == "PUT" and not key:
            place.mkdir(exist_ok=True)
            return 200, b""
        if self.command == "POST":
            fields, content = form(self.headers["Content-Type"], body)
            check_post(fields, content)
            (place / hashlib.sha256(fields["key"].encode()).hexdigest()).write_bytes(content)
            return 204, b""
        if self.command == "GET":
            check_get(url, self.headers)
        if not place.exists():
            raise Refused(404, "NoSuchKey" if key else "NoSuchBucket", "it does not exist")
        return 200, place.read_bytes() if key else b""

    do_GET = do_PUT = do_POST = do_HEAD = _any  # noqa: N815 - http.server's names


class Server(ThreadingHTTPServer):
    """Objects below a folder, for all connections."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Front)
        self.faults = Faults(os.environ["STACK_S3_FAULTS"])
        self.folder = Path(os.environ["STACK_SERVER"]) / "objects"
        self.folder.mkdir(exist_ok=True)


if __name__ == "__main__":
    Server(int(sys.argv[1])).serve_forever()
