"""Every exception that measurand raises.

::

    MeasurandError
    ├── DefinitionError(ValueError)       a metric cannot be defined as written
    │   ├── DuplicateTimeseries           another definition already owns the name
    │   └── RefusedByDomain               the domain's rules exclude the name or a label
    ├── LabelError(ValueError)            a call names labels that the metric does not have, or leaves some out
    ├── RecordingError(ValueError)        a value that the instrument cannot record
    ├── ConfigurationError(ValueError)    a setting cannot be used; the message says where it came from and what would do
    ├── AlreadyStarted(RuntimeError)      the runtime of this process has been started before and not stopped
    ├── ExportFailed(OSError)             metrics did not arrive at a destination
    ├── MissingExtra(ImportError)         an optional dependency is not installed, or too old; the message names the extra
    └── AlreadyImported(RuntimeError)     a substitution was asked for after the original had been imported

All of them are also instances of the built-in type that ``prometheus_client`` raises in the same situation, so that code
written against it catches what it always caught.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "AlreadyImported",
    "AlreadyStarted",
    "ConfigurationError",
    "DefinitionError",
    "DuplicateTimeseries",
    "ExportFailed",
    "LabelError",
    "MeasurandError",
    "MissingExtra",
    "RecordingError",
    "RefusedByDomain",
]


class MeasurandError(Exception):
    """The root of the tree; catch it to catch everything that this package raises."""


class DefinitionError(MeasurandError, ValueError):
    """A metric cannot be defined as written; nothing has been registered."""


class DuplicateTimeseries(DefinitionError):
    """Two definitions claim the same series name in one registry.

    Attributes:
        duplicates: The series names that both claim.
    """

    def __init__(self, duplicates: Iterable[str], message: str | None = None) -> None:
        self.duplicates: set[str] = set(duplicates)
        super().__init__(message or f"Duplicated timeseries in CollectorRegistry: {self.duplicates}")


class RefusedByDomain(DefinitionError):
    """A domain's rules exclude the metric's name or one of its labels."""


class LabelError(MeasurandError, ValueError):
    """Label names or values do not fit the metric that they were given to."""


class RecordingError(MeasurandError, ValueError):
    """The instrument cannot record this value, for example a counter a negative one."""


class ConfigurationError(MeasurandError, ValueError):
    """A setting, a name or a combination of settings cannot be used; nothing has been started."""


class AlreadyStarted(MeasurandError, RuntimeError):
    """One process has one runtime, and it has been started and not stopped."""


class ExportFailed(MeasurandError, OSError):
    """Metrics did not arrive at a destination, or a part of them did not.

    Args:
        message: What happened, in one line, without credentials.
        dropped: How many points were given up for good.
        retry_after: Seconds before which it makes no sense to try again; ``None`` for the next interval.
    """

    def __init__(self, message: str, *, dropped: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.dropped = dropped
        self.retry_after = retry_after


class MissingExtra(MeasurandError, ImportError):
    """An optional dependency is needed, and not installed or too old.

    Args:
        package: The distribution that is missing.
        extra: The extra of ``measurand`` that installs it.
        found: The version that is installed, if one is.
        floor: The oldest version that will do.
    """

    def __init__(self, package: str, extra: str, found: str = "", floor: str = "") -> None:
        if found:
            super().__init__(
                f"{package} {found} is installed, and {floor} or newer is needed; run: pip install --upgrade 'measurand[{extra}]'"
            )
        else:
            super().__init__(f"{package} is not installed; run: pip install 'measurand[{extra}]'")


class AlreadyImported(MeasurandError, RuntimeError):
    """A module was to be replaced, and other code already holds the original."""
