"""Which route took a request: from what a router leaves in the scope to the route's template, prefixes of mounts and routers included.

Routers say which endpoint they chose and which route it belongs to, but not under what the route is mounted: ``root_path`` holds the text
that matched there, and under FastAPI's ``include_router`` a route does not even know its own prefix. So the routes of an application are
walked once, at the first request, and every endpoint's full template is kept: a look-up from then on, however many routes there are. An
endpoint that stands under several templates is told apart by matching the path with these alone.

Nothing here relies on a framework's internals being there: what cannot be read is left out, and then the route's own template has to
do. What comes out is a template or nothing, never a path. Not for use by several threads at the same moment.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from measurand.integrations.asgi_inner import INNER

__all__ = ["RouteTemplates"]

MOST = 20_000
"""How many routes are kept at most."""

DEEPEST = 20
"""How many mounts may stand in each other."""

WALKS = 100
"""How often routes are walked again at most, because an endpoint is not among those known."""


class Candidate(NamedTuple):
    """A template of an endpoint.

    Attributes:
        template: The full template.
        regexes: What matches the path: one pattern for each mount around it, then its own.
    """

    template: str
    regexes: tuple[Any, ...]

    def fits(self, path: str) -> bool:
        """Whether a path leads to it."""
        for regex in self.regexes[:-1]:
            match = regex.match(path)
            if match is None:
                return False
            path = "/" + match.group("path")
        return self.regexes[-1].match(path) is not None


class RouteTemplates:
    """The templates of the routes of one application, learnt when they are first needed."""

    def __init__(self) -> None:
        self._known: dict[int, str | tuple[Candidate, ...]] = {}
        self._kept: list[Any] = []  # the endpoints themselves: while they live, no other object can have their id
        self._opaque: dict[str, Candidate] = {}  # mounts of applications that show no routes
        self._walks = 0

    def find(self, scope: Mapping[str, Any], path: str) -> str | None:
        """The template of the route that took a request, or ``None`` if none did.

        Args:
            scope: The scope, after the application has returned.
            path: The path that the scope held before; some routers change it.
        """
        telemetry = scope.get("fastapi.telemetry")
        if telemetry is not None:
            route: str | None = getattr(telemetry, "route", None)
            if route:
                return route
        endpoint = scope.get("endpoint")
        if endpoint is None:
            inner = scope.get(INNER)
            found_inside = self.find(*inner[-1]) if inner else None
            return found_inside or scope.get("measurand.endpoint") or scope.get("path_template") or _litestar_mount(scope, path)
        found = self._known.get(id(endpoint))
        if found.__class__ is str:
            return found
        return self._search(scope, path, endpoint)

    def is_certain(self, scope: Mapping[str, Any]) -> bool:
        """Whether the endpoint that a router has chosen stands under one template only, whatever the path."""
        return isinstance(self._known.get(id(scope.get("endpoint"))), str)

    def _search(self, scope: Mapping[str, Any], path: str, endpoint: Any) -> str | None:
        found = self._known.get(id(endpoint))
        if found is None:
            self._learn(scope.get("router"))
            found = self._known.get(id(endpoint))
            if found is None and len(self._kept) < MOST:
                self._keep(endpoint, ())
        if isinstance(found, str):
            return found
        paths = list(_below_root(scope, path))
        for candidate in found or ():
            if any(candidate.fits(each) for each in paths):
                return candidate.template
        own = _own_template(scope, endpoint)
        if "app_root_path" not in scope:
            return own
        for mount in self._opaque.values():
            if any(mount.fits(each) for each in paths):
                return mount.template + (own or "/{path}")
        return own

    def _learn(self, router: Any) -> None:
        if router is None or self._walks >= WALKS:
            return
        self._walks += 1
        found: dict[int, list[Candidate]] = {}
        endpoints: dict[int, Any] = {}
        for endpoint, candidate in self._walk(router, "", (), 0):
            if len(endpoints) >= MOST:
                break
            endpoints[id(endpoint)] = endpoint
            found.setdefault(id(endpoint), []).append(candidate)
        for key, candidates in found.items():
            templates = {candidate.template for candidate in candidates}
            self._keep(endpoints[key], candidates[0].template if len(templates) == 1 else tuple(candidates))

    def _keep(self, endpoint: Any, found: str | tuple[Candidate, ...]) -> None:
        if id(endpoint) not in self._known:
            self._kept.append(endpoint)
        self._known[id(endpoint)] = found

    def _walk(self, app: Any, prefix: str, regexes: tuple[Any, ...], depth: int) -> Iterator[tuple[Any, Candidate]]:
        for route in _flat(_routes_of(app)) if depth < DEEPEST else ():
            template, regex = getattr(route, "path_format", None), getattr(route, "path_regex", None)
            endpoint, inner = getattr(route, "endpoint", None), getattr(route, "app", None)
            if getattr(route, "host_regex", None) is not None:
                yield from self._walk(inner, prefix, regexes, depth + 1)
            elif not isinstance(template, str) or regex is None:
                continue
            elif endpoint is not None:
                yield endpoint, Candidate(prefix + template, (*regexes, regex))
            elif inner is not None:
                mount = prefix + template.removesuffix("/{path}")
                yield inner, Candidate(prefix + template, (*regexes, regex))
                if _routes_of(inner):
                    yield from self._walk(inner, mount, (*regexes, regex), depth + 1)
                else:
                    self._opaque[mount] = Candidate(mount, (*regexes, regex))


def _routes_of(app: Any) -> list[Any]:
    """The routes of an application, however many middlewares are around it."""
    for _ in range(DEEPEST):
        routes = getattr(app, "routes", None)
        if isinstance(routes, list | tuple):
            return list(routes)
        app = getattr(app, "app", None)
    return []


def _flat(routes: Iterable[Any]) -> Iterable[Any]:
    """The routes with those of routers that FastAPI keeps apart after ``include_router``, each with its prefix."""
    module = sys.modules.get("fastapi.routing")
    flatten = getattr(module, "iter_route_contexts", None)
    if flatten is None:
        return routes
    try:
        return list(flatten(routes))
    except Exception:  # noqa: BLE001 - the framework's, and of another version than those that we know
        return routes


def _below_root(scope: Mapping[str, Any], path: str) -> Iterator[str]:
    """The path as routers may see it: without the root path, and as it is."""
    root = scope.get("app_root_path", scope.get("root_path", ""))
    if root and path.startswith(root):
        yield path[len(root) :] or "/"
    yield path


def _litestar_mount(scope: Mapping[str, Any], path: str) -> str | None:
    """The template of what is mounted in a Litestar application, whose router says an empty one of it."""
    handler = scope.get("route_handler")
    if not getattr(handler, "is_mount", False):
        return None
    routes = getattr(scope.get("litestar_app") or scope.get("app"), "routes", ())
    mounts = [route.path.rstrip("/") for route in routes if getattr(route, "route_handler", None) is handler]
    for mount in sorted(mounts, key=len, reverse=True):
        if any(each.startswith(mount) for each in _below_root(scope, path)):  # as Litestar does: without a slash behind it, too
            return f"{mount}/{{path}}"
    return None


def _own_template(scope: Mapping[str, Any], endpoint: Any) -> str | None:
    """The template of the last route alone, without what it is mounted under."""
    route = scope.get("route")
    inner = scope.get("fastapi")
    context = inner.get("effective_route_context") if isinstance(inner, dict) else None
    if context is not None and getattr(context, "original_route", None) is route:
        own = getattr(context, "path_format", None)
        if isinstance(own, str) and own:
            return own
    if endpoint is not getattr(route, "endpoint", getattr(route, "app", None)):
        return None  # what an outer router left, which did not choose this endpoint
    own = getattr(route, "path_format", None)
    return own if isinstance(own, str) and own else None
