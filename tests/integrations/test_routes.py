"""Templates from what routers leave in the scope, with frameworks that behave, and with objects that do not."""

from __future__ import annotations

import re
from typing import Any

import pytest

from measurand.integrations.routes import RouteTemplates

pytestmark = pytest.mark.once


class Object:
    """Anything with attributes."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


def endpoint() -> None:
    """What a route leads to."""


def pattern(template: str, *, mount: bool = False) -> re.Pattern[str]:
    inside = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", template)
    return re.compile(f"^{inside}/(?P<path>.*)$" if mount else f"^{inside}$")


def route(template: str, to: Any = endpoint) -> Object:
    return Object(path_format=template, path_regex=pattern(template), endpoint=to)


def mount(template: str, *routes: Object, app: Any = None) -> Object:
    inside = app if app is not None else Object(routes=list(routes))
    return Object(path_format=template + "/{path}", path_regex=pattern(template, mount=True), app=inside)


def scope(router: Any, to: Any = endpoint, **more: Any) -> dict[str, Any]:
    return {"router": router, "endpoint": to, "root_path": "", **more}


class CountedRoutes(list[Any]):
    """Routes that know how often they were walked."""

    walks = 0

    def __iter__(self) -> Any:
        self.walks += 1
        return super().__iter__()


def test_routes_are_walked_once_however_many_requests_there_are() -> None:
    others = [route(f"/r{number}", to=lambda: None) for number in range(200)]
    routes = CountedRoutes([*others, route("/items/{id}")])
    router, templates = Object(routes=routes), RouteTemplates()
    for number in range(1000):
        assert templates.find(scope(router), f"/items/{number}") == "/items/{id}"
    assert routes.walks == 1


def test_endpoints_that_nobody_knows_do_not_make_it_walk_for_ever() -> None:
    routes = CountedRoutes([route("/items/{id}")])
    router, templates = Object(routes=routes), RouteTemplates()
    for _ in range(1000):
        assert templates.find(scope(router, to=lambda: None), "/made/anew/for/each/request") is None
    assert routes.walks <= 100


def test_an_endpoint_under_several_templates_is_told_apart_by_the_path() -> None:
    shared = Object(routes=[route("/leaf/{x}")])
    router = Object(routes=[mount("/a/{team}", app=shared), mount("/b", app=shared), route("/alone")])
    templates = RouteTemplates()
    for path, expected in {"/a/red/leaf/1": "/a/{team}/leaf/{x}", "/b/leaf/1": "/b/leaf/{x}", "/alone": "/alone"}.items():
        assert templates.find(scope(router), path) == expected
        assert templates.find(scope(router, app_root_path="/root"), "/root" + path) == expected
        assert templates.find(scope(router, root_path="/root"), "/root" + path) == expected


def test_a_path_that_fits_none_of_them_is_never_shown() -> None:
    router = Object(routes=[route("/a/{x}"), route("/b/{x}")])
    assert RouteTemplates().find(scope(router), "/rewritten/on/the/way") is None


def test_an_endpoint_twice_under_one_template_is_one() -> None:
    router = Object(routes=[route("/a/{x}"), route("/a/{x}")])
    assert RouteTemplates().find(scope(router), "/whatever/the/path/is") == "/a/{x}"


def test_a_route_of_its_own_counts_where_its_router_shows_nothing() -> None:
    leaf = route("/leaf/{x}")
    opaque = mount("/in/{tenant}", app=object())
    router = Object(routes=[opaque])
    assert RouteTemplates().find(scope(object(), route=leaf), "/leaf/1") == "/leaf/{x}"
    find = RouteTemplates().find
    assert find(scope(router, route=leaf, app_root_path="", root_path="/in/acme"), "/in/acme/leaf/1") == "/in/{tenant}/leaf/{x}"
    assert find(scope(router, to=opaque.app, route=opaque), "/in/acme/any") == "/in/{tenant}/{path}"


def test_what_an_outer_router_left_is_not_taken_for_the_inner_ones_choice() -> None:
    outer = route("/outer", to=lambda: None)
    assert RouteTemplates().find(scope(object(), route=outer), "/outer/inner") is None


def test_the_context_of_an_included_router_knows_the_prefix() -> None:
    leaf = route("/deep/{x}")
    context = Object(original_route=leaf, path_format="/api/v1/deep/{x}")
    found = RouteTemplates().find(scope(object(), route=leaf, fastapi={"effective_route_context": context}), "/api/v1/deep/9")
    assert found == "/api/v1/deep/{x}"
    stale = Object(original_route=route("/other"), path_format="/api/other")
    assert RouteTemplates().find(scope(object(), route=leaf, fastapi={"effective_route_context": stale}), "/deep/9") == "/deep/{x}"


def test_telemetry_comes_first_and_what_inner_code_says_last() -> None:
    router = Object(routes=[route("/items/{id}")])
    assert RouteTemplates().find(scope(router, **{"fastapi.telemetry": Object(route="/from/telemetry")}), "/items/1") == "/from/telemetry"
    assert RouteTemplates().find(scope(router, **{"fastapi.telemetry": Object(route=None)}), "/items/1") == "/items/{id}"
    assert RouteTemplates().find({"measurand.endpoint": "/said", "path_template": "/litestar"}, "/x") == "/said"
    assert RouteTemplates().find({"path_template": "/litestar"}, "/x") == "/litestar"
    assert RouteTemplates().find({}, "/x") is None


def test_mounts_in_each_other_without_end_do_not_hang_it() -> None:
    inside: Object = Object()
    inside.routes = [route("/leaf"), mount("/again", app=inside)]
    assert RouteTemplates().find(scope(inside), "/again/again/leaf") == "/again/again/leaf"


def test_a_host_adds_nothing() -> None:
    host = Object(host_regex=re.compile(".*"), path_format="never", path_regex=re.compile(".*"), app=Object(routes=[route("/h/{z}")]))
    assert RouteTemplates().find(scope(Object(routes=[host])), "/h/1") == "/h/{z}"


@pytest.mark.parametrize("odd", [None, 17, "text", [None, 17, Object(path_format=3), Object(path_format="/x", path_regex=None)]])
def test_routes_may_be_anything(odd: Any) -> None:
    assert RouteTemplates().find(scope(Object(routes=odd)), "/x") is None
