"""What exceptions are called in labels."""

import asyncio

import pytest

from measurand.catalog.failure import failure_name


class Cancelled(BaseException):
    """As trio calls its own."""


@pytest.mark.parametrize("exception", [asyncio.CancelledError(), Cancelled(), GeneratorExit()])
def test_what_was_given_up_is_one_word(exception: BaseException) -> None:
    assert failure_name(exception) == "cancelled"


def test_all_others_are_their_class() -> None:
    assert failure_name(ConnectionRefusedError(111, "10.0.0.1:6379")) == "ConnectionRefusedError"
    assert failure_name(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_a_group_of_one_is_that_one() -> None:
    assert failure_name(BaseExceptionGroup("", [asyncio.CancelledError()])) == "cancelled"
