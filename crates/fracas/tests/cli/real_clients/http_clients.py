"""httpx, curl, nghttp and h2load: unharmed without a fault, and each fault that is about them seen."""

import json
import subprocess
import sys
import time

import httpx

from checks import LIMIT, Proxy, passed

proxy = Proxy(sys.argv[1])
graph = Proxy(sys.argv[2])
ALWAYS = {"http_errors": [], "http_error_probability": 1}


def program(*words):
    ended = subprocess.run(words, capture_output=True, timeout=LIMIT, text=True)
    return ended.returncode, ended.stdout, ended.stderr


def curl(version, path="/", *words):
    return program("curl", "-sSi", "--noproxy", "*", version, *words, proxy.url + path)


def clients():
    for http2 in [False, True]:
        # In HTTP/2 without TLS it begins with it.
        with httpx.Client(http1=not http2, http2=http2, trust_env=False, timeout=LIMIT) as client:
            yield client


def broken(client):
    try:
        client.get(proxy.url)
    except httpx.TransportError as error:
        return error
    raise AssertionError("nothing broke off")


def with_httpx():
    for client, version in zip(clients(), ["HTTP/1.1", "HTTP/2"]):
        proxy.does()
        whole = client.post(proxy.url + "/a", content=b"x" * 500_000)
        assert (whole.status_code, whole.json()["body"], whole.http_version) == (200, 500_000, version)
        body = client.get(proxy.url).content
        proxy.does(fault_injection={**ALWAYS, "http_errors": [503]})
        assert client.get(proxy.url).headers["x-fracas-fault"] == "http_error"
        proxy.does(latency={"fixed_delay_ms": 100})
        begun = time.monotonic()
        assert client.get(proxy.url).headers["x-fracas-latency-ms"] == "100.000" and time.monotonic() - begun >= 0.1
        proxy.does(fault_injection={**ALWAYS, "timeout_errors": True, "timeout_probability": 1, "timeout_ms": 10})
        assert client.get(proxy.url).status_code == 504
        proxy.does(fault_injection={**ALWAYS, "payload_corruption": True, "payload_corruption_probability": 1, "corruption_type": "bit_flip"})
        corrupted = client.get(proxy.url).content
        assert len(corrupted) == len(body) and corrupted != body
        proxy.does(rate_limit={"requests_per_second": 1, "burst_size": 1})
        assert 429 in [client.get(proxy.url).status_code for _ in range(5)]
        proxy.does(traffic_shaping={"packet_loss_percent": 100})
        assert client.get(proxy.url).status_code == 408
        for kind in ["tcp_reset", "tcp_close"]:
            proxy.does(fault_injection={**ALWAYS, "connection_errors": True, "connection_error_probability": 1, "connection_error_kind": kind})
            broken(client)
            proxy.does()
            assert client.get(proxy.url).content == body
        proxy.does(fault_injection={**ALWAYS, "partial_responses": True, "partial_response_probability": 1})
        assert isinstance(broken(client), httpx.RemoteProtocolError)
    passed("httpx")


def with_graphql():
    for client in clients():
        ask = lambda: client.post(graph.url + "/graphql", json={"query": "ada"})
        whole = {"data": {"user": {"name": "ada"}, "posts": [1, 2, 3]}}
        graph.does()
        assert ask().json() == whole
        graph.does(graphql={"error_codes": ["UNAUTHENTICATED"], "error_probability": 1})
        failed = ask()
        assert failed.status_code == 200 and failed.json()["errors"][0]["extensions"] == {"code": "UNAUTHENTICATED"}
        graph.does(graphql={"partial_data_probability": 1})
        partial = ask().json()
        (error,) = partial["errors"]
        (lost,) = error["path"]
        assert partial["data"] == {**whole["data"], lost: None}
        graph.does(graphql={"resolver_latency": True, "resolver_latency_ms": 60})
        begun = time.monotonic()
        assert ask().json() == whole and time.monotonic() - begun >= 0.12
    passed("graphql")


def with_curl():
    for version in ["--http1.1", "--http2-prior-knowledge"]:
        proxy.does()
        code, said, _ = curl(version)
        assert code == 0 and " 200" in said.splitlines()[0] and "x-fracas" not in said, said
        proxy.does(fault_injection={**ALWAYS, "http_errors": [502]})
        code, said, _ = curl(version)
        assert code == 0 and " 502" in said.splitlines()[0] and "x-fracas-fault: http_error" in said, said
        proxy.does(fault_injection={**ALWAYS, "partial_responses": True, "partial_response_probability": 1})
        assert curl(version)[0] in (18, 92)
    passed("curl")


def with_nghttp():
    proxy.does()
    code, said, _ = program("nghttp", "-v", proxy.url)
    assert code == 0 and ":status: 200" in said and '"path":"/"' in said, said
    proxy.does(fault_injection={**ALWAYS, "http_errors": [502]})
    code, said, _ = program("nghttp", "-v", proxy.url)
    assert ":status: 502" in said and "x-fracas-fault: http_error" in said, said
    proxy.does(fault_injection={**ALWAYS, "partial_responses": True, "partial_response_probability": 1})
    code, said, _ = program("nghttp", "-v", proxy.url)
    assert "recv RST_STREAM" in said, said
    # Of many streams in few connections none is lost, and none is spared.
    load = ["h2load", "-n", "2000", "-c", "4", "-m", "20", proxy.url]
    proxy.does()
    assert "status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx" in program(*load)[1]
    proxy.does(fault_injection={**ALWAYS, "http_errors": [503]})
    assert "status codes: 0 2xx, 0 3xx, 0 4xx, 2000 5xx" in program(*load)[1]
    proxy.does()
    passed("nghttp")


with_httpx()
with_graphql()
with_curl()
with_nghttp()
