"""Whose turn it is, and what is known of the turns of others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from measurand.lifecycle.turns import Turns
from tests.metrics.test_leading import run

pytestmark = pytest.mark.once

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


@pytest.mark.parametrize("per_process", [False, True])
def test_a_process_that_is_alone_takes_every_turn(per_process: bool) -> None:
    turns = Turns("alone", per_process=per_process)
    assert turns.are_ours()
    turns.give_up()
    assert turns.are_ours()


@needs_fork
def test_what_the_leader_did_is_known_to_all_and_forgotten_by_the_last(tmp_path: Path) -> None:
    run(
        tmp_path / "families",
        """
from measurand.lifecycle.turns import Done, Turns
Counter("a", "d")
turns = Turns("one")
assert turns.are_ours() and turns.done() is None
turns.note(turn=1.0)
assert turns.done() is None, "alone, nothing is noted"
def body():
    theirs = Turns("one")
    assert not theirs.are_ours() and theirs.done() is None
    assert Turns("one", per_process=True).are_ours()
child = Child(body)
assert turns.are_ours()
turns.note(turn=7.5)
assert turns.done() == Done(7.5, 0.0)
turns.note(success=8.0)
assert turns.done() == Done(7.5, 8.0)
def second():
    theirs = Turns("one")
    assert theirs.done() == Done(7.5, 8.0) and not theirs.are_ours()
    turns.give_up()  # the parent's, of which a child has nothing to give up
    assert theirs.done() == Done(7.5, 8.0)
other = Child(second)
assert turns.are_ours()
turns.give_up()
assert turns.done() == Done(7.5, 8.0), "others go on"
other.end()
child.end()
assert turns.are_ours()
turns.give_up()
assert turns.done() is None
""",
    )
