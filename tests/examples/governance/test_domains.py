"""Governance and operational metrics cannot be defined in each other's place; each test is one half of the wall."""

from __future__ import annotations

import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.governance.domains import GOVERNANCE, PREFIX, everything_but
from measurand import OPERATIONAL, Counter, Gauge, Histogram
from measurand.errors import RefusedByDomain

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", ["governance_planted_total", "governance_planted"])
def test_the_operational_domain_refuses_governance_names_at_their_definition(name):
    with pytest.raises(
        RefusedByDomain, match=r"governance_planted.* \(defined at .*test_domains\.py:\d+\) is refused by the domain 'operational'"
    ):
        Counter(name, "Planted")
    assert OPERATIONAL.find("governance_planted_total") is None


@pytest.mark.parametrize("label", ["act", "article", "halt_cause", "refusal", "voter", "witness"])
def test_the_operational_domain_refuses_governance_labels_and_persons(label):
    with pytest.raises(RefusedByDomain, match=f"the label '{label}'.*'operational'"):
        Gauge("planted_gauge", "Planted", ["target", label])


@pytest.mark.parametrize(
    "name",
    [
        "http_requests_total",
        "uptime_seconds",
        "event_store_append_duration_seconds",
        "measurand_series",
        "g",
        "governanc_x",
        "governance",
        "Governance_x",
    ],
)
def test_the_governance_domain_refuses_every_name_that_is_not_its_own(name):
    with pytest.raises(RefusedByDomain, match="'governance'"):
        Histogram(name, "Planted", registry=GOVERNANCE)


@pytest.mark.parametrize("label", ["method", "endpoint", "status", "error_type", "transport", "actor", "witness"])
def test_the_governance_domain_refuses_operational_labels_and_persons(label):
    with pytest.raises(RefusedByDomain, match=f"the label '{label}'.*'governance'"):
        Counter("governance_planted_total", "Planted", [label], registry=GOVERNANCE)


@given(st.text(alphabet="governac_x[!]*?", max_size=14))
def test_the_patterns_match_a_name_if_and_only_if_it_begins_otherwise(name: str):
    assert any(fnmatchcase(name, pattern) for pattern in everything_but(PREFIX)) is not name.startswith(PREFIX)


def test_a_service_with_a_metric_on_the_wrong_side_does_not_even_import(tmp_path: Path):
    planted = shutil.copytree(ROOT / "examples" / "governance", tmp_path / "planted")
    source = (planted / "observer.py").read_text()
    (planted / "observer.py").write_text(source.replace("registry=GOVERNANCE,", "", 1))
    done = subprocess.run([sys.executable, "-c", "import planted.observer"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "RefusedByDomain: governance_breaches" in done.stderr
