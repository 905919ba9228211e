"""Chaos Toolkit: an experiment in which each toxic comes and goes, and one that finds a fault and takes it back."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

from checks import LIMIT, passed
from toxic_traffic import TOXICS, is_well, lost

api, source, place = sys.argv[1:]
here = Path(__file__).parent
# Nobody else takes the server's port at this address, also while nobody listens there.
web = f"127.0.0.2:{source}"


def call(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{api}{path}", data, LIMIT) as answer:
        return json.load(answer)


def run(experiment):
    """How it ended, its journal, and what each step gave."""
    journal = Path(place) / "journal.json"
    journal.unlink(missing_ok=True)
    environment = {**os.environ, "HOME": place, "PYTHONPATH": str(here), "TOXIPROXY_PORT": api, "SERVER_PORT": source, "WEB": web}
    chaos = [sys.executable, "-m", "chaostoolkit", "--no-version-check", "--no-log-file"]
    words = ["run", "--journal-path", journal, here / experiment]
    ended = subprocess.run(chaos + words, cwd=place, env=environment, capture_output=True, text=True, timeout=3 * LIMIT)
    assert journal.exists(), ended.stdout + ended.stderr
    journal = json.loads(journal.read_text())
    for step in journal["run"] + journal["rollbacks"]:
        assert step["status"] == "succeeded", step
        assert step["activity"]["type"] == "probe" or step["output"] is not False, step
    return ended.returncode, journal, {step["activity"]["name"]: step.get("output") for step in journal["run"]}


def each():
    code, journal, gave = run("toxiproxy_each.yaml")
    assert (code, journal["status"], journal["deviated"]) == (0, "completed", False), journal
    for kind, (_, _, acts) in TOXICS.items():
        assert gave[f"add {kind}"] is True and acts(gave[f"meet {kind}"]), (kind, gave)
    assert gave["the other is well"] and gave["the other is well again"]
    assert gave["its server"] == f"127.0.0.1:{source}"
    assert lost(gave["nothing of the other"], "closed")
    assert lost(gave["nobody there"], "refused")
    assert gave["no server"]["bytes"] == 0 and gave["gone"] is False
    assert set(call("/proxies")) == {"web"}
    passed("each toxic")


def cut():
    code, journal, _ = run("toxiproxy_cut.yaml")
    assert (code, journal["status"], journal["deviated"]) == (1, "completed", True), (code, journal)
    states = journal["steady_states"]
    assert states["before"]["steady_state_met"] and not states["after"]["steady_state_met"]
    # Its rollback has put everything back.
    assert [step["activity"]["name"] for step in journal["rollbacks"]] == ["take all toxics away"]
    assert call("/proxies/web")["toxics"] == [] and is_well(web)
    passed("cut")


call("/proxies", {"name": "web", "listen": web, "upstream": f"127.0.0.1:{source}"})
each()
cut()
