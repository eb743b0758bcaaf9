"""Lets a language model suggest how a part should be described. Publishes everything called ``ai_analysis_…``.

Promises: a suggestion changes nothing by itself; every attempt is counted by how it went, and tokens and cost whenever the provider billed
them. Runs in the background, see ``tasks.py``.
"""

from __future__ import annotations

import time
from typing import Any

from measurand import Counter, Histogram

from . import part_types
from .ai import PRICES, AiProvider, InvalidAnswerError, Usage
from .database import Database, find
from .models import Part
from .outside import CallError

BY_MODEL = ["model", "verbosity", "reasoning_effort"]
REQUESTS = Counter("ai_analysis_requests_total", "Analyses asked for, by how they went", ["status", *BY_MODEL])
DURATION = Histogram(
    "ai_analysis_duration_seconds",
    "Time that the provider took for an analysis, failed ones included",
    BY_MODEL,
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60),
)
TOKENS = Counter("ai_analysis_tokens_total", "Tokens billed for analyses, by type; cached_input is a part of input", ["type", *BY_MODEL])
COST = Counter("ai_analysis_cost_dollars_total", "What analyses cost, in US dollars", BY_MODEL)

INSTRUCTIONS = (
    "You catalogue the parts of an electronics workshop. Suggest a precise description, a manufacturer code if there is one in what you are"
    " given, one of the known types (or a new one if none fits), and up to five tags."
)
SCHEMA = {
    "title": "part_suggestion",
    "type": "object",
    "required": ["description", "manufacturer_code", "type", "tags"],
    "properties": {
        "description": {"type": "string"},
        "manufacturer_code": {"type": "string"},
        "type": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
}


def analyse(database: Database, provider: AiProvider, part_id: int, *, verbosity: str, reasoning_effort: str) -> dict[str, Any]:
    """Suggest how to describe a part.

    Raises:
        NotFoundError: No such part.
        CallError: The provider did not answer, or not usefully.
    """
    with database.reading() as session:
        question = {"part": find(session, Part, part_id).as_json()}
    question["known_types"] = [row["name"] for row in part_types.overview(database, limit=200, offset=0)]
    how = (provider.model, verbosity, reasoning_effort)
    begun, status = time.monotonic(), "failed"
    try:
        suggestion, usage = provider.ask(INSTRUCTIONS, question, SCHEMA, verbosity=verbosity, effort=reasoning_effort)
        _bill(usage, how)
        status = "success"
    except InvalidAnswerError as reason:
        _bill(reason.usage, how)
        status = reason.reason
        raise
    except CallError as reason:
        status = reason.reason
        raise
    finally:
        DURATION.labels(*how).observe(time.monotonic() - begun)
        REQUESTS.labels(status, *how).inc()
    return {"part_id": part_id, "suggestion": suggestion}


def _bill(usage: Usage, how: tuple[str, str, str]) -> None:
    for kind, count in (
        ("input", usage.input),
        ("cached_input", usage.cached_input),
        ("output", usage.output),
        ("reasoning", usage.reasoning),
    ):
        TOKENS.labels(kind, *how).inc(count)
    COST.labels(*how).inc(usage.cost(PRICES[how[0]]))
