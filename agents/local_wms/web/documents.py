"""The documents in which browsers see jobs; what they show comes later, and again and again, as JSON."""

from agents.pages.parts import Html, Page, part, quiet, section

_PACKAGE = "agents.local_wms.web"
_NO_SCRIPT = Html("<noscript>{}</noscript>").format(
    quiet("This page needs JavaScript; `gridpilot wms status` has the same.")
)
_SAID = Html("<span id=said role=status></span>")  # where the script says that the server does not answer


def jobs() -> Page:
    """Return the page of all jobs and pilots."""
    body = (
        f"<header><h1>Local WMS</h1><p class=more>For one machine, demos and tests. {_SAID}</p>"
        f"<dl class=tiles id=tiles></dl>{_NO_SCRIPT}</header>"
        f"{_card('Jobs', 'jobs')}{_card('Pilots', 'pilots')}"
    )
    return _page("Local WMS", body, "jobs.js")


def job(job_id: int) -> Page:
    """Return the page of one job."""
    cards = "".join(
        _card(heading, place)
        for heading, place in (
            ("History", "history"),
            ("Files and logs", "files"),
            ("What the job reported", "parameters"),
            ("Description", "jdl"),
        )
    )
    body = (
        f"<header><p class=on-screen><a href='../'>all jobs</a></p><h1 id=name>Job {job_id}</h1>"
        f"<p class=more>{_SAID}</p><dl class=tiles id=tiles></dl>{_NO_SCRIPT}</header>{cards}"
    )
    return _page(f"Job {job_id}", body, "job.js", {"job": job_id})


def _card(heading: str, place: str) -> Html:
    """Return a card that the script fills."""
    return section(heading, Html(f"<div id={place}></div>"), "long")


def _page(title: str, body: str, script: str, told: dict[str, object] | None = None) -> Page:
    return Page(
        title=title,
        body=Html(body),
        styles=part(_PACKAGE, "wms.css"),
        script=part(_PACKAGE, "common.js") + part(_PACKAGE, script),
        told=told or {},
        is_live=True,
    )
