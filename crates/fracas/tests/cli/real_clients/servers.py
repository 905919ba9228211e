"""Real servers, for real clients behind a proxy: gRPC, WebSocket and GraphQL. Says their ports in a line, and ends with its input."""

import asyncio
import http.server
import json
import sys
import threading
import time
from concurrent import futures

import grpc
import websockets

CANCELLED = []
CLOSED = []


def same(message):
    return message


class Calls(grpc.GenericRpcHandler):
    """Messages are bytes as they stand: no protobuf is needed."""

    def service(self, details):
        kinds = {
            "/test/Unary": (grpc.unary_unary_rpc_method_handler, self.unary),
            "/test/Down": (grpc.unary_stream_rpc_method_handler, self.down),
            "/test/Up": (grpc.stream_unary_rpc_method_handler, self.up),
            "/test/Both": (grpc.stream_stream_rpc_method_handler, self.both),
            "/test/Slow": (grpc.unary_unary_rpc_method_handler, self.slow),
            "/test/Ends": (grpc.unary_unary_rpc_method_handler, self.ends),
            "/test/Refuses": (grpc.unary_unary_rpc_method_handler, self.refuses),
        }
        kind = kinds.get(details.method)
        return kind and kind[0](kind[1], request_deserializer=same, response_serializer=same)

    def unary(self, request, context):
        said = dict(context.invocation_metadata())
        context.set_trailing_metadata((("x-trailer", said.get("x-said", "nothing")),))
        return request

    def down(self, request, context):
        for n in range(int(request)):
            yield b"message %d" % n

    def up(self, requests, context):
        return b" ".join(requests)

    def both(self, requests, context):
        context.add_callback(lambda: CANCELLED.append("both"))
        for request in requests:
            yield request.upper()

    def slow(self, request, context):
        context.add_callback(lambda: CANCELLED.append("slow"))
        until = time.monotonic() + 10
        while context.is_active() and time.monotonic() < until:
            time.sleep(0.005)
        return b"late"

    def ends(self, request, context):
        """How often calls of this name have ended, in whatever way."""
        return b"%d" % CANCELLED.count(request.decode())

    def refuses(self, request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, "not here, 100 %")


async def chat(socket, path):
    """Says the same. At its end it is known with what code it was closed."""
    try:
        async for message in socket:
            if message == "closes":
                await socket.close(4321, "as asked")
                break
            await socket.send(message)
    except websockets.ConnectionClosed:
        pass
    CLOSED.append(socket.close_code)


class Graph(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        query = json.loads(self.rfile.read(int(self.headers["content-length"])))["query"]
        if query == "closed":
            body = json.dumps(CLOSED)
        else:
            body = json.dumps({"data": {"user": {"name": query}, "posts": [1, 2, 3]}})
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *said):
        pass


async def main():
    calls = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    calls.add_generic_rpc_handlers((Calls(),))
    rpc = calls.add_insecure_port("127.0.0.1:0")
    calls.start()
    graph = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Graph)
    threading.Thread(target=graph.serve_forever, daemon=True).start()
    async with websockets.serve(chat, "127.0.0.1", 0, max_size=1 << 24) as sockets:
        port = sockets.sockets[0].getsockname()[1]
        print(rpc, port, graph.server_address[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    graph.shutdown()
    calls.stop(None)


asyncio.run(main())
