"""An error that is expected, with what it says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

E = TypeVar("E", bound=Exception)


@contextmanager
def failing(kind: type[E], /, **told: object) -> Iterator[pytest.ExceptionInfo[E]]:
    """As `pytest.raises`; the error's attributes are these: `with failing(LinkFailed, reason=Reason.IO):`."""
    with pytest.raises(kind) as caught:
        yield caught
    assert {name: getattr(caught.value, name) for name in told} == told
