"""What a process removes for itself alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from measurand import CollectorRegistry, Gauge
from measurand.metrics.here import clear_here, remove_here
from tests.metrics.test_leading import run

pytestmark = pytest.mark.once


def test_alone_it_is_what_the_methods_do() -> None:
    registry = CollectorRegistry()
    gauge = Gauge("a", "d", ["k"], registry=registry)
    for key in "xyz":
        gauge.labels(key).set(1)
    remove_here(gauge, "x")
    assert [registry.get_sample_value("a", {"k": key}) for key in "xyz"] == [None, 1, 1]
    clear_here(gauge)
    assert [registry.get_sample_value("a", {"k": key}) for key in "xyz"] == [None] * 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_what_others_show_stays(tmp_path: Path) -> None:
    run(
        tmp_path / "families",
        """
from measurand.metrics.here import clear_here, remove_here
G = Gauge("a", "d", ["k"], multiprocess_mode="livemin")
G.labels("x").set(1)
G.labels("y").set(1)
child = Child(lambda: (G.labels("x").set(5), G.labels("y").set(5)))
assert (value("a", k="x"), value("a", k="y")) == (1, 1)
remove_here(G, "x")
assert (value("a", k="x"), value("a", k="y")) == (5, 1)
clear_here(G)
assert (value("a", k="x"), value("a", k="y")) == (5, 5)
child.end()
""",
    )
