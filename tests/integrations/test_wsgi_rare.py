"""What is recorded of requests that do not simply end with a response."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from measurand.integrations.wsgi_rare import Rare, SizedBody, number

pytestmark = pytest.mark.once


def rare(**known: object) -> Rare:
    made = Rare()
    for name, value in known.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("known", "status_line", "is_begun", "failure", "outcome"),
    [
        ({}, "200 OK", True, None, (200, None)),
        ({}, "200 OK", False, None, (200, None)),
        ({}, "404 Not Found", True, "Ignored", (404, None)),
        ({}, "503 Sorry", True, None, (503, None)),
        ({}, "500 Oh", True, "LookupError", (500, "LookupError")),
        ({}, "", False, None, (500, "incomplete_response")),
        ({"raised": ValueError()}, "200 OK", True, None, (200, "ValueError")),
        ({"raised": ValueError()}, "200 OK", False, None, (500, "ValueError")),
        ({"raised": ValueError()}, "", False, "LookupError", (500, "ValueError")),
        ({"raised": ExceptionGroup("one", [ValueError()])}, "", False, None, (500, "ValueError")),
        ({"raised": SystemExit()}, "200 OK", False, None, (503, "cancelled")),
        ({"raised": SystemExit()}, "200 OK", True, None, (200, "cancelled")),
        ({"has_left": True}, "200 OK", True, None, (200, None)),
        ({"has_left": True}, "200 OK", False, None, (499, None)),
        ({"is_cut": True, "is_unanswered": True}, "400 Bad", True, None, (499, None)),
        ({"is_cut": True}, "200 OK", True, None, (200, None)),
        ({"is_cut": True, "raised": ValueError()}, "200 OK", False, None, (499, None)),
        ({"has_left": True, "raised": OSError()}, "", False, None, (499, None)),
    ],
)
def test_the_outcome_is_what_the_table_says(
    known: dict[str, object], status_line: str, is_begun: bool, failure: str | None, outcome: tuple[int, str | None]
) -> None:
    assert rare(**known).outcome(status_line, is_begun, failure) == outcome


def test_a_client_that_is_cut_off_before_the_response_is_unanswered() -> None:
    before, after = rare(), rare(first=1.0)
    for each in (before, after):
        each.note_received(10, False)
        assert (each.received, each.is_disconnected, each.is_unanswered) == (10, False, False)
        each.note_received(12, True)
        assert (each.received, each.is_disconnected) == (12, True)
    assert (before.is_unanswered, after.is_unanswered) == (True, False)


def test_a_server_that_reads_less_than_it_was_asked_for_and_goes_on_has_its_client() -> None:
    each = rare()
    each.note_received(5, True)
    each.note_received(20, False)
    assert (each.received, each.is_disconnected, each.is_unanswered) == (20, False, False)


@pytest.mark.parametrize(("text", "value"), [("200", 200), ("12 ", 12), ("", -1), (None, -1), ("2x0", -1), ("²", -1), ("9" * 5000, -1)])
def test_what_is_no_number_is_less_than_zero(text: str | None, value: int) -> None:
    assert number(text) == value


def test_a_body_with_a_length_has_it_and_is_closed() -> None:
    class Watched:
        closed = 0

        def __iter__(self) -> Iterator[bytes]:
            return iter([b"one", b"two"])

        def close(self) -> None:
            self.closed += 1

    watched = Watched()
    body = SizedBody(watched, (b"one", b"two"))
    assert (len(body), list(body), watched.closed) == (2, [b"one", b"two"], 0)
    body.close()
    assert watched.closed == 1
