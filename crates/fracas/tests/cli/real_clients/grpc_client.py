"""grpcio: unharmed without a fault, and each fault that is about it seen."""

import queue
import sys
import time

import grpc

from checks import LIMIT, Proxy, passed, soon

proxy = Proxy(sys.argv[1])
channel = grpc.insecure_channel(f"127.0.0.1:{proxy.port}", options=[("grpc.enable_retries", 0), ("grpc.max_receive_message_length", -1)])
unary = channel.unary_unary("/test/Unary")
down = channel.unary_stream("/test/Down")
both = channel.stream_stream("/test/Both")
slow = channel.unary_unary("/test/Slow")
ends = channel.unary_unary("/test/Ends")
Code = grpc.StatusCode


def fails(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("it does not fail")


def interrupted(stream):
    """What came of a stream, and with what it ended."""
    came = []

    def whole():
        came.extend(stream)

    error = fails(whole)
    return came, error


def unharmed():
    proxy.does()
    answer, call = unary.with_call(b"hello", metadata=(("x-said", "this"),), timeout=LIMIT)
    assert answer == b"hello" and dict(call.trailing_metadata())["x-trailer"] == "this"
    large = bytes(range(256)) * 12_000
    assert unary(large, timeout=LIMIT) == large and unary(b"", timeout=LIMIT) == b""
    assert list(down(b"300", timeout=LIMIT)) == [b"message %d" % n for n in range(300)]
    up = channel.stream_unary("/test/Up")
    assert up(iter([b"a", b"b", b"c"]), timeout=LIMIT) == b"a b c"
    # Each message is answered before the next is sent.
    says = queue.Queue()
    answers = both(iter(says.get, None), timeout=LIMIT)
    for n in range(50):
        says.put(b"x%d" % n)
        assert next(answers) == b"X%d" % n
    says.put(None)
    assert list(answers) == [] and answers.code() == Code.OK
    error = fails(lambda: channel.unary_unary("/test/Refuses")(b"", timeout=LIMIT))
    assert (error.code(), error.details()) == (Code.NOT_FOUND, "not here, 100 %")
    assert fails(lambda: channel.unary_unary("/test/None")(b"", timeout=LIMIT)).code() == Code.UNIMPLEMENTED
    # A deadline is one on the other side, too.
    assert fails(lambda: slow(b"", timeout=0.1)).code() == Code.DEADLINE_EXCEEDED
    soon("the call has ended at the server", lambda: ends(b"slow", timeout=LIMIT) == b"1")
    passed("grpc unharmed")


def statuses():
    for code in Code:
        if code != Code.OK:
            proxy.does(grpc={"status_codes": [code.value[0]], "status_code_probability": 1})
            error = fails(lambda: unary(b"hello", timeout=LIMIT))
            assert (error.code(), error.details()) == (code, "this status was made by Fracas"), error
            assert ("x-fracas-fault", "grpc_status") in error.trailing_metadata()
    proxy.does()
    proxy.call("POST", "/protocols/grpc/status-codes", {"status_codes": [14], "probability": 1})
    assert fails(lambda: list(down(b"3", timeout=LIMIT))).code() == Code.UNAVAILABLE
    assert proxy.counted("grpc_status") == len(Code)
    passed("grpc status")


def cuts():
    two = [b"message 0", b"message 1"]
    proxy.does(grpc={"stream_interruption_probability": 1, "interrupt_after_messages": 2, "interrupt_status_code": 10})
    came, error = interrupted(down(b"9", timeout=LIMIT))
    assert (came, error.code(), error.details()) == (two, Code.ABORTED, "this stream was cut off by Fracas")
    # With the client's half still open; the server is told.
    before = int(ends(b"both", timeout=LIMIT))
    says = queue.Queue()
    for word in [b"a", b"b"]:
        says.put(word)
    came, error = interrupted(both(iter(says.get, None), timeout=LIMIT))
    assert (came, error.code()) == ([b"A", b"B"], Code.ABORTED)
    soon("the server has heard of it", lambda: int(ends(b"both", timeout=LIMIT)) > before)
    says.put(None)
    for code, seen in [(2, Code.INTERNAL), (7, Code.UNAVAILABLE), (8, Code.CANCELLED), (11, Code.RESOURCE_EXHAUSTED)]:
        proxy.does(grpc={"stream_interruption_probability": 1, "interrupt_after_messages": 2, "reset_code": code})
        came, error = interrupted(down(b"9", timeout=LIMIT))
        # Of what has come this client forgets what nobody has asked for when the reset comes.
        assert came == two[:len(came)] and error.code() == seen, (code, came, error)
    passed("grpc cut")


def others():
    """What is done to all requests."""
    for status, code in [(429, Code.RESOURCE_EXHAUSTED), (503, Code.UNAVAILABLE), (401, Code.UNAUTHENTICATED), (504, Code.DEADLINE_EXCEEDED)]:
        proxy.does(fault_injection={"http_errors": [status], "http_error_probability": 1})
        error = fails(lambda: unary(b"hello", timeout=LIMIT))
        assert (error.code(), error.details()) == (code, "this error was made by Fracas"), error
    proxy.does(rate_limit={"requests_per_second": 1, "burst_size": 1})
    errors = [fails(lambda: [unary(b"", timeout=LIMIT) for _ in range(5)])]
    assert errors[0].code() == Code.RESOURCE_EXHAUSTED and errors[0].details() == "Rate limit exceeded"
    proxy.does(traffic_shaping={"packet_loss_percent": 100})
    assert fails(lambda: unary(b"", timeout=LIMIT)).code() == Code.UNKNOWN
    proxy.does(latency={"fixed_delay_ms": 150})
    begun = time.monotonic()
    assert unary(b"hello", timeout=LIMIT) == b"hello" and time.monotonic() - begun >= 0.15
    proxy.does(latency={"fixed_delay_ms": 3_600_000})
    assert fails(lambda: unary(b"hello", timeout=0.1)).code() == Code.DEADLINE_EXCEEDED
    for kind in ["tcp_reset", "tcp_close"]:
        faults = {"http_errors": [], "connection_errors": True, "connection_error_probability": 1, "connection_error_kind": kind}
        proxy.does(fault_injection=faults)
        assert fails(lambda: unary(b"hello", timeout=LIMIT)).code() == Code.UNAVAILABLE
        proxy.does()
        # The next call has a connection of its own.
        assert unary(b"hello", timeout=LIMIT, wait_for_ready=True) == b"hello"
    faults = {"http_errors": [], "partial_responses": True, "partial_response_probability": 1}
    proxy.does(fault_injection=faults)
    assert fails(lambda: unary(b"hello" * 100, timeout=LIMIT)).code() in (Code.INTERNAL, Code.UNKNOWN)
    passed("grpc others")


unharmed()
statuses()
cuts()
others()
proxy.does()
channel.close()
