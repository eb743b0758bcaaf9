"""The other library's choice of how values are kept: taken, and without effect."""

from __future__ import annotations

from measurand.compat import values
from measurand.core import Exemplar


def test_a_value_is_a_number_and_an_exemplar() -> None:
    value = values.get_value_class()("counter", "name", "name_total", (), (), "")
    value.inc(2)
    value.inc(0.5)
    assert (value.get(), value.get_exemplar()) == (2.5, None)
    value.set(1, timestamp=3.0)
    value.set_exemplar(Exemplar({"trace": "a"}, 1.0))
    assert (value.get(), value.get_exemplar()) == (1, Exemplar({"trace": "a"}, 1.0))


def test_whatever_tells_processes_apart_the_class_is_the_same() -> None:
    assert values.MultiProcessValue() is values.MultiProcessValue(lambda: "worker 1") is values.ValueClass is values.MutexValue
    assert values.MutexValue().get() == 0
    values.close_all_multiprocess_files()
