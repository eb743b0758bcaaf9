"""Settings: where they come from, what they may be, and what is said when they are not."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from measurand.config import Config, Settings, checked, unknown_variables, variable
from measurand.errors import ConfigurationError

pytestmark = pytest.mark.once


def read(environ: dict[str, str] | None = None, **arguments: Any) -> Config:
    return Config.read(arguments, environ or {})


def test_everything_has_a_default() -> None:
    config = read()
    assert (config.service, config.environment, config.version) == ("unknown_service", "development", "unknown")
    assert config.labels == {"service": "unknown_service", "environment": "development"}
    assert config.management is config.token is config.state_directory is None
    assert config.request_buckets == (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
    assert {config.origin(name) for name in config.origins} == {"default"}


@pytest.mark.parametrize(
    ("environ", "arguments", "service", "origin"),
    [
        ({"SERVICE_NAME": "c", "MEASURAND_SERVICE": "b"}, {"service": "a"}, "a", "argument"),
        ({"SERVICE_NAME": "c", "MEASURAND_SERVICE": "b"}, {}, "b", "MEASURAND_SERVICE"),
        ({"SERVICE_NAME": "c"}, {}, "c", "SERVICE_NAME"),
        ({"SERVICE_NAME": "c"}, {"service": None}, "c", "SERVICE_NAME"),
        ({"SERVICE_NAME": "", "MEASURAND_SERVICE": ""}, {}, "unknown_service", "default"),
    ],
)
def test_a_value_comes_from_the_nearest_place_and_says_which(environ: Any, arguments: Any, service: str, origin: str) -> None:
    config = read(environ, **arguments)
    assert config.service == service
    assert config.origin("service") == origin


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("environment", " production ", "production"),
        ("common_labels", "team=parts, zone=eu", {"team": "parts", "zone": "eu"}),
        ("common_labels", "", {}),
        ("metrics_path", "/metrics", "/metrics"),
        ("probe_aliases", "no", False),
        ("body_sizes", "1", True),
        ("details", "always", "always"),
        ("token", "s3cret", "s3cret"),
        ("management", "9100", ("127.0.0.1", 9100)),
        ("management", ":9100", ("127.0.0.1", 9100)),
        ("management", "0.0.0.0:0", ("0.0.0.0", 0)),
        ("management", "[::1]:9100", ("::1", 9100)),
        ("management", "metrics.internal:9100", ("metrics.internal", 9100)),
        ("drain_delay", "0", 0.0),
        ("shutdown_budget", "12.5", 12.5),
        ("request_buckets", "0.1, 0.5,2", (0.1, 0.5, 2.0)),
        ("max_endpoints", "20", 20),
        ("excluded_paths", "/favicon.ico,/static", frozenset({"/favicon.ico", "/static"})),
        ("state_directory", "/var/lib/shop", Path("/var/lib/shop")),
    ],
)
def test_text_from_the_environment_becomes_what_the_setting_is(name: str, text: str, value: Any) -> None:
    config = read({f"MEASURAND_{name.upper()}": text})
    assert getattr(config, name) == value
    assert config.origin(name) == f"MEASURAND_{name.upper()}"


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        ("common_labels", {}, {}),
        ("common_labels", {"team": "parts"}, {"team": "parts"}),
        ("management", 9100, ("127.0.0.1", 9100)),
        ("management", ("::1", 9100), ("::1", 9100)),
        ("drain_delay", 2, 2.0),
        ("request_buckets", [1, 2], (1.0, 2.0)),
        ("excluded_paths", ["/favicon.ico"], frozenset({"/favicon.ico"})),
        ("probe_aliases", False, False),
        ("state_directory", Path("/var/lib/shop"), Path("/var/lib/shop")),
    ],
)
def test_arguments_may_have_the_natural_type(name: str, argument: Any, value: Any) -> None:
    assert getattr(read(**{name: argument}), name) == value


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("service", "  ", "must be text that is not empty"),
        ("drain_delay", "5s", "MEASURAND_DRAIN_DELAY is '5s', but must be seconds, as a number from 0 such as 5 or 2.5"),
        ("drain_delay", "-1", "a number from 0"),
        ("drain_delay", "nan", "a number from 0"),
        ("shutdown_budget", "inf", "a number above 0"),
        ("poll_interval", "0", "a number above 0"),
        ("max_endpoints", "0", "a whole number from 1"),
        ("max_endpoints", "many", "a whole number from 1"),
        ("probe_aliases", "maybe", "1 or 0"),
        ("metrics_path", "metrics", "a path such as /v1/metrics"),
        ("metrics_path", "/a?b", "a path such as /v1/metrics"),
        ("request_buckets", "1,1", "rising upper bounds in seconds"),
        ("request_buckets", "0,1", "rising upper bounds in seconds"),
        ("request_buckets", "1,fast", "rising upper bounds in seconds"),
        ("common_labels", "team", "labels such as team=parts"),
        ("common_labels", "__name=x", "labels such as team=parts"),
        ("details", "sometimes", "never or authorized or always"),
        ("management", "localhost", "a port, or host:port"),
        ("management", "localhost:70000", "a port, or host:port"),
        ("management", "::1:9100", "a port, or host:port"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_what_would(name: str, text: str, message: str) -> None:
    variable = f"MEASURAND_{name.upper()}"
    with pytest.raises(ConfigurationError) as caught:
        read({variable: text})
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{variable} is {text!r}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("request_buckets", "^request_buckets is 5, but must be rising upper bounds in seconds"),
        ("excluded_paths", "^excluded_paths is 5, but must be paths such as /favicon.ico,/static$"),
        ("common_labels", "^common_labels is 5, but must be labels such as team=parts"),
        ("exporters", "^exporters must be addresses with spaces between them"),
    ],
)
def test_one_number_is_no_list(name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(**{name: 5})


def test_arguments_can_be_checked_alone() -> None:
    assert checked({"management": "9100", "drain_delay": "2", "token": None}) == {"management": ("127.0.0.1", 9100), "drain_delay": 2}
    with pytest.raises(ConfigurationError, match=r"^drain_delay is 'soon', but must be seconds"):
        checked({"drain_delay": "soon"})


def test_a_wrong_argument_is_called_by_its_name() -> None:
    with pytest.raises(ConfigurationError, match=r"^max_endpoints is 2\.5, but must be a whole number from 1$"):
        read(max_endpoints=2.5)


@pytest.mark.parametrize("token", ["two words", "schlüssel", "line\nbreak"])
def test_a_wrong_token_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^MEASURAND_TOKEN must be printable ASCII") as caught:
        read({"MEASURAND_TOKEN": token})
    assert token not in str(caught.value)


def test_a_delay_that_uses_up_the_budget_is_refused_with_both_origins() -> None:
    with pytest.raises(ConfigurationError, match=r"drain_delay \(30 s, argument\) .* shutdown_budget \(30 s, default\)"):
        read(drain_delay=30)


def test_details_for_the_authorized_need_a_token() -> None:
    with pytest.raises(ConfigurationError, match=r"set token \(MEASURAND_TOKEN\)"):
        read(details="authorized")
    assert read(details="authorized", token="t").details == "authorized"


@pytest.mark.parametrize(
    ("environ", "directory", "origin"),
    [
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "HOME": "/home/u"}, "/var/lib/a", "STATE_DIRECTORY"),
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/u"}, "/state/measurand", "XDG_STATE_HOME"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/home/u"}, "/home/u/.local/state/measurand", "default"),
    ],
)
def test_the_state_stands_where_services_keep_theirs(environ: dict[str, str], directory: str, origin: str) -> None:
    config = read(environ)
    assert config.state_directory == Path(directory)
    assert config.origin("state_directory") == origin


def test_the_description_shows_values_and_origins_and_no_secret() -> None:
    lines = read({"MEASURAND_TOKEN": "s3cret", "SERVICE_NAME": "shop"}, drain_delay=2).describe()
    assert "service = shop (SERVICE_NAME)" in lines
    assert "drain_delay = 2.0 (argument)" in lines
    assert "token = (set) (MEASURAND_TOKEN)" in lines
    assert "s3cret" not in "".join(lines)


def test_misspelt_variables_are_noticed() -> None:
    environ = {"MEASURAND_DRAIN_DELY": "5", "MEASURAND_PURE": "1", "MEASURAND_SERVICE": "a", "MEASURAND_XYZ": "", "PATH": "/bin"}
    environ["MEASURAND_FAMILY_DIR"] = "/run/shop"  # read where processes meet
    assert unknown_variables(environ) == [
        "MEASURAND_DRAIN_DELY is not a setting; is MEASURAND_DRAIN_DELAY meant?",
        "MEASURAND_XYZ is not a setting",
    ]


def test_every_setting_is_described() -> None:
    described = inspect.getdoc(Config) or ""
    assert [name for name in read().origins if f"\n    {name}: " not in described] == []


def test_every_setting_can_be_passed_by_name() -> None:
    assert {"service", "environment", "version", "exporters", *Settings.__annotations__} == read().origins.keys()


def test_exporters_are_addresses_with_spaces_between_them_and_not_shown() -> None:
    config = read({"MEASURAND_EXPORTERS": " console: pushgateway+http://user:hunter2@gateway:9091/?job=a,b\n"})
    assert config.exporters == ("console:", "pushgateway+http://user:hunter2@gateway:9091/?job=a,b")
    assert "exporters = (set) (MEASURAND_EXPORTERS)" in config.describe()
    with pytest.raises(ConfigurationError, match="MEASURAND_EXPORTERS must be addresses with spaces between them") as caught:
        read({"MEASURAND_EXPORTERS": "//user:hunter2@gateway:9091, console"})
    assert "hunter2" not in str(caught.value)


def test_one_variable_can_be_asked_for_alone() -> None:
    assert variable("token", {"MEASURAND_TOKEN": "s3cret"}) == "s3cret"
    assert variable("token", {"MEASURAND_TOKEN": ""}) is variable("token", {}) is None
