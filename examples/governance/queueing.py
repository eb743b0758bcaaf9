"""What both ends of the queue in Redis have to agree on."""

from __future__ import annotations

QUEUE = "governance:acts"
"""A list of acts as JSON; new ones come in at its left end."""

TAKEN = "governance:acts:taken"
"""Those that the event writer has in hand."""

LONGEST_QUEUE = 1000
"""Acts that may wait; a writer that is further behind is as good as away."""


def answer_key(identity: str) -> str:
    """The list in which the answer to the act of this id is put."""
    return f"governance:answer:{identity}"
