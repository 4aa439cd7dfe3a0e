"""The same application over every carrier, through every box: Node and Chromium, an unmodified Python backend."""
import asyncio
import json
import os
import subprocess
import time
from collections import Counter

import pytest

from kit import chrome
from kit.application_backend import CLIENT, ApplicationServer
from kit.middlebox import Middlebox
from kit.servers import node_args
from kit.wait import wait_until

# The box, and the carriers that the client may end up with there (of its own choice).
BOXES = {
    "none": ({}, {"websocket"}),
    "refuse": ({"upgrade": "refuse"}, {"stream"}),
    "bad": ({"upgrade": "bad"}, {"stream"}),
    "silent": ({"upgrade": "silent"}, {"stream"}),
    "strip": ({"upgrade": "strip"}, {"stream"}),
    "strip-connection": ({"upgrade": "strip-connection"}, {"stream"}),
    "hole": ({"upgrade": "hole"}, {"stream"}),
    "mute": ({"upgrade": "mute"}, {"stream"}),
    "once": ({"upgrade": "once"}, {"websocket", "stream"}),
    "buffer-4096": ({"upgrade": "refuse", "buffer": 4096}, {"stream", "poll"}),
    "buffer-end": ({"upgrade": "refuse", "buffer": "end"}, {"poll"}),
    "hold-first": ({"upgrade": "refuse", "hold_first": True}, {"stream"}),
    "idle-cut": ({"idle_cut_s": 0.4}, {"websocket", "stream"}),
    "life-cut": ({"upgrade": "refuse", "life_cut_s": 0.4}, {"stream", "poll"}),
    "unchunk": ({"upgrade": "refuse", "unchunk": True}, {"poll"}),
    "http10": ({"upgrade": "refuse", "http10": True}, {"stream"}),
    "one-connection": ({"upgrade": "refuse", "one_connection": True}, {"stream", "poll"}),
    "delay": ({"upgrade": "refuse", "delay_s": 0.15}, {"stream"}),
    "drop": ({"upgrade": "refuse", "drop": 0.01}, {"stream", "poll"}),
    "change-address": ({"upgrade": "refuse", "change_address": True}, {"stream"}),
    "cache-gets": ({"upgrade": "refuse", "cache_gets": True}, {"stream"}),
    "no-subprotocol": ({"strip": ["Sec-WebSocket-Protocol"]}, {"stream"}),
}
IS_FULL = bool(os.environ.get("HOLDFAST_E2E_FULL"))  # all of it, which takes many minutes


def run_node(node_home, **options):
    done = subprocess.run(node_args("application_node.js", CLIENT, json.dumps({"limit": 25000, **options})), capture_output=True, timeout=150,
                          stdin=subprocess.DEVNULL, env={**os.environ, "NODE_PATH": str(node_home / "node_modules")})
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return json.loads(done.stdout)


async def run_chrome(tab, **options):
    await tab.evaluate(f"void application.run({{ Socket: Holdfast, limit: 25000, ...{json.dumps(options)} }})"
                       ".then((results) => { globalThis.results = results; })")
    return await tab.wait_for("globalThis.results", "the results", 150)


def is_heavy(name):
    """Megabytes and tens of thousands of messages: over each carrier once; through every box with HOLDFAST_E2E_FULL=1."""
    return name in ("none", "refuse", "buffer-end") or IS_FULL


def judge(results, carriers, record_property=lambda *_: None):
    used = Counter(c for r in results for c in r["carrier"].split("+") if c)
    record_property("carriers", dict(used))
    print("carriers:", dict(used), "slowest:", sorted(((r["ms"], r["name"]) for r in results), reverse=True)[:3])
    failed = [r for r in results if r.get("error")]
    assert not failed, failed
    assert set(used) & carriers and set(used) <= carriers | {"stream", "poll"}, used
    return used


@pytest.fixture
def backend(directory, home, factory):  # the directory first: it has to outlive what `factory` ends
    server = ApplicationServer(home)
    return factory.keep(server, server.stop)


@pytest.fixture
def front(backend, holdfast, make_child, node_home):
    """The address of the proxy.  Where the binary has no fallback yet, or with HOLDFAST_E2E_REFERENCE=1 to try the tests themselves, that of
    contrib/client/test/reference.js, the second reading of the protocol."""
    if not os.environ.get("HOLDFAST_E2E_REFERENCE"):
        hf = holdfast(backend, route={"fallback": {}})
        if 'key "fallback" is not yet in effect' not in hf.log():
            return "%s:%d" % hf.address
    return make_child(["node", CLIENT / "test" / "reference.js", f"ws://{backend.address}/"],
                      env={"NODE_PATH": str(node_home / "node_modules")}).address


@pytest.fixture
def disturb(front, request):
    """Reloads the proxy now and then, where it is one that can."""
    made = getattr(request.node, "processes", ())
    times = [time.monotonic()]

    def now_and_then():
        if made and time.monotonic() > times[-1] + 2:
            made[0].reload()
            times.append(time.monotonic())
        return len(times) - 1
    return now_and_then


@pytest.fixture
def make_box(directory, front, home, factory):
    def make(**behaviour):
        box = Middlebox(home, front, **behaviour)
        return factory.keep(box, box.stop)
    return make


@pytest.mark.limit(170)
@pytest.mark.parametrize("name", BOXES)
def test_application_in_node(make_box, node_home, name, record_property):
    behaviour, carriers = BOXES[name]
    box = make_box(**behaviour)
    judge(run_node(node_home, url=f"ws://{box.address}/", side=1 if box.one_connection else 4, heavy=is_heavy(name)), carriers, record_property)


@pytest.mark.skipif(chrome.program() is None, reason="chromium is missing")
@pytest.mark.limit(170)
@pytest.mark.parametrize("name", BOXES if IS_FULL else ["none", "refuse", "hole", "mute", "buffer-end", "drop"])
async def test_application_in_chromium(make_box, directory, name, record_property):
    behaviour, carriers = BOXES[name]
    box = await asyncio.to_thread(make_box, **behaviour)
    async with chrome.Chrome(directory) as browser:
        tab = await browser.tab(f"http://{box.address}/page")
        await tab.wait_for("globalThis.application && globalThis.Holdfast", "the page")
        judge(await run_chrome(tab, url=f"ws://{box.address}/", side=1 if box.one_connection else 2, heavy=is_heavy(name)), carriers, record_property)


@pytest.mark.skipif(chrome.program() is None, reason="chromium is missing")
@pytest.mark.limit(120)
async def test_the_same_with_the_browsers_own_websocket(backend, directory):
    """Says that the tests are right: what they ask of us is what a WebSocket does."""
    async with chrome.Chrome(directory) as browser:
        tab = await browser.tab(f"http://{backend.address}/page")
        await tab.wait_for("globalThis.application && globalThis.Holdfast", "the page")
        await tab.evaluate("globalThis.Holdfast = WebSocket")
        judge(await run_chrome(tab, url=f"ws://{backend.address}/", side=4), {"native"})


OPENS = ["none", "refuse", "strip", "hole", "mute", "buffer-end"]  # section 3 of doc/fallback.md
WAITED = {"hole": 2.0, "mute": 2.0, "buffer-end": 3.0}  # by design; and then a round trip or two


@pytest.mark.parametrize("name", OPENS)
def test_open_comes_soon_and_sooner_when_remembered(make_box, node_home, name, record_property):
    box = make_box(**BOXES[name][0])
    results = run_node(node_home, url=f"ws://{box.address}/", only="one subprotocol", times=2)
    assert not [r for r in results if r.get("error")], results
    first, second = (r["opened"] / 1000 for r in results)
    record_property("open_s", [first, second])
    print(f"open after {first} s, then {second} s")
    assert WAITED.get(name, 0) <= first < WAITED.get(name, 0) + 1.9, "no wait but the one that is meant"
    assert second < 1.9, "remembered"


@pytest.mark.limit(200)
def test_nothing_is_lost_or_doubled_over_carriers_that_break(make_box, node_home, disturb, record_property):
    scale = 10 if IS_FULL else 1
    box = make_box()
    command = node_args("loss.js", CLIENT, json.dumps({"url": f"ws://{box.address}/", "sessions": 48, "messages": 100_000 * scale,
                                                       "carriers": 1000 * scale, "limit_ms": 50_000 * scale}))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, "NODE_PATH": str(node_home / "node_modules")})
    try:
        while process.poll() is None:
            box.cut(0.03)
            disturb()
            time.sleep(0.02)
        out, err = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 0, err.decode()[-3000:]
    total = json.loads(out)
    record_property("loss", total)
    print(total, "cuts", box.cuts, "reloads", disturb())
    assert (total["lost"], total["doubled"], total["disordered"]) == (0, 0, 0), total
    assert not total["closes"] and total["received"] == total["sent"] > 10_000, total
    assert all(count > 50 for count in total["carriers"].values()), total


CARRIERS = "globalThis.all.map((s) => s.carrier).sort().join()"


async def page_of(browser, front):
    tab = await browser.tab(f"http://{front}/page")
    await tab.wait_for("globalThis.application && globalThis.Holdfast", "the page")
    return tab


@pytest.mark.skipif(chrome.program() is None, reason="chromium is missing")
async def test_three_hold_a_connection_and_the_others_ask_now_and_then(front, directory):
    """A browser has six connections to a host: what holds them must leave some."""
    async with chrome.Chrome(directory) as browser:
        tabs = [await page_of(browser, front) for _ in range(2)]
        make = f"globalThis.all = [1, 2, 3].map(() => new Holdfast('ws://{front}/', [], {{ carriers: ['stream', 'poll'] }})); 0"
        await tabs[0].evaluate(make)
        await tabs[0].wait_for(f"{CARRIERS} == 'stream,stream,stream'", "three streams")
        await tabs[1].evaluate(make)
        await tabs[1].wait_for(f"{CARRIERS} == 'poll,poll,poll'", "a second tab that polls")
        await tabs[1].evaluate("all.forEach((s, i) => { s.onmessage = (e) => { s.heard = e.data; }; s.send('hello ' + i); }); 0")
        await tabs[1].wait_for("all.every((s, i) => s.heard == 'hello ' + i)", "echoes over polls that hold nothing")
        await tabs[0].evaluate("all[0].close(); 0")
        await tabs[1].wait_for("all.some((s) => s.carrier == 'stream')", "a place that has become free to be taken")


@pytest.mark.skipif(chrome.program() is None, reason="chromium is missing")
@pytest.mark.parametrize("carrier", ["websocket", "stream", "poll"])
async def test_a_page_that_goes_says_so(front, backend, directory, carrier):
    async with chrome.Chrome(directory) as browser:
        tab = await page_of(browser, front)
        await tab.evaluate(f"globalThis.all = [new Holdfast('ws://{front}/', [], {{ carriers: ['{carrier}'] }})]; 0")
        await tab.wait_for(f"{CARRIERS} == '{carrier}'", "the session")
        # A page that may come back (bfcache) keeps its session; one that listens to `unload` never does.
        await tab.evaluate("addEventListener('unload', () => {}); 0")
        await tab.call("Page.navigate", url="about:blank")
        await asyncio.to_thread(wait_until, lambda: backend.closes, "the close at the backend")
        assert backend.closes[0][0] in (1000, 1001), "at once, and not when nobody came back"
