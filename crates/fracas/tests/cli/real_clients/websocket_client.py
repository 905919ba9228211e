"""websockets: unharmed without a fault, and each fault that is about it seen."""

import asyncio
import json
import sys
import time
import urllib.request

import websockets

from checks import LIMIT, Proxy, passed, soon

proxy = Proxy(sys.argv[1])
graph = sys.argv[2]


def connect(**options):
    return websockets.connect(f"ws://127.0.0.1:{proxy.port}/chat", max_size=1 << 24, open_timeout=LIMIT, close_timeout=LIMIT, **options)


def plain():
    return connect(compression=None)


async def said(socket):
    return await asyncio.wait_for(socket.recv(), LIMIT)


async def closed(socket):
    """With what it was closed."""
    await asyncio.wait_for(socket.wait_closed(), LIMIT)
    return socket.close_code, socket.close_reason


def server_saw(code):
    """The server says by another way with what its connections were closed."""
    body = json.dumps({"query": "closed"}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{graph}/", body, LIMIT) as answer:
        return code in json.load(answer)


async def unharmed():
    proxy.does()
    for compression in [None, "deflate"]:
        async with connect(compression=compression) as socket:
            assert bool(socket.extensions) == (compression is not None)
            large = bytes(range(256)) * 20_000
            for message in ["hello", "", "\u00fc\U0001f980" * 5000, b"", b"\x00\xff", large]:
                await socket.send(message)
                assert await said(socket) == message
            await socket.send(["in ", "three ", "parts"])
            assert await said(socket) == "in three parts"
            await asyncio.wait_for(await socket.ping(b"are you there"), LIMIT)
            # Many at once.
            await asyncio.gather(*(socket.send(f"message {n}") for n in range(300)))
            assert [await said(socket) for _ in range(300)] == [f"message {n}" for n in range(300)]
            await socket.send("closes")
            assert await closed(socket) == (4321, "as asked")
    async with plain() as socket:
        await socket.close(4000, "enough")
    soon("the server knows the code", lambda: server_saw(4000))
    passed("websocket unharmed")


async def closes():
    for code in [1001, 1011, 4999]:
        proxy.does()
        proxy.call("POST", "/protocols/websocket/close-codes", {"close_codes": [code], "probability": 1})
        async with plain() as socket:
            begun = time.monotonic()
            await socket.send("hello")
            assert await closed(socket) == (code, "closed by Fracas")
            # Both have answered: nobody was waited for in vain.
            assert time.monotonic() - begun < 4
        soon("the server is told", lambda: server_saw(code))
    passed("websocket close")


async def drops():
    proxy.does(websocket={"message_drop_probability": 1})
    async with plain() as socket:
        for message in ["hello", b"bytes", ["in ", "parts"]]:
            await socket.send(message)
        await asyncio.wait_for(await socket.ping(b"a ping is no message"), LIMIT)
        # It acts in connections that are open.
        proxy.does()
        await socket.send("again")
        assert await said(socket) == "again"
        proxy.call("POST", "/protocols/websocket/message-drop", {"probability": 0.5})
        for n in range(60):
            await socket.send(f"message {n}")
        await asyncio.wait_for(await socket.ping(b"all have passed"), LIMIT)
        proxy.does()
        await socket.send("last")
        came = []
        while (message := await said(socket)) != "last":
            came.append(message)
        # Each has to pass twice.
        assert 0 < len(came) < 40 and came == sorted(came, key=lambda one: int(one.split()[1])), came
    assert proxy.counted("websocket_message_drop") == 3 + 60 - len(came)
    passed("websocket drop")


async def corrupts():
    proxy.does(websocket={"message_corruption_probability": 1})
    async with plain() as socket:
        text = "a text with \u00fc in it, as long as this"
        await socket.send(text)
        came = await said(socket)
        # It is a text, as long as before, or this client would have closed.
        assert came != text and len(came.encode()) == len(text.encode()), came
        await socket.send(bytes(100))
        came = await said(socket)
        assert len(came) == 100 and any(came)
    # What is compressed cannot be unpacked, or says something else.
    async with connect(compression="deflate") as socket:
        try:
            await socket.send("hello " * 100)
            assert await said(socket) != "hello " * 100
        except websockets.ConnectionClosed as error:
            assert error.rcvd or error.sent
    passed("websocket corruption")


async def delays():
    async with plain() as socket:
        for millis in [0, 150]:
            proxy.does(websocket={"message_delay_ms": millis})
            begun = time.monotonic()
            await socket.send("hello")
            assert await said(socket) == "hello"
            # There and back.
            assert time.monotonic() - begun >= 2 * millis / 1000
    assert proxy.counted("websocket_message_delay") == 2
    passed("websocket delay")


async def others():
    proxy.does(fault_injection={"http_errors": [503], "http_error_probability": 1})
    try:
        async with plain():
            raise AssertionError("it opens")
    except websockets.InvalidStatusCode as error:
        assert error.status_code == 503 and error.headers["x-fracas-fault"] == "http_error"
    proxy.does(latency={"fixed_delay_ms": 150})
    begun = time.monotonic()
    async with plain() as socket:
        assert time.monotonic() - begun >= 0.15
        assert socket.response_headers["x-fracas-latency-ms"] == "150.000"
    proxy.does()
    passed("websocket others")


async def main():
    for check in [unharmed, closes, drops, corrupts, delays, others]:
        await check()


asyncio.run(main())
