"""The faults themselves: what can happen to one call."""

import gzip
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from tests.faults.fault_proxy import Exchange, Fault, Reply

BIG_BYTES = 100 * 10**6
BOMB_BYTES = 300 * 10**6
FAR_S = 3600.0


def delayed(seconds: float) -> Fault:
    """Pass the call on after a while."""

    def act(exchange: Exchange) -> None:
        exchange.wait(seconds)
        exchange.answer(exchange.forward())

    return act


def held(release: threading.Event) -> Fault:
    """Pass the call on when the test says so."""

    def act(exchange: Exchange) -> None:
        release.wait(FAR_S)
        exchange.answer(exchange.forward())

    return act


def answer_held(release: threading.Event) -> Fault:
    """Pass the call on at once, and its answer when the test says so."""

    def act(exchange: Exchange) -> None:
        reply = exchange.forward()
        release.wait(FAR_S)
        exchange.answer(reply)

    return act


def silent(exchange: Exchange) -> None:
    """Never answer; the WMS does not see the call."""
    exchange.wait(FAR_S)
    exchange.cut()


def dripping_head(exchange: Exchange) -> None:
    """Send the head of the answer, one byte each second, for ever."""
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
        exchange.write(bytes([byte]))
        exchange.wait(1.0)


def dripping_body(exchange: Exchange) -> None:
    """Send the body of an answer, one byte each second, for ever."""
    exchange.head(200, {"Content-Type": "application/json", "Content-Length": "100000"})
    for _ in range(100000):
        exchange.write(b" ")
        exchange.wait(1.0)


def cut_before(exchange: Exchange) -> None:
    """Close the connection; the WMS does not see the call."""
    exchange.cut()


def spoiled(exchange: Exchange) -> None:
    """Pass a file on with another last byte."""
    exchange.answer(exchange.forward_as(exchange.body[:-1] + bytes([exchange.body[-1] ^ 1])))


def cut_after(exchange: Exchange) -> None:
    """Let the WMS have the call, and lose its answer."""
    exchange.forward()
    exchange.cut()


def after(code: int, headers: Mapping[str, str] | None = None) -> Fault:
    """Let the WMS have the call, and answer with an HTTP status all the same."""

    def act(exchange: Exchange) -> None:
        exchange.forward()
        exchange.answer(Reply(code, b"<html><body>no</body></html>", {"Content-Type": "text/html", **(headers or {})}))

    return act


def refused_after(message: str) -> Fault:
    """Let the WMS have the call, and answer S_ERROR, as DIRAC does when something fails behind what was done."""

    def act(exchange: Exchange) -> None:
        exchange.forward()
        exchange.answer(Reply(200, json.dumps({"OK": False, "Errno": 0, "Message": message}).encode()))

    return act


def alert_after(exchange: Exchange) -> None:
    """Let the WMS have the call, and send a fatal TLS alert in plain text."""
    exchange.forward()
    exchange.write_below_tls(b"\x15\x03\x03\x00\x02\x02\x50")
    exchange.cut()


def cut_and_late(seconds: float) -> Fault:
    """Lose the connection, and let the WMS have the call after others that were sent later."""

    def act(exchange: Exchange) -> None:
        exchange.later(seconds)
        exchange.cut()

    return act


def twice(exchange: Exchange) -> None:
    """Let the WMS have the call two times."""
    exchange.forward()
    exchange.answer(exchange.forward())


def truncated(exchange: Exchange) -> None:
    """Send half of the WMS's answer, and the end of the connection."""
    reply = exchange.forward()
    exchange.head(reply.status, {**reply.headers, "Content-Length": str(len(reply.body))})
    exchange.write(reply.body[: len(reply.body) // 2])
    exchange.cut()


def slow(bytes_per_s: int) -> Fault:
    """Pass the answer on over a thin line."""

    def act(exchange: Exchange) -> None:
        reply = exchange.forward()
        exchange.head(reply.status, {**reply.headers, "Content-Length": str(len(reply.body))})
        for start in range(0, len(reply.body), max(1, bytes_per_s // 10)):
            exchange.write(reply.body[start : start + max(1, bytes_per_s // 10)])
            exchange.wait(0.1)

    return act


def instead(reply: Reply) -> Fault:
    """Answer in the place of the WMS, which does not see the call."""
    return lambda exchange: exchange.answer(reply)


def status(code: int, **headers: str) -> Fault:
    """Answer with an HTTP status; underscores in header names become dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return instead(Reply(code, b"<html><body>no</body></html>", {"Content-Type": "text/html", **named}))


def value(content: Any) -> Fault:
    """Answer S_OK with this value."""
    return instead(Reply(200, json.dumps({"OK": True, "Value": content}).encode()))


def text(body: bytes, kind: str = "application/json", **headers: str) -> Fault:
    """Answer with these bytes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return instead(Reply(200, body, {"Content-Type": kind, **named}))


def altered(change: Callable[[Any], Any]) -> Fault:
    """Pass the call on, and change the value of the answer."""

    def act(exchange: Exchange) -> None:
        reply = exchange.forward()
        answer = json.loads(reply.body)
        if answer.get("OK"):
            answer["Value"] = change(answer["Value"])
        exchange.answer(Reply(reply.status, json.dumps(answer).encode()))

    return act


def huge(exchange: Exchange) -> None:
    """Send 100 MB."""
    exchange.head(200, {"Content-Type": "application/json", "Content-Length": str(BIG_BYTES)})
    for _ in range(BIG_BYTES // 10**6):
        exchange.write(b" " * 10**6)


def bomb() -> Fault:
    """Send little that becomes much when it is unpacked."""
    return text(gzip.compress(b" " * BOMB_BYTES, 6), Content_Encoding="gzip")


def corpus() -> Mapping[str, Fault]:
    """Return answers to `requestJob` that no server should give, by what is wrong with them."""
    job = {"JDL": "[ JobID = 7; ]", "JobID": 7, "Owner": "o", "Group": "g"}
    return {
        "truncated JSON": text(b'{"OK": true, "Value": {"JDL": "['),
        "no JSON": text(b"garbage \xff\xfe\x00"),
        "empty": text(b""),
        "captive page": text(b"<html><body>Please log in</body></html>", "text/html"),
        "a list": text(b"[]"),
        "a number": text(b"1e999"),
        "null": text(b"null"),
        "no OK": text(b'{"Value": {}}'),
        "OK of a strange type": text(b'{"OK": "yes", "Value": 3}'),
        "a job that is a list": value([job]),
        "a job that is a text": value("job"),
        "no JDL": value({name: item for name, item in job.items() if name != "JDL"}),
        "empty JDL": value({**job, "JDL": ""}),
        "JDL of a strange type": value({**job, "JDL": {"a": 1}}),
        "job number of a strange type": value({**job, "JobID": [1]}),
        "negative job number": value({**job, "JobID": -7}),
        "no owner": value({**job, "Owner": None}),
        "deep nesting": text(b"[" * 200_000 + b"]" * 200_000),
        "bytes that are none": value({**job, "JDL": {"__dCls": "b64", "obj": "%%%"}}),
        "a class to import": value({"__dMod": "os", "__dCls": "system", "obj": "true"}),
        "a date that is none": value({"__dCls": "dt", "obj": "never"}),
        "wrong length": _short,
        "100 MB": huge,
        "gzip bomb": bomb(),
        "gzip that is none": text(b"no gzip", Content_Encoding="gzip"),
        "HTTP 500": status(500),
        "redirect to itself": status(302, Location="/WorkloadManagement/TornadoMatcher"),
        "file instead of JSON": text(b"\x00" * 100, "application/octet-stream"),
    }


def _short(exchange: Exchange) -> None:
    """Announce more than is sent."""
    exchange.head(200, {"Content-Type": "application/json", "Content-Length": "5000"})
    exchange.write(b'{"OK": true')
    exchange.cut()
