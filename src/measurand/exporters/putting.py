"""Calls of PutMetricData with boto3, and what their ends mean.

boto3 is asked for one attempt, and every end is one of four: the data have arrived, CloudWatch will never take them, it may take them
later, or nobody knows. From one thread at a time; a forked child has connections of its own.
"""

from __future__ import annotations

import os
import ssl
import threading
from importlib import import_module
from typing import Any

from measurand.encoding.cloudwatch import LARGEST_REQUEST
from measurand.errors import ConfigurationError, ExportFailed, MissingExtra

__all__ = ["Invalid", "NotNow", "Putter", "Unanswered"]

SHORTEST = 0.1
"""Seconds that a call always has."""

BEFORE_SENDING = "before-send.cloudwatch.PutMetricData"

CREDENTIALS = (
    "there are no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose a profile with AWS_PROFILE, or run with a role"
    " that may cloudwatch:PutMetricData"
)
REGION = "there is no AWS region; give CloudWatch region='eu-west-1', or set AWS_DEFAULT_REGION"

_INVALID = {
    *("InvalidParameterValue", "InvalidParameterValueException", "InvalidParameterCombination", "InvalidParameterCombinationException"),
    *("MissingParameter", "MissingRequiredParameter", "MissingRequiredParameterException", "InvalidFormat", "InvalidFormatFault"),
    *("ValidationError", "ValidationException", "SerializationException", "MalformedInput", "RequestEntityTooLarge"),
}
_CREDENTIAL_ERRORS = {
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound", "NoAuthTokenError"),
    *("TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError", "MetadataRetrievalError"),
}
_NEVER_SENT = {"EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError"}


class Invalid(ExportFailed):
    """CloudWatch does not take these data, and never will."""


class NotNow(ExportFailed):
    """The data have not been taken; later ones may be."""


class Unanswered(ExportFailed):
    """Nobody knows whether the data have been taken."""


class Putter:
    """Calls PutMetricData.

    Args:
        client: The client to use, or ``None`` for one made when it is needed.
        region: The region of that one.
        endpoint_url: Where that one sends.
        compress: Whether that one compresses.
        timeout: Seconds for a call of that one.

    Raises:
        ConfigurationError: The client repeats calls by itself.
    """

    def __init__(self, client: Any, *, region: str | None, endpoint_url: str | None, compress: bool, timeout: float) -> None:
        self._given = client
        self._region = region
        self._endpoint_url = endpoint_url
        self._compress = compress
        self._timeout = timeout
        self._session: Any = None
        self._clients: dict[float, Any] = {}
        self._pid = os.getpid()
        self._caller: int | None = None
        self._is_sent = False
        if client is not None:
            _check_retries(client)
            self._watch(client)

    def put(self, namespace: str, data: list[dict[str, Any]], seconds: float) -> None:
        """Send a request.

        Args:
            namespace: The namespace.
            data: The data.
            seconds: How long it may take.

        Raises:
            Invalid: They are not taken, or they are too many bytes.
            NotNow: They have not been taken.
            Unanswered: There is no answer.
        """
        self._caller, self._is_sent = threading.get_ident(), False
        try:
            self._client(seconds).put_metric_data(Namespace=namespace, MetricData=data)
        except (Invalid, NotNow):
            raise
        except Exception as reason:  # noqa: BLE001 - boto3's errors have no common root, and an answer may be anything
            raise self._meaning(reason) from None
        finally:
            self._caller = None

    def check(self) -> None:
        """Find a region and credentials, with a session of its own.

        Raises:
            ConfigurationError: There is none.
        """
        if self._given is not None:
            return
        session = _session()
        if not (self._region or session.region_name):
            raise ConfigurationError(REGION)
        try:
            found = session.get_credentials()
        except Exception as reason:  # noqa: BLE001 - see above
            raise ConfigurationError(f"{CREDENTIALS} ({_said(reason)})") from None
        if found is None:
            raise ConfigurationError(CREDENTIALS)

    def close(self) -> None:
        """Close the connections; a client that was given stays as it was."""
        if self._given is not None:
            self._given.meta.events.unregister(BEFORE_SENDING, self._before_sending, unique_id=self._watcher)
        clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()

    # -- clients -------------------------------------------------------------------------------------------------------------

    def _client(self, seconds: float) -> Any:
        """A client whose calls end in time: its timeouts cannot be changed, so there is one for each halving of the timeout."""
        if self._given is not None:
            return self._given
        if self._pid != os.getpid():
            self._pid, self._session, self._clients = os.getpid(), None, {}
        limit = self._timeout
        while limit > seconds and limit > SHORTEST:
            limit /= 2
        if limit not in self._clients:
            self._clients[limit] = self._made(limit)
        return self._clients[limit]

    def _made(self, limit: float) -> Any:
        if self._session is None:
            self._session = _session()
        if not (self._region or self._session.region_name):
            raise NotNow(REGION)
        config = import_module("botocore.config").Config(
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=max(limit / 2, SHORTEST / 2),
            read_timeout=max(limit / 2, SHORTEST / 2),
            max_pool_connections=1,
            disable_request_compression=not self._compress,
            user_agent_extra="measurand",
        )
        client = self._session.client("cloudwatch", region_name=self._region, endpoint_url=self._endpoint_url, config=config)
        self._watch(client)
        return client

    @property
    def _watcher(self) -> str:
        return f"measurand-{id(self)}"

    def _watch(self, client: Any) -> None:
        client.meta.events.register(BEFORE_SENDING, self._before_sending, unique_id=self._watcher)

    def _before_sending(self, request: Any, **_: Any) -> None:
        """A request of ours is about to be sent, as it is: the only moment at which its size is known."""
        if self._caller != threading.get_ident():  # somebody else's, of a client that was given
            return
        size = len(request.body or b"")
        if size > LARGEST_REQUEST:
            raise Invalid(f"its request has {size} bytes, and {LARGEST_REQUEST} is the limit")
        self._is_sent = True

    # -- ends ----------------------------------------------------------------------------------------------------------------

    def _meaning(self, reason: Exception) -> ExportFailed:
        """What an exception says of the request."""
        kind = type(reason).__name__
        response = getattr(reason, "response", None)
        if isinstance(response, dict) and "Error" in response:
            return _answer(response)
        if kind in _CREDENTIAL_ERRORS:
            return NotNow(f"{CREDENTIALS} ({_said(reason)})")
        if kind == "ParamValidationError":
            return Invalid(_said(reason))
        if not self._is_sent or kind in _NEVER_SENT or _is_distrusted(reason):
            return NotNow(f"CloudWatch cannot be reached: {_said(reason)}")
        return Unanswered(f"CloudWatch did not answer: {_said(reason)}")


def _answer(response: dict[str, Any]) -> ExportFailed:
    code = str(response["Error"].get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    message = f"CloudWatch answered {status} {code}: {' '.join(str(response['Error'].get('Message', '')).split())[:300]}"
    if code in _INVALID or status == 413:
        return Invalid(message)
    return NotNow(message)


def _is_distrusted(reason: BaseException | None) -> bool:
    """Whether the server's certificate was not trusted, and so nothing sent."""
    seen: set[int] = set()
    while reason is not None and id(reason) not in seen:
        if isinstance(reason, ssl.SSLCertVerificationError):
            return True
        seen.add(id(reason))
        arguments = getattr(reason, "kwargs", None)
        inner = arguments.get("error") if isinstance(arguments, dict) else getattr(reason, "reason", None)
        reason = inner if isinstance(inner, BaseException) else reason.__cause__ or reason.__context__
    return False


def _check_retries(client: Any) -> None:
    retries = getattr(client.meta.config, "retries", None) or {}
    if retries.get("total_max_attempts") != 1:
        raise ConfigurationError(
            "a client for CloudWatch must not repeat calls by itself, or a sum may count twice; make it with"
            " config=botocore.config.Config(retries={'total_max_attempts': 1})"
        )


def _session() -> Any:
    try:
        return import_module("boto3").session.Session()
    except ImportError:
        raise MissingExtra("boto3", "cloudwatch") from None


def _said(reason: BaseException) -> str:
    return " ".join(str(reason).split())[:300] or type(reason).__name__
