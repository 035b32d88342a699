"""Verdicts of the conformance suite as JUnit's XML, which CI systems show."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from ce_backends.conformance.suite import Result


def junit(ce: str, results: Sequence[Result]) -> bytes:
    """Return a test suite with a case for each clause: failed where it is broken, skipped where it is not kept."""
    suite = ET.Element(
        "testsuite",
        name=f"gridpilot conformance of {_printable(ce)}",
        tests=str(len(results)),
        failures=str(sum(not result.passed for result in results)),
        skipped=str(sum(bool(result.unkept) for result in results)),
        errors="0",
        time=f"{sum(result.wall_s for result in results):.3f}",
    )
    for result in results:
        case = ET.SubElement(
            suite, "testcase", classname=_printable(ce), name=result.check, time=f"{result.wall_s:.3f}"
        )
        if not result.passed:
            ET.SubElement(case, "failure", message=_printable(result.problem))
        elif result.unkept:
            ET.SubElement(case, "skipped", message=_printable(result.unkept))
    return bytes(ET.tostring(suite, encoding="utf-8", xml_declaration=True))


def _printable(text: str) -> str:
    """Return a text without what XML cannot hold, which a CE may have put into its words."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
