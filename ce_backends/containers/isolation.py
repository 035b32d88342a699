"""In one sentence, what keeps a payload on this node from its pilot, from other payloads and from the node itself.

docs/security.md says what follows from each.
"""

import os

from ce_backends.containers.payload_user import payload_user
from ce_backends.containment.cell import Level

_ENDED_BY_MARKS = "what it leaves is found by session and cookie, and ended"
_ENDED_BY_GROUP = "what it leaves is ended with its control group"


def sentence(container: str, level: Level) -> str:
    """Return the level of isolation.

    Args:
        container: what encloses payloads, empty for nothing.
        level: how their processes are held together.
    """
    user = payload_user()
    end = _ENDED_BY_MARKS if level is Level.SESSION else _ENDED_BY_GROUP
    if not container and os.geteuid() == 0:
        return f"isolation: none: a payload is root and may do all that root may on this node; {end}, unless it escapes"
    if not container:
        return f"isolation: none: a payload may do all that the pilot's account may, to pilot and other jobs; {end}"
    whose = f"the account with uid {user.uid}" if user else "the pilot's account"
    return f"isolation: a payload sees what {container} shows it, as {whose}; {end}"
