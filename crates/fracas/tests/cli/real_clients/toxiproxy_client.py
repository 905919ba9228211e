"""toxiproxy-python: unharmed without a toxic, and each toxic seen."""

import sys

from toxiproxy import Toxiproxy
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from checks import passed
from toxic_traffic import TOXICS, fetch, is_well, lost, meet, whole

api, source = sys.argv[1:3]
upstream = f"127.0.0.1:{source}"
# Nobody else takes the server's port at these addresses, also while nobody listens there.
SECOND, THIRD = f"127.0.0.2:{source}", f"127.0.0.3:{source}"
toxiproxy = Toxiproxy()
toxiproxy.update_api_consumer("127.0.0.1", int(api))


def refused(kind, what):
    try:
        what()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


def proxies():
    assert toxiproxy.running() and toxiproxy.version().startswith(b'{"version":"2.')
    # Of no port the client makes port 0.
    web = toxiproxy.create(upstream, "web")
    assert web.enabled and not web.listen.endswith(":0") and is_well(web.listen)
    other = toxiproxy.create(upstream, "other", listen=SECOND, enabled=False)
    assert other.listen == SECOND and not other.enabled and lost(fetch(SECOND), "refused")
    other.enable()
    assert is_well(SECOND) and set(toxiproxy.proxies()) == {"web", "other"}
    # It looks by itself whether there is one of the name.
    refused(ProxyExists, lambda: toxiproxy.create(upstream, "web"))
    refused(NotFound, lambda: web.destroy_toxic("none"))
    refused(InvalidToxic, lambda: web.add_toxic(type="slow"))
    assert toxiproxy.destroy(other) and toxiproxy.get_proxy("other") is None
    assert lost(fetch(SECOND), "refused")
    passed("proxies")


def toxics():
    web = toxiproxy.get_proxy("web")
    for kind, (attributes, count, acts) in TOXICS.items():
        clean = fetch(web.listen, count)
        assert whole(clean, count), (kind, clean)
        web.add_toxic(type=kind, attributes=attributes)
        toxic = web.get_toxic(f"{kind}_downstream")
        assert (toxic.type, toxic.stream, toxic.toxicity, toxic.attributes) == (kind, "downstream", 1.0, attributes)
        got = meet(kind, web.listen)
        assert acts(got), (kind, got)
        assert web.destroy_toxic(toxic.name) and web.toxics() == {}
        assert is_well(web.listen), kind
    # On the way there, and by a name of its own.
    web.add_toxic(name="lost", type="timeout", stream="upstream", attributes={"timeout": 1})
    assert lost(fetch(web.listen), "closed") and set(web.toxics()) == {"lost"}
    web.destroy_toxic("lost")
    web.add_toxic(type="timeout", toxicity=0, attributes={"timeout": 1})
    assert is_well(web.listen) and web.get_toxic("timeout_downstream").toxicity == 0
    passed("toxics")


def all_of_them():
    asked = [{"name": name, "upstream": upstream, "listen": listen} for name, listen in (("one", SECOND), ("two", THIRD))]
    one, two = toxiproxy.populate(asked)
    assert is_well(SECOND) and is_well(THIRD)
    with one.down():
        assert lost(fetch(SECOND), "refused") and is_well(THIRD)
    assert is_well(SECOND)
    one.add_toxic(type="limit_data", attributes={"bytes": 7})
    two.disable()
    assert fetch(SECOND)["bytes"] == 7 and lost(fetch(THIRD), "refused")
    assert toxiproxy.reset() and one.toxics() == {}
    assert is_well(SECOND) and is_well(THIRD)
    toxiproxy.destroy_all()
    assert toxiproxy.proxies() == {} and lost(fetch(SECOND), "refused")
    passed("all of them")


for check in [proxies, toxics, all_of_them]:
    check()
