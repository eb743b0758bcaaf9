"""Tools for testing programs that record metrics.

With pytest installed, the fixtures ``metrics`` and ``metrics_clock`` are there without any configuration; see
:mod:`measurand.testing.plugin`. Without pytest, use
:class:`~measurand.testing.readings.Readings` and :class:`~measurand.testing.clock.FakeClock` directly. When a test needs nothing but
"this function
returns the right number", test the function: a metric is worth a test where its name, its labels or the moment of recording can go wrong.
"""
