"""Asks a language model whether a part that somebody wants to add is there already. Publishes ``ai_duplicate_search_…``.

Promises: only parts that exist are named as matches, whatever the model says.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from measurand import Counter, Gauge, Histogram

from .ai import AiProvider
from .database import Database
from .models import Part
from .outside import CallError

CONFIDENCES = ("high", "medium")
REQUESTS = Counter(
    "ai_duplicate_search_requests_total",
    "Searches for duplicates, by whether there were any",
    ["outcome"],
    label_values={"outcome": ["found", "none", "error"]},
)
DURATION = Histogram(
    "ai_duplicate_search_duration_seconds",
    "Time of a search for duplicates, failed ones included",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60),
)
MATCHES_FOUND = Histogram(
    "ai_duplicate_search_matches_found",
    "Matches of one search, by how sure the model is",
    ["confidence"],
    buckets=(0, 1, 2, 3, 5, 10),
    label_values={"confidence": list(CONFIDENCES)},
)
PARTS_DUMP_SIZE = Gauge("ai_duplicate_search_parts_dump_size", "Parts that the last search gave the model to compare with")

MOST_PARTS = 500
INSTRUCTIONS = (
    "Say which of the given parts are the same thing as the candidate: with high confidence when the manufacturer code or all of the"
    " description agrees, with medium confidence when it may be another spelling of the same part. Leave out the rest."
)
SCHEMA = {
    "title": "duplicates",
    "type": "object",
    "required": ["matches"],
    "properties": {
        "matches": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["part_id", "confidence", "reason"],
                "properties": {
                    "part_id": {"type": "integer"},
                    "confidence": {"enum": list(CONFIDENCES)},
                    "reason": {"type": "string"},
                },
            },
        }
    },
}


def search(database: Database, provider: AiProvider, *, description: str, manufacturer_code: str = "") -> dict[str, Any]:
    """The parts that may be the same as one that is described. Raises ``CallError`` when the provider does not answer usefully."""
    candidate = {"description": description, "manufacturer_code": manufacturer_code}
    outcome = "error"
    try:
        with DURATION.time():
            parts = _dump(database)
            PARTS_DUMP_SIZE.set(len(parts))
            question = {"candidate": candidate, "parts": parts}
            said, _usage = provider.ask(INSTRUCTIONS, question, SCHEMA, verbosity="low", effort="low")
            matches = _checked(said["matches"], {part["id"] for part in parts})
        outcome = "found" if matches else "none"
    finally:
        REQUESTS.labels(outcome).inc()
    for confidence in CONFIDENCES:
        MATCHES_FOUND.labels(confidence).observe(sum(match["confidence"] == confidence for match in matches))
    return {"compared_with": len(parts), "matches": matches}


def _dump(database: Database) -> list[dict[str, Any]]:
    """The newest parts, as much of them as the model needs."""
    with database.reading() as session:
        rows = session.scalars(select(Part).order_by(Part.id.desc()).limit(MOST_PARTS))
        return [{"id": row.id, "description": row.description, "manufacturer_code": row.manufacturer_code} for row in rows]


def _checked(matches: Any, known: set[int]) -> list[dict[str, Any]]:
    """What of an answer can be used."""
    try:
        sound = [match for match in matches if match["part_id"] in known and match["confidence"] in CONFIDENCES]
        return [{key: match[key] for key in ("part_id", "confidence", "reason")} for match in sound]
    except (LookupError, TypeError) as reason:
        raise CallError("the AI provider answered what cannot be read", "invalid_answer") from reason
