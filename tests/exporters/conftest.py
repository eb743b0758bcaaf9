"""What suites of several destinations share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from measurand.metrics import shared
from tests.exporters.cloudwatch_stand_in import CloudWatchStandIn
from tests.servers.emulators import CloudWatchEmulator


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of the tests is alone, whatever other suites have forked: it finds no notes of an earlier delivery of the same name."""
    monkeypatch.setattr(shared, "meeting_place", lambda: None)


@pytest.fixture
def aws_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Those of the tests, and no others."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def stand_in(cloudwatch: CloudWatchEmulator) -> Iterator[CloudWatchStandIn]:
    with CloudWatchStandIn(cloudwatch.url) as running:
        yield running
