"""Which format a client gets.

Source: RFC 9110, "Content Negotiation" (quality values), and Prometheus, "Content Negotiation" (versions, the ``escaping`` parameter).
    A client that asks for nothing, or for
nothing that is known here, gets the text format 0.0.4: an unreadable answer is no use, and a refusal is none either.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from measurand.encoding import openmetrics, protobuf, text
from measurand.encoding.escaping import SCHEMES, UNDERSCORES
from measurand.encoding.text import CONTENT_TYPE_PLAIN_0_0_4, CONTENT_TYPE_PLAIN_1_0_0
from measurand.metrics.collecting import Gathering

__all__ = [
    "CONTENT_TYPE_LATEST",
    "CONTENT_TYPE_PLAIN_0_0_4",
    "CONTENT_TYPE_PLAIN_1_0_0",
    "Format",
    "choose",
    "choose_encoder",
    "gzip_accepted",
]

CONTENT_TYPE_LATEST = CONTENT_TYPE_PLAIN_1_0_0
"""The content type of what ``generate_latest()`` returns; 0.0.4 readers read it too."""


class Format(NamedTuple):
    """A chosen format.

    Attributes:
        encode: From a gathered snapshot to bytes.
        content_type: The value of the Content-Type header.
        generate: From a registry to bytes.
    """

    encode: Callable[[Gathering], bytes]
    content_type: str
    generate: Callable[[Any], bytes]


class _Offer(NamedTuple):
    media: str
    parameters: dict[str, str]
    quality: float


def _offers(header: str) -> list[_Offer]:
    """A header's alternatives, best first; equals keep their order. Quality zero, which no number at all counts as, is a refusal."""
    offers = []
    for part in header.split(","):
        media, *rest = part.split(";")
        pairs = [piece.partition("=") for piece in rest]
        parameters = {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            quality = 0.0
        if media.strip():
            offers.append(_Offer(media.strip().lower(), parameters, quality if quality > 0 else 0.0))
    return sorted(offers, key=lambda offer: -offer.quality)


def choose(accept: str | None) -> Format:
    """The format for an Accept header."""
    for offer in _offers(accept or ""):
        if not offer.quality:
            break
        version = offer.parameters.get("version", "")
        escaping = offer.parameters.get("escaping", UNDERSCORES)
        if escaping not in SCHEMES:
            escaping = UNDERSCORES
        if offer.media == "application/vnd.google.protobuf" and _is_of_families(offer.parameters):
            return Format(
                partial(protobuf.encode, escaping=escaping),
                f"{protobuf.CONTENT_TYPE}; escaping={escaping}",
                partial(protobuf.generate_latest, escaping=escaping),
            )
        if offer.media == "application/openmetrics-text" and version.partition(".")[0] in {"", "1"}:
            if not version:
                escaping = UNDERSCORES
            said = f"; escaping={escaping}" if version else ""
            return Format(
                partial(openmetrics.encode, escaping=escaping),
                openmetrics.CONTENT_TYPE + said,
                partial(openmetrics.generate_latest, escaping=escaping),
            )
        if offer.media == "text/plain" and version.partition(".")[0] == "1":
            content_type = f"{CONTENT_TYPE_PLAIN_1_0_0}; escaping={escaping}"
            return Format(partial(text.encode, escaping=escaping), content_type, partial(text.generate_latest, escaping=escaping))
        if offer.media in {"text/plain", "text/*", "*/*"}:
            break
    return Format(text.encode, CONTENT_TYPE_PLAIN_0_0_4, text.generate_latest)


def _is_of_families(parameters: dict[str, str]) -> bool:
    return parameters.get("proto") == "io.prometheus.client.MetricFamily" and parameters.get("encoding") == "delimited"


def choose_encoder(accept_header: str | None) -> tuple[Callable[[Any], bytes], str]:
    """The function that turns a registry into bytes, and the content type, for an Accept header."""
    chosen = choose(accept_header)
    return chosen.generate, chosen.content_type


def gzip_accepted(accept_encoding: str | None) -> bool:
    """Whether an Accept-Encoding header allows gzip."""
    quality = {offer.media: offer.quality for offer in reversed(_offers(accept_encoding or ""))}
    return quality.get("gzip", quality.get("*", 0.0)) > 0
