"""The two domains, and the wall between them.

How the machinery runs (requests, queues, databases) is operational: the default domain, ``/v1/metrics``. What is decided, by which
rules, and whether the rules hold is governance: the domain below, ``/v1/governance/metrics``. Whoever defines a metric on the wrong side
gets a ``RefusedByDomain`` at import, with the place of the definition; nobody has to notice it in a review.
"""

from __future__ import annotations

from measurand import OPERATIONAL, Domain

PREFIX = "governance_"
GOVERNANCE_PATH = "/v1/governance/metrics"

OPERATIONAL_LABELS = ("method", "endpoint", "status", "error_type", "check", "transport", "pool", "task", "target", "probe")
GOVERNANCE_LABELS = ("act", "article", "halt_cause", "refusal")
PERSONS = ("actor", "author", "voter", "witness")
"""Nobody's name is a label, on either side: there is no end of persons, and a number is not to point at one."""


def everything_but(prefix: str) -> list[str]:
    """Patterns that together match every name that does not begin with ``prefix``, and no other."""
    beginnings = [prefix[:length] for length in range(len(prefix))]
    return [*beginnings, *(f"{beginning}[!{prefix[length]}]*" for length, beginning in enumerate(beginnings))]


OPERATIONAL.refuse(names=[f"{PREFIX}*"], labels=[*GOVERNANCE_LABELS, *PERSONS])
GOVERNANCE = Domain("governance", refuse_names=everything_but(PREFIX), refuse_labels=[*OPERATIONAL_LABELS, *PERSONS])
