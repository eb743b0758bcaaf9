"""Figures of a whole run, and what is computed from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median, quantiles

__all__ = ["Results"]

Figures = dict[str, float]


@dataclass(slots=True)
class Results:
    """Everything that was measured.

    Attributes:
        machine: Facts of machine and run, by name.
        versions: Versions by library.
        titles: Column headings by library, in order.
        remarks: Remarks by library and benchmark.
        loads: The load average after each benchmark.
        work: Seconds that a fixed piece of work took before each round.
        seconds: What the run took.
        sittings: How often it was taken up again; what is compared is always measured within one.
        rounds: By benchmark and library, each round's figures; ``None`` where there is no equivalent, an empty dictionary where it failed.
    """

    machine: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, dict[str, str]] = field(default_factory=dict)
    loads: list[float] = field(default_factory=list)
    work: list[float] = field(default_factory=list)
    seconds: float = 0.0
    sittings: int = 0
    rounds: dict[str, dict[str, list[Figures | None]]] = field(default_factory=dict)

    def add(self, benchmark: str, library: str, figures: Figures | None) -> None:
        """Keep one round."""
        self.rounds.setdefault(benchmark, {}).setdefault(library, []).append(figures)

    def has(self, benchmark: str) -> bool:
        """Whether any library has a figure of this benchmark."""
        return any(figures for rounds in self.rounds.get(benchmark, {}).values() for figures in rounds)

    def values(self, benchmark: str, library: str, figure: str) -> list[float | None]:
        """One figure in each round; ``None`` where there is none."""
        return [figures.get(figure) if figures else None for figures in self.rounds.get(benchmark, {}).get(library, [])]

    def typical(self, benchmark: str, library: str, figure: str) -> float | None:
        """The median over the rounds."""
        known = [value for value in self.values(benchmark, library, figure) if value is not None]
        return median(known) if known else None

    def worst(self, benchmark: str, library: str, figure: str) -> float | None:
        """The greatest over the rounds."""
        return max((value for value in self.values(benchmark, library, figure) if value is not None), default=None)

    def failed(self, benchmark: str, library: str) -> bool:
        """Whether a round ended in an error."""
        return any(figures == {} for figures in self.rounds.get(benchmark, {}).get(library, []))

    def ratio(self, benchmark: str, upper: str, lower: str, figure: str, lower_figure: str | None = None) -> float | None:
        """How many times ``lower``'s figure ``upper``'s is: taken in each round, then the median over the rounds."""
        pairs = zip(self.values(benchmark, upper, figure), self.values(benchmark, lower, lower_figure or figure), strict=False)
        ratios = [above / below for above, below in pairs if above is not None and below]
        return median(ratios) if ratios else None

    def spread(self, benchmark: str, library: str, figure: str) -> float | None:
        """The middle half of the rounds, as a share of the median."""
        known = [value for value in self.values(benchmark, library, figure) if value is not None]
        if len(known) < 3:
            return None
        low, middle, high = quantiles(known, n=4, method="inclusive")
        return (high - low) / middle if middle else None
