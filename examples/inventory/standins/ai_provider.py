"""A stand-in for a language model's provider: the HTTP API of one, with structured output and billed tokens, and no model behind it.

It "thinks" by comparing words. Three words in what it is asked make it behave as the real ones do on a bad day: ``smoke`` is a 500,
``molasses`` takes longer than anybody waits, ``gibberish`` is an answer that is billed and makes no sense.
"""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

from .server import Answer, Asked, Standin

KEY = "standin-key"
REASONING_TOKENS = {"low": 64, "medium": 256, "high": 1024}
WORDINESS = {"low": 1, "medium": 2, "high": 4}
SECONDS_OF_MOLASSES = 120
TAGS = ("spare", "precision", "through-hole", "metal", "sensor")


class AiStandin(Standin):
    """The provider.

    Args:
        port: Where to listen; 0 for a free port.
        pace: Seconds of thinking per 100 tokens of reasoning.
    """

    def __init__(self, port: int = 0, *, pace: float = 0.02) -> None:
        super().__init__(port)
        self._pace = pace
        self._seen: set[str] = set()

    def answer(self, asked: Asked) -> Answer:
        if asked.headers.get("Authorization") != f"Bearer {KEY}":
            return Answer(401, {"error": {"message": "Incorrect API key provided"}})
        if (asked.method, asked.path) != ("POST", "/v1/responses"):
            return Answer(404, {"error": {"message": "Unknown request URL"}})
        request = asked.json()
        question = json.loads(request["input"])
        words = _words(json.dumps(question.get("candidate") or question.get("part")))
        if "smoke" in words:
            return Answer(500, {"error": {"message": "The server had an error while processing your request"}})
        reasoning = REASONING_TOKENS[request["reasoning"]["effort"]]
        self.stopping.wait(SECONDS_OF_MOLASSES if "molasses" in words else self._pace * reasoning / 100)
        said = "Certainly!" if "gibberish" in words else json.dumps(_thought(request["text"]["format"]["name"], question))
        return Answer(200, self._response(request, said, reasoning))

    def _response(self, request: dict[str, Any], said: str, reasoning: int) -> dict[str, Any]:
        fixed = _tokens(request["instructions"]) + _tokens(json.dumps(request["text"]["format"]))
        cached = fixed if request["instructions"] in self._seen else 0  # what was sent before is cheaper
        self._seen.add(request["instructions"])
        output = _tokens(said) * WORDINESS[request["text"]["verbosity"]] + reasoning
        used = fixed + _tokens(request["input"])
        return {
            "id": f"resp_{secrets.token_hex(8)}",
            "object": "response",
            "model": request["model"],
            "status": "completed",
            "output": [
                {"type": "reasoning", "summary": []},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": said}]},
            ],
            "usage": {
                "input_tokens": used,
                "input_tokens_details": {"cached_tokens": cached},
                "output_tokens": output,
                "output_tokens_details": {"reasoning_tokens": reasoning},
                "total_tokens": used + output,
            },
        }


def _thought(what: str, question: dict[str, Any]) -> dict[str, Any]:
    if what == "duplicates":
        compared = [(part, _likeness(question["candidate"], part)) for part in question["parts"]]
        matches = [
            {"part_id": part["id"], "confidence": "high" if likeness == 1 else "medium", "reason": f"{likeness:.0%} of the words agree"}
            for part, likeness in sorted(compared, key=lambda pair: -pair[1])
            if likeness >= 0.6
        ]
        return {"matches": matches[:10]}
    part = question["part"]
    words = _words(part["description"])
    known = next((name for name in question["known_types"] if _words(name) & words), part["type"]["name"])
    tags = [tag for tag in TAGS if tag in words] or [known.lower()]
    description = f"{known}: {part['description']}"[:200]
    return {"description": description, "manufacturer_code": part["manufacturer_code"], "type": known, "tags": tags}


def _likeness(candidate: dict[str, str], part: dict[str, str]) -> float:
    code = candidate["manufacturer_code"]
    if code and code == part["manufacturer_code"]:
        return 1.0
    one, other = _words(candidate["description"]), _words(part["description"])
    return len(one & other) / max(1, len(one | other))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _tokens(text: str) -> int:
    """About as many as a real tokenizer finds in English."""
    return len(text) // 4 + 1
