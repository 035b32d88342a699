"""Short JDLs and what the agent understands of them."""

from agents.jobs.jdl import JobDescription, describe


def described(attributes: str) -> JobDescription:
    return describe(f"[ JobID = 7; {attributes} ]")
