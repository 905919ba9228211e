"""WebSocket in streams of HTTP/2 (RFC 8441), of the library h2 to a server of the library websockets."""

import socket
import struct
import sys

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RemoteSettingsChanged, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes
from websockets.frames import Frame, Opcode

from checks import LIMIT, Proxy, passed

proxy = Proxy(sys.argv[1])


class Client:
    """A connection of HTTP/2, and one stream of it after the other."""

    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", proxy.port), LIMIT)
        self.http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.http.initiate_connection()
        self.takes_websocket = self.ended = False
        self.head, self.data = None, b""
        self.read_until(lambda: self.takes_websocket)

    def read_until(self, done):
        self.socket.sendall(self.http.data_to_send())
        while not done():
            bytes_read = self.socket.recv(1 << 16)
            assert bytes_read, "the connection ends"
            for event in self.http.receive_data(bytes_read):
                if isinstance(event, RemoteSettingsChanged):
                    setting = event.changed_settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL)
                    self.takes_websocket |= setting is not None and setting.new_value == 1
                elif isinstance(event, ResponseReceived):
                    self.head = dict(event.headers)
                elif isinstance(event, DataReceived):
                    self.data += event.data
                    self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, (StreamEnded, StreamReset)):
                    self.ended = True
            self.socket.sendall(self.http.data_to_send())

    def open(self, path):
        """The status and the headers of the answer."""
        self.stream = self.http.get_next_available_stream_id()
        self.head, self.data, self.ended = None, b"", False
        pseudo = {":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": path, ":authority": f"localhost:{proxy.port}"}
        self.http.send_headers(self.stream, [*pseudo.items(), ("sec-websocket-version", "13")])
        self.read_until(lambda: self.head is not None)
        return self.head

    def send(self, opcode, payload):
        rest = Frame(opcode, payload).serialize(mask=True)
        while rest:
            room = min(self.http.local_flow_control_window(self.stream), self.http.max_outbound_frame_size, len(rest))
            if room == 0:
                self.read_until(lambda: self.http.local_flow_control_window(self.stream) > 0)
                continue
            self.http.send_data(self.stream, rest[:room])
            rest = rest[room:]
        self.socket.sendall(self.http.data_to_send())

    def take(self, count):
        self.read_until(lambda: len(self.data) >= count)
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def said(self):
        """The next frame of the server's, whose first byte tells what it is."""
        first, length = self.take(2)
        if length == 126:
            (length,) = struct.unpack("!H", self.take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.take(8))
        return first, self.take(length)


def message(client):
    """A message may come in several frames."""
    first, payload = client.said()
    kind, ends = first & 0x0F, first & 0x80
    while not ends:
        first, more = client.said()
        ends = first & 0x80
        payload += more
    return kind, payload


def unharmed():
    proxy.does()
    client = Client()
    for _ in range(3):
        head = client.open("/chat")
        assert head[":status"] == "200" and "sec-websocket-accept" not in head, head
        large = bytes(range(256)) * 2000
        for kind, payload in [(Opcode.TEXT, b"hello"), (Opcode.BINARY, b""), (Opcode.BINARY, large)]:
            client.send(kind, payload)
            assert message(client) == (kind, payload)
        client.send(Opcode.TEXT, b"closes")
        assert message(client) == (Opcode.CLOSE, struct.pack("!H", 4321) + b"as asked")
        client.send(Opcode.CLOSE, struct.pack("!H", 4321))
        client.read_until(lambda: client.ended)
    passed("streams unharmed")


def closes():
    client = Client()
    client.open("/chat")
    client.send(Opcode.TEXT, b"hello")
    assert message(client) == (Opcode.TEXT, b"hello")
    proxy.call("POST", "/protocols/websocket/close-codes", {"close_codes": [1011], "probability": 1})
    client.send(Opcode.TEXT, b"hello")
    assert message(client) == (Opcode.CLOSE, struct.pack("!H", 1011) + b"closed by Fracas")
    client.send(Opcode.CLOSE, struct.pack("!H", 1011))
    client.read_until(lambda: client.ended)
    assert proxy.counted("websocket_close") == 1
    passed("streams close")


def refused():
    proxy.does(fault_injection={"http_errors": [503], "http_error_probability": 1})
    client = Client()
    head = client.open("/chat")
    assert head[":status"] == "503" and head["x-fracas-fault"] == "http_error", head
    # The connection goes on.
    proxy.does()
    assert client.open("/chat")[":status"] == "200"
    passed("streams refused")


for check in [unharmed, closes, refused]:
    check()
