"""What can go wrong between the agent and a computing element, by what the caller must do next.

CEError
├── CEUnavailable      surely nothing was submitted: wait, then try again
└── CEMisconfigured    an option is wrong: stop and tell the VO admin
"""


class CEError(Exception):
    """Anything a computing element raises."""


class CEUnavailable(CEError):
    """Surely nothing was submitted: wait, then try again."""


class CEMisconfigured(CEError):
    """A CE type or one of its options is wrong; trying again will not help."""
