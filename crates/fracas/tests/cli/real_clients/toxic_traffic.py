"""Traffic through a proxy of Toxiproxy's API: a server gives as many bytes as it is asked for, and then ends, unless it is asked to stay.
Chaos Toolkit calls these as probes, too."""

import errno
import os
import socket
import time

LIMIT = 20


def fetch(address, count=1000, stays=False):
    """What comes of so many bytes, how it ends, and when."""
    # Chaos Toolkit's extension says in a variable which port it was given.
    host, port = os.path.expandvars(address).rsplit(":", 1)
    begun = last = time.monotonic()
    body = b""
    try:
        with socket.create_connection((host, int(port)), LIMIT) as stream:
            stream.sendall(f"{count}{' stay' if stays else ''}\n".encode())
            while piece := stream.recv(1 << 16):
                body += piece
                last = time.monotonic()
        ended = "closed"
    except OSError as error:
        ended = {errno.ECONNRESET: "reset", errno.ECONNREFUSED: "refused"}.get(error.errno) or repr(error)
    over = time.monotonic()
    pattern = bytes(n % 251 for n in range(count))
    return {
        "bytes": len(body),
        "intact": body == pattern[: len(body)],
        "ended": ended,
        "took": over - begun,
        "end_after": over - last,
    }


def is_well(address):
    return whole(fetch(address))


def whole(got, count=1000):
    """All comes, and then an end."""
    return got["intact"] and (got["bytes"], got["ended"]) == (count, "closed")


def lost(got, ended):
    """Nothing comes but an end."""
    return (got["bytes"], got["ended"]) == (0, ended)


def meet(kind, address):
    """With a server that stays where the end of its stream would be passed on."""
    return fetch(address, TOXICS[kind][1], kind == "timeout")


# Each toxic: its attributes, how many bytes are asked for, and what has to be seen of it.
TOXICS = {
    "latency": ({"latency": 150, "jitter": 10}, 1000, lambda got: whole(got) and got["took"] >= 0.14),
    # 20 ms may have been saved before.
    "bandwidth": ({"rate": 500}, 100_000, lambda got: whole(got, 100_000) and got["took"] >= 0.17),
    # The end comes a little after the bytes, at the latest with them.
    "slow_close": ({"delay": 150}, 1000, lambda got: whole(got) and got["end_after"] >= 0.1),
    "timeout": ({"timeout": 100}, 1000, lambda got: lost(got, "closed") and got["took"] >= 0.095),
    "reset_peer": ({"timeout": 50}, 1000, lambda got: lost(got, "reset") and got["took"] >= 0.045),
    # 9 pauses between 10 pieces.
    "slicer": ({"average_size": 100, "size_variation": 0, "delay": 10_000}, 1000, lambda got: whole(got) and got["took"] >= 0.085),
    "limit_data": ({"bytes": 700}, 1000, lambda got: got["intact"] and (got["bytes"], got["ended"]) == (700, "closed")),
}
