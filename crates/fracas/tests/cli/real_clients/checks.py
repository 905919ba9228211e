"""What every kind of client here needs."""

import json
import time
import urllib.request

LIMIT = 20


class Proxy:
    """A proxy, whose faults are changed by its API."""

    def __init__(self, port):
        self.port = int(port)
        self.url = f"http://127.0.0.1:{port}"

    def does(self, **blocks):
        self.call("PUT", "/config", blocks)

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + "/api/chaos" + path, data, {"content-type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            return answer.read().decode()

    def counted(self, fault):
        line = f'fracas_proxy_faults_total{{fault="{fault}"}} '
        lines = self.call("GET", "/metrics").splitlines()
        return int(next(one[len(line):] for one in lines if one.startswith(line)))


def soon(what, look):
    """Looks again and again."""
    until = time.monotonic() + LIMIT
    while not look():
        assert time.monotonic() < until, what
        time.sleep(0.005)


def passed(name):
    """The test counts what is said."""
    print("passed", name, flush=True)
