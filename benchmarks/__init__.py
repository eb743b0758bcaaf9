"""Measures measurand beside its peers, in one run, and writes what it found to ``benchmarks/RESULTS.md``.

``python -m benchmarks`` runs everything, ``--quick`` a rough version in under a minute, ``--only NAME`` (repeatable) one library,
one benchmark or one group; with ``--refresh`` its tables take the place of those in ``RESULTS.md``, and say that they are from a run of
their own. ``python -m benchmarks.check`` is what a shared machine can hold of it: counts, and ratios with a wide margin.

How it works, so that the figures can be judged:

* :mod:`benchmarks.suite` lists the benchmarks, :mod:`benchmarks.adapters` the libraries. Adding a library is one file there.
* Each figure is taken by :mod:`benchmarks.worker` in a fresh process per library, benchmark and round, so that libraries cannot
  disturb each other and the layout of one process's memory decides nothing.
* Rounds go round the libraries (A B C, A B C, …). A ratio is taken within a round, where both sides saw the same weather; then the
  median is taken over the rounds.
"""
