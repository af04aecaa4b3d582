"""Methods of both clients from one declaration: answers or awaitables, iterators or async ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import wraps
from typing import Any, Concatenate, Generic, NamedTuple, ParamSpec, Protocol, TypeVar, cast, overload

from gatepost.client.wire import ApiCall

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class StreamCall(NamedTuple, Generic[T]):
    """A request whose answer comes piece by piece: lines that `line` reads, or octets as they come."""

    call: ApiCall[Any]
    line: Callable[[bytes], T] | None = None


class BlockingCalls:
    """Its verbs give the answer."""

    def request(self, call: ApiCall[T]) -> T:
        """The answer; raises GatewayError and its subclasses."""
        raise NotImplementedError

    def stream(self, call: StreamCall[T]) -> Iterator[T]:
        """The pieces of the answer; raises as `request`."""
        raise NotImplementedError


class AsyncCalls:
    """Its verbs are awaited."""

    def request(self, call: ApiCall[T]) -> Awaitable[T]:
        """The answer; raises GatewayError and its subclasses."""
        raise NotImplementedError

    def stream(self, call: StreamCall[T]) -> AsyncIterator[T]:
        """The pieces of the answer; raises as `request`."""
        raise NotImplementedError


class CallMethod(Protocol, Generic[P, T_co]):
    """A method that gives T or Awaitable[T], as its client does."""

    @overload
    def __get__(self, client: BlockingCalls, owner: type[Any] | None = None) -> Callable[P, T_co]: ...
    @overload
    def __get__(self, client: AsyncCalls, owner: type[Any] | None = None) -> Callable[P, Awaitable[T_co]]: ...
    @overload
    def __get__(self, client: None, owner: type[Any] | None = None) -> Callable[..., Any]: ...


class StreamMethod(Protocol, Generic[P, T_co]):
    """A method that gives Iterator[T] or AsyncIterator[T], as its client does."""

    @overload
    def __get__(self, client: BlockingCalls, owner: type[Any] | None = None) -> Callable[P, Iterator[T_co]]: ...
    @overload
    def __get__(self, client: AsyncCalls, owner: type[Any] | None = None) -> Callable[P, AsyncIterator[T_co]]: ...
    @overload
    def __get__(self, client: None, owner: type[Any] | None = None) -> Callable[..., Any]: ...


def verb(asks: Callable[Concatenate[Any, P], ApiCall[T]]) -> CallMethod[P, T]:
    """The method whose request `asks` makes."""

    @wraps(asks)
    def method(client: Any, *arguments: Any, **options: Any) -> Any:
        return client.request(asks(client, *arguments, **options))

    return cast(CallMethod[P, T], method)


def stream(asks: Callable[Concatenate[Any, P], StreamCall[T]]) -> StreamMethod[P, T]:
    """The method whose request `asks` makes, for an answer that comes piece by piece."""

    @wraps(asks)
    def method(client: Any, *arguments: Any, **options: Any) -> Any:
        return client.stream(asks(client, *arguments, **options))

    return cast(StreamMethod[P, T], method)
