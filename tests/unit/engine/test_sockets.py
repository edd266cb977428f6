"""What fits into what: the same type, a kind of it, the wildcard, an INT into a FLOAT, and nothing else."""

from __future__ import annotations

import pytest

from graphcore import SocketType
from graphcore.sockets import ANY, BOOLEAN, COMBO, FLOAT, INT, STRING, socket_of
from tests.unit.engine.arithmetic import Picture, Sketch

PICTURE = SocketType("PICTURE", Picture)
SKETCH = SocketType("SKETCH", Sketch)
EITHER = SocketType("INT,STRING")


@pytest.mark.parametrize(
    ("target", "source", "fits"),
    [
        (INT, INT, True),
        (FLOAT, INT, True),
        (INT, FLOAT, False),
        (INT, BOOLEAN, False),
        (FLOAT, BOOLEAN, False),
        (BOOLEAN, INT, False),
        (STRING, INT, False),
        (COMBO, STRING, True),
        (STRING, COMBO, True),
        (ANY, PICTURE, True),
        (PICTURE, ANY, True),
        (PICTURE, SKETCH, True),
        (SKETCH, PICTURE, False),
        (PICTURE, INT, False),
        (EITHER, INT, True),
        (EITHER, FLOAT, False),
        (INT, EITHER, True),
        (SocketType("A"), SocketType("B"), False),
    ],
)
def test_fit(target: SocketType, source: SocketType, fits: bool) -> None:
    assert target.accepts(source) is fits


def test_a_class_has_the_socket_it_is_marked_with_and_a_subclass_needs_its_own() -> None:
    class Unmarked(Picture):
        pass

    assert socket_of(Picture) == PICTURE
    assert socket_of(Sketch) == SKETCH
    assert socket_of(Unmarked) is None
    assert socket_of(int) is INT
