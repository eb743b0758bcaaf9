"""Decorators that are right for every kind of function.

:func:`around` gives a function the meaning of a ``with`` block around its body: for a coroutine function around what is awaited, for a
generator around its whole life from the first item to its end, for a function made by ``contextlib.contextmanager`` around the block. The
result is of the same kind as the function, and keeps its signature, name and documentation.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from types import FunctionType
from typing import Any, TypeVar, cast

__all__ = ["around"]

F = TypeVar("F", bound=Callable[..., Any])
Enter = Callable[[], Any]
Leave = Callable[[Any, BaseException | None], Any]
Make = Callable[[Callable[..., Any], Enter, Leave], Callable[..., Any]]

_MAKERS: tuple[Any, ...] = (contextlib.contextmanager, contextlib.asynccontextmanager)
# What contextlib's decorators return has the same code each time, by which it is known.
_MAKER_BY_CODE = {maker(len).__code__: maker for maker in _MAKERS}


def around(fn: F, enter: Enter, leave: Leave) -> F:
    """Wrap ``fn`` so that each call runs between ``enter()`` and ``leave(token, exception)``.

    Args:
        fn: A function, coroutine function, generator function, asynchronous generator function, method, ``staticmethod``, ``classmethod``,
            ``functools.partial`` or any callable object.
        enter: Called first; what it returns is handed to ``leave``.
        leave: Called at the end with the token and the exception that left the body, or ``None``. The exception goes on unchanged,
            whichever it is: cancellation and ``KeyboardInterrupt`` too.

    Returns:
        A function of the same kind; ``__wrapped__`` is the original.
    """
    if isinstance(fn, staticmethod | classmethod):
        return cast(F, type(fn)(around(fn.__func__, enter, leave)))
    if isinstance(fn, FunctionType) and fn.__code__ in _MAKER_BY_CODE:
        return cast(F, _MAKER_BY_CODE[fn.__code__](around(cast(Any, fn).__wrapped__, enter, leave)))
    kind: Any = fn
    while isinstance(kind, functools.partial):
        kind = kind.func
    if not inspect.isroutine(kind) and not inspect.isclass(kind):
        kind = getattr(kind, "__call__", kind)  # noqa: B004 - the method itself is wanted
    if inspect.iscoroutinefunction(kind) or inspect.iscoroutinefunction(fn) or _is_awaited(kind):
        wrap = _around_coroutine
    elif inspect.isasyncgenfunction(kind):
        wrap = _around_async_generator
    elif inspect.isgeneratorfunction(kind):
        wrap = _around_generator
    else:
        wrap = _around_function
    wrapped = functools.update_wrapper(wrap(fn, enter, leave), fn)
    with contextlib.suppress(TypeError, ValueError):  # some builtins have no signature
        wrapped.__signature__ = inspect.signature(fn)  # type: ignore[attr-defined]  # for readers that do not follow __wrapped__
    return cast(F, wrapped)


def _is_awaited(kind: Any) -> bool:
    """Whether this is a generator function that ``types.coroutine`` made one to be awaited."""
    return inspect.isgeneratorfunction(kind) and bool(getattr(kind, "__code__", around.__code__).co_flags & inspect.CO_ITERABLE_COROUTINE)


_OURS = {"fn", "enter", "leave", "token", "result", "exc"}
_BODY = """
def make(fn, enter, leave):
    {kind}def call({parameters}):
        token = enter()
        try:
            result = {await_}fn({arguments})
        except BaseException as exc:
            leave(token, exc)
            raise
        leave(token, None)
        return result
    return call
"""


@functools.cache
def _maker(kind: str, parameters: str, arguments: str) -> Make:
    """What makes wrappers with certain parameters.

    They are compiled for the function's own parameters, because a call that packs and unpacks ``*args`` and ``**kwargs`` takes longer
    than all the rest.
    """
    source = _BODY.format(kind=kind, await_="await " if kind else "", parameters=parameters, arguments=arguments)
    names: dict[str, Any] = {}
    exec(compile(source, "<measurand wrapper>", "exec"), names)
    return cast(Make, names["make"])


def _around_coroutine(fn: Callable[..., Any], enter: Enter, leave: Leave) -> Callable[..., Any]:
    return _around_call("async ", fn, enter, leave)


def _around_function(fn: Callable[..., Any], enter: Enter, leave: Leave) -> Callable[..., Any]:
    return _around_call("", fn, enter, leave)


def _around_call(kind: str, fn: Callable[..., Any], enter: Enter, leave: Leave) -> Callable[..., Any]:
    if not isinstance(fn, FunctionType) or not _OURS.isdisjoint(fn.__code__.co_varnames):
        return _maker(kind, "*args, **kwargs", "*args, **kwargs")(fn, enter, leave)
    code = fn.__code__
    names = iter(code.co_varnames)
    positional = [next(names) for _ in range(code.co_argcount)]
    keyword = [next(names) for _ in range(code.co_kwonlyargcount)]
    rest = [f"*{next(names)}"] if code.co_flags & inspect.CO_VARARGS else []
    more = [f"**{next(names)}"] if code.co_flags & inspect.CO_VARKEYWORDS else []
    only = code.co_posonlyargcount
    parameters = [*positional[:only], *(["/"] if only else []), *positional[only:], *(rest or (["*"] if keyword else [])), *keyword, *more]
    arguments = [*positional, *rest, *(f"{name}={name}" for name in keyword), *more]
    call: Any = _maker(kind, ", ".join(parameters), ", ".join(arguments))(fn, enter, leave)
    call.__defaults__, call.__kwdefaults__ = fn.__defaults__, fn.__kwdefaults__
    return cast(Callable[..., Any], call)


def _around_generator(fn: Callable[..., Any], enter: Enter, leave: Leave) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        token = enter()
        try:
            result = yield from fn(*args, **kwargs)
        except BaseException as exc:
            leave(token, None if isinstance(exc, GeneratorExit) else exc)
            raise
        leave(token, None)
        return result

    return call


def _around_async_generator(fn: Callable[..., Any], enter: Enter, leave: Leave) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        token = enter()
        try:
            inner = fn(*args, **kwargs)
            step = inner.__anext__()
            while True:
                try:
                    item = await step
                except StopAsyncIteration:
                    break
                try:
                    sent = yield item
                except GeneratorExit:
                    await inner.aclose()
                    raise
                except BaseException as exc:  # noqa: BLE001 - handed to the generator that is wrapped
                    step = inner.athrow(exc)
                else:
                    step = inner.asend(sent)
        except BaseException as exc:
            leave(token, None if isinstance(exc, GeneratorExit) else exc)
            raise
        leave(token, None)

    return call
