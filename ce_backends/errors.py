"""What can go wrong between the agent and a computing element, by what the caller must do next.

CEError
├── CEUnavailable      surely nothing was submitted: wait, then try again
├── CEBroken           one of its threads has failed: use a new object, which finds every task again
└── CEMisconfigured    an option is wrong: stop and tell the VO admin
    └── CfgError       a configuration file is malformed
"""


class CEError(Exception):
    """Anything a computing element raises."""


class CEUnavailable(CEError):
    """Surely nothing was submitted: wait, then try again."""


class CEBroken(CEError):
    """A thread of the computing element met what nobody foresaw: a new object finds every task again."""


class CEMisconfigured(CEError):
    """A CE type or one of its options is wrong; trying again will not help."""


class CfgError(CEMisconfigured):
    """A CFG text is malformed or cannot be read."""


def plain_word(error: Exception) -> str:
    """Return what an error says, without its number and without the name of the file, which the sentence has."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
