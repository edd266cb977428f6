"""What waits for a slow reader is bounded: what only says how things stand is left out, then the reader is dropped."""

from __future__ import annotations

import asyncio
from typing import Any

from server.comfy.connection import Connection
from server.security.tokens import NOBODY_ELSE


class Socket:
    """A websocket that takes frames only once it is let."""

    def __init__(self) -> None:
        self.sent: list[str | bytes] = []
        self.open = asyncio.Event()
        self.closed = False

    async def send_str(self, text: str) -> None:
        await self.open.wait()
        self.sent.append(text)

    async def send_bytes(self, data: bytes) -> None:
        await self.open.wait()
        self.sent.append(data)

    async def close(self) -> None:
        self.closed = True


def connected() -> tuple[Any, Connection]:
    socket: Any = Socket()
    return socket, Connection(socket, NOBODY_ELSE, "slow")


async def drained(socket: Any, connection: Connection) -> list[str | bytes]:
    socket.open.set()
    writer = asyncio.get_running_loop().create_task(connection.write_all())
    await asyncio.sleep(0.01)
    connection.close()
    await writer
    assert socket.closed
    return list(socket.sent)


def test_frames_are_sent_in_order_and_of_several_counts_the_last() -> None:
    async def told() -> list[str | bytes]:
        socket, connection = connected()
        connection.send("first")
        connection.send_status("two left")
        connection.send_status("one left")
        connection.send("second")
        connection.send_status("none left")
        return await drained(socket, connection)

    assert asyncio.run(told()) == ["first", "one left", "second", "none left"]


def test_passing_messages_are_left_out_while_much_waits_and_others_never() -> None:
    async def told() -> list[str | bytes]:
        socket, connection = connected()
        connection.send("x" * 2**21)
        connection.send("progress", passing=True)
        connection.send("executed")
        return await drained(socket, connection)

    assert asyncio.run(told())[1:] == ["executed"]


def test_a_reader_for_whom_too_much_waits_is_dropped() -> None:
    async def told() -> list[str | bytes]:
        socket, connection = connected()
        for _ in range(40):
            connection.send("x" * 2**20)
        socket.open.set()
        await connection.write_all()
        assert socket.closed
        return list(socket.sent)

    assert asyncio.run(told()) == []
