"""What an encoder or exporter reads: metric families, copied from the cells or taken from collectors.

Two shapes with one face: a :class:`CellFamily` holds one instrument's frozen cells and is what the fast paths work on; a
:class:`SampleFamily` holds ready samples. Both give ``name``, ``documentation``, ``type``, ``unit`` and ``samples()``, and both include
the registry's common labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from measurand.core import Exemplar, Frozen, format_number
from measurand.metrics.sample import Sample

if TYPE_CHECKING:
    from measurand.metrics.definition import Definition

__all__ = ["CellFamily", "Family", "SampleFamily", "Snapshot", "bound_text", "name_of", "restricted"]


def bound_text(bound: float) -> str:
    """A bucket's upper bound as the value of its ``le`` label."""
    return format_number(float(bound))


@dataclass(slots=True)
class CellFamily:
    """One instrument's series at one moment.

    Attributes:
        definition: What was defined.
        frozen: The rows: label values and numbers.
        common: Labels that the registry adds to every series, none of them among the instrument's own.
        with_created: Whether ``_created`` samples are exposed.
        is_resolved: Whether the values of callbacks are in their rows.
        is_combined: Whether the rows are several processes', of which no one time of creation is known.
    """

    definition: Definition
    frozen: Frozen
    common: Mapping[str, str] = field(default_factory=dict)
    with_created: bool = False
    is_resolved: bool = False
    is_combined: bool = False

    @property
    def name(self) -> str:
        """The family's name, without a counter's ``_total``."""
        return self.definition.name

    @property
    def documentation(self) -> str:
        """What the metric means."""
        return self.definition.documentation

    @property
    def type(self) -> str:
        """The metric's type."""
        return self.definition.type

    @property
    def unit(self) -> str:
        """The unit, or an empty string."""
        return self.definition.unit

    def lines(self) -> list[tuple[str, tuple[str, str] | None, int, int]]:
        """The samples of one row: name suffix, label of its own, index in the row (-1: created), place of its exemplar (-1: none).

        The place of an exemplar is its cell; in a native histogram, which has several cells to a bucket, see :meth:`shown`.
        """
        type_, created = self.definition.type, [("_created", None, -1, -1)] if self.with_created else []
        if type_ == "counter":
            return [("_total", None, 0, 0), *created]
        if type_ == "summary":
            return [("_count", None, 0, -1), ("_sum", None, 1, -1), *created]
        if type_ == "histogram":
            bounds = (*self.definition.bounds, inf)
            native = self.definition.native
            ends = native.ends if native is not None else range(len(bounds))  # whose cumulative counts are the buckets'
            places = enumerate(zip(bounds, ends, strict=True))
            buckets = [("_bucket", ("le", bound_text(bound)), end, index) for index, (bound, end) in places]
            total = [("_sum", None, ends[-1] + 1, -1)] if bounds[0] >= 0 else []  # a sum that can fall is not a counter
            return [*buckets, ("_count", None, ends[-1], -1), *total, *created]
        return [("", None, 0, -1)]

    def shown(self, exemplars: Mapping[int, Exemplar]) -> Mapping[int, Exemplar]:
        """Exemplars by cell as those that lines show, by their places: of a native histogram's buckets the newest each."""
        native = self.definition.native
        return exemplars if native is None or not exemplars else native.classic_exemplars(exemplars)

    def resolve(self) -> CellFamily:
        """Put the values of callbacks into their rows, once; what a callback raises passes through."""
        if not self.is_resolved:
            for row, callback in self.frozen.payloads():
                self.frozen.put(row, float(callback()))
            self.is_resolved = True
        return self

    def samples(self) -> list[Sample]:
        """All samples, in the order of exposition."""
        result = []
        lines = [(self.name + suffix, own, index, cell) for suffix, own, index, cell in self.lines()]
        exemplars = dict(self.frozen.exemplars())
        created = self.frozen.created() if self.with_created else []
        labelnames = self.definition.labelnames
        for row, (values, numbers) in enumerate(self.frozen.rows()):
            labels = {**dict(zip(labelnames, values, strict=False)), **self.common}
            known = self.shown(exemplars.get(row, {}))
            for name, own, index, cell in lines:
                value = numbers[index] if index >= 0 else created[row]
                result.append(Sample(name, {**labels, own[0]: own[1]} if own else dict(labels), value, None, known.get(cell)))
        return result


@dataclass(slots=True)
class SampleFamily:
    """A family of ready samples, from a custom collector or from an instrument whose samples are not plain numbers.

    Attributes:
        name: The family's name, without a counter's ``_total``.
        documentation: What the metric means.
        type: One of ``families.METRIC_TYPES``.
        unit: The unit, or an empty string.
        content: The samples.
        cells: What they were made from, if that is known: samples are not all that there is to a native histogram.
    """

    name: str
    documentation: str
    type: str
    unit: str
    content: Sequence[Sample]
    cells: CellFamily | None = None

    def samples(self) -> Sequence[Sample]:
        """All samples, in the order of exposition."""
        return self.content

    def with_labels(self, common: Mapping[str, str]) -> SampleFamily:
        """The same family with ``common`` added to each sample that does not have the label itself."""
        if not common:
            return self
        content = [sample._replace(labels={**common, **sample.labels}) for sample in self.content]
        return SampleFamily(self.name, self.documentation, self.type, self.unit, content)


Family = CellFamily | SampleFamily
Snapshot = Sequence[Family]


def restricted(family: Family, names: frozenset[str]) -> SampleFamily | None:
    """The family with only the samples of these names, or ``None`` if it has none of them."""
    content = [sample for sample in family.samples() if name_of(sample) in names]
    return SampleFamily(family.name, family.documentation, family.type, family.unit, content) if content else None


def name_of(sample: object) -> str | None:
    """A sample's name; ``None`` if a custom collector yielded something else."""
    name = getattr(sample, "name", None)
    return name if isinstance(name, str) else None
