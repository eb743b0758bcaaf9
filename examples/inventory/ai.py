"""The client of the language model's provider: questions in, answers as JSON out, with what they cost.

Promises: an answer fits the schema's keys, or it is an error; tokens that were billed are known even when the answer is useless.
The HTTP API is the one that most providers offer today: ``POST /v1/responses`` with structured output.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from .errors import InvalidError
from .outside import CallError, Outside

Json = dict[str, Any]

LEVELS = ("low", "medium", "high")
INVALID = "the AI provider answered what cannot be read"


class Price(NamedTuple):
    """What a model costs, in dollars per million tokens."""

    input: float
    cached_input: float
    output: float


# The providers publish such a table; these are the models of the stand-in.
PRICES = {"standin-small": Price(0.25, 0.025, 2.0), "standin-large": Price(1.25, 0.125, 10.0)}


@dataclass(frozen=True)
class Usage:
    """The tokens of one answer; the cached ones are a part of the input, the reasoning a part of the output."""

    input: int
    cached_input: int
    output: int
    reasoning: int

    def cost(self, price: Price) -> float:
        """In dollars."""
        fresh = self.input - self.cached_input
        return (fresh * price.input + self.cached_input * price.cached_input + self.output * price.output) / 1_000_000


class InvalidAnswerError(CallError):
    """An answer that was paid for and cannot be used."""

    def __init__(self, usage: Usage) -> None:
        super().__init__(INVALID, "invalid_answer")
        self.usage = usage


class AiProvider:
    """One model of a provider.

    Args:
        url: Where the provider's API is.
        key: The API key.
        model: One of ``PRICES``.
        timeout: Seconds that an answer may take.
    """

    def __init__(self, url: str, *, key: str, model: str = "standin-small", timeout: float = 30) -> None:
        if model not in PRICES:
            raise InvalidError(f"there is no price for the model {model!r}; choose one of {', '.join(PRICES)}")
        self.model = model
        self._outside = Outside("the AI provider", url, timeout=timeout, headers={"Authorization": f"Bearer {key}"})

    def ask(self, instructions: str, question: Json, schema: Json, *, verbosity: str, effort: str) -> tuple[Json, Usage]:
        """Put a question; the answer has the keys that ``schema`` requires.

        Args:
            instructions: What the model is to do.
            question: What it is to do it with.
            schema: A JSON schema with a ``title`` and ``required``.
            verbosity: How much to say, one of ``LEVELS``.
            effort: How long to think first, one of ``LEVELS``.

        Raises:
            InvalidAnswerError: The answer cannot be used; it says what it cost.
            CallError: There is no answer.
        """
        answer = self._outside.post(
            "/v1/responses",
            json={
                "model": self.model,
                "instructions": instructions,
                "input": json.dumps(question),
                "reasoning": {"effort": effort},
                "text": {"verbosity": verbosity, "format": {"type": "json_schema", "name": schema["title"], "schema": schema}},
            },
        )
        try:
            used = answer["usage"]
            usage = Usage(
                input=int(used["input_tokens"]),
                cached_input=int(used["input_tokens_details"]["cached_tokens"]),
                output=int(used["output_tokens"]),
                reasoning=int(used["output_tokens_details"]["reasoning_tokens"]),
            )
        except (LookupError, TypeError, ValueError) as reason:
            raise CallError(INVALID, "invalid_answer") from reason
        try:
            messages = [item for item in answer["output"] if item["type"] == "message"]
            said = json.loads("".join(piece["text"] for item in messages for piece in item["content"] if piece["type"] == "output_text"))
            return {key: said[key] for key in schema["required"]}, usage
        except (LookupError, TypeError, ValueError) as reason:
            raise InvalidAnswerError(usage) from reason

    def close(self) -> None:
        """Close the connections."""
        self._outside.close()
