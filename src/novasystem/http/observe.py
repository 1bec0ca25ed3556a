"""What is seen of every request: an id, one log line, and the figures at ``/metrics``."""

import re
import secrets
import time

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from novasystem.http.errors import answer_error
from novasystem.unexpected import as_nova_error

__all__ = ["Metrics", "Observe"]

_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}\Z")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_QUIET = {"/health", "/ready", "/metrics"}

# Of every answer: its type is as said, and where it is shown as a page, nothing in it runs.
_SAFE = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
_STRICT = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")

_log = structlog.get_logger("novasystem.access")


class Metrics:
    """The figures of one application; a registry of its own, so that two may live in a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "nova_requests",
            "Requests, by endpoint, method and status code.",
            ("endpoint", "method", "status"),
            registry=self.registry,
        )
        self.errors = Counter(
            "nova_errors",
            "Errors by endpoint and code, those after the start of a stream included.",
            ("endpoint", "code"),
            registry=self.registry,
        )
        self.duration = Histogram(
            "nova_request_duration_seconds",
            "From the request's head to the last byte of the answer.",
            ("endpoint",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.first_byte = Histogram(
            "nova_time_to_first_byte_seconds",
            "From the request's head to the first byte of the answer's body.",
            ("endpoint",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.open_streams = Gauge(
            "nova_open_streams", "Streams that are open now.", registry=self.registry
        )
        # Finding a series by its labels costs several times what counting does.
        self._counted: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._first: dict[str, Histogram] = {}

    def note(self, endpoint: str, method: str, status: int, duration_s: float) -> None:
        """Count one request; ``status`` 0 is that of a client that left before an answer."""
        series = self._counted.get((endpoint, method, status))
        if series is None:
            series = self._counted[endpoint, method, status] = (
                self.requests.labels(endpoint, method, str(status) if status else "left"),
                self.duration.labels(endpoint),
            )
        series[0].inc()
        series[1].observe(duration_s)

    def note_first_byte(self, endpoint: str, after_s: float) -> None:
        series = self._first.get(endpoint)
        if series is None:
            series = self._first[endpoint] = self.first_byte.labels(endpoint)
        series.observe(after_s)


class Observe:
    """ASGI middleware, the outermost of ours: sees what all others answer."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        _without_prefix(scope)
        request_id = _request_id(scope)
        scope["nova.request_id"] = request_id.decode()
        status = 0
        first_byte = 0.0

        async def observed(message: Message) -> None:
            nonlocal status, first_byte
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], (b"x-request-id", request_id), *_SAFE]
                if not any(name == b"content-security-policy" for name, _ in headers):
                    headers.append(_STRICT)
                message["headers"] = headers
            elif not first_byte and message.get("body"):
                first_byte = time.perf_counter()
            await send(message)

        # Each request is a task of its own: what is bound here ends with it.
        structlog.contextvars.bind_contextvars(request_id=request_id.decode())
        try:
            await self._app(scope, receive, observed)
        except ClientDisconnect:
            pass  # It left while it was still sending its body.
        except Exception as error:
            said = as_nova_error(error)
            scope["nova.error_code"] = said.code
            if status:
                raise  # A half-sent answer can only be cut off.
            await answer_error(scope, said)(scope, receive, observed)
        finally:
            self._note(scope, status, started, first_byte)

    def _note(self, scope: Scope, status: int, started: float, first_byte: float) -> None:
        now = time.perf_counter()
        route = scope.get("route")
        # Not the path as asked: whoever scans for paths must not make a series of each.
        endpoint = getattr(route, "path", "unmatched")
        code = scope.get("nova.error_code")
        self._metrics.note(endpoint, scope["method"], status, now - started)
        if first_byte:
            self._metrics.note_first_byte(endpoint, first_byte - started)
        if code:
            self._metrics.errors.labels(endpoint, code).inc()
        level = "debug" if scope["path"] in _QUIET else "info"
        getattr(_log, level)(
            "request",
            method=scope["method"],
            path=scope["path"][:200],
            status=status or None,
            ms=round((now - started) * 1000, 2),
            **({"error_code": code} if code else {}),
            **scope.get("nova.log", {}),
        )


def _without_prefix(scope: Scope) -> None:
    """A proxy may leave its prefix in the path or take it out: from here on it is out."""
    root_path = scope.get("root_path", "")
    if root_path and scope["path"].startswith(f"{root_path}/"):
        scope["path"] = scope["path"][len(root_path) :]


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ID.match(value):
            given: bytes = value
            return given
    return secrets.token_hex(8).encode()
