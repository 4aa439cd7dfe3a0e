"""What brings a client back to its endpoint: hashing, signed cookies, sessions that endpoints name."""
import base64
import copy
import hmac
import json
import os
import re
import subprocess
from collections import Counter

import pytest

from kit.backends import named, ok
from kit.frames import echo_frames, open_websocket, upgrade_request, websocket_play
from kit.servers import node_args
from test_reload import Reloader, with_generation

COOKIE = {"affinity": {"cookie": {"secure": False}}}


@pytest.fixture
def three(make_origin):
    return [make_origin(named(n)) for n in "abc"]


def ask(hf, cookie=None, target="/", headers=()):
    return hf.request(target, headers=[*headers, *([("Cookie", cookie)] if cookie else [])])


def first(hf, **more):
    """A client's first request: who answered, and its cookie."""
    response = ask(hf, **more)
    return response.text, response.get("set-cookie").split(";")[0]


# ---- hashing ----

@pytest.mark.parametrize("key, show", [
    ("query:room", lambda i: {"target": f"/ws?x={i % 7}&room={i}"}),
    ("header:X-Room", lambda i: {"headers": [("x-room", str(i))]}),
    ("cookie:room", lambda i: {"headers": [("Cookie", f"a=b; room={i}")]}),
    ("uri", lambda i: {"target": f"/room/{i}?token={os.urandom(4).hex()}"}),
], ids=lambda v: v if isinstance(v, str) else "")
def test_the_same_key_goes_to_the_same_endpoint(holdfast, three, key, show):
    hf = holdfast(three, cluster={"balance": "consistent_hash", "hash_on": key})
    where = {i: ask(hf, **show(i)).text for i in range(40)}
    assert set(where.values()) == set("abc")
    for _ in range(2):
        assert {i: ask(hf, **show(i)).text for i in range(40)} == where


def bearer(secret, **claims):
    def b64(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    signed = b64(b'{"alg": "HS256"}') + "." + b64(json.dumps(claims).encode())
    return signed + "." + b64(hmac.digest(secret, signed.encode(), "sha256"))


def test_a_claim_of_a_checked_token_is_a_key(holdfast, three, directory):
    secret = os.urandom(32).hex().encode()
    (directory / "secret").write_bytes(secret)
    hf = holdfast(three, cluster={"balance": "consistent_hash", "hash_on": "claim:sub"},
                  route={"auth": {"jwt": {"secret_file": str(directory / "secret"), "algorithms": ["HS256"]}}})

    def where(i):
        # what else the token says, and where it differs, does not matter
        return ask(hf, headers=[("Authorization", "Bearer " + bearer(secret, sub=f"user-{i}", jti=os.urandom(4).hex()))]).text
    seen = {i: where(i) for i in range(40)}
    assert set(seen.values()) == set("abc")
    assert {i: where(i) for i in range(40)} == seen


def test_two_proxies_agree_whatever_the_order_of_the_file(holdfast, three):
    keys = {"balance": "consistent_hash", "hash_on": "query:room"}
    one, two = holdfast(three, cluster=keys), holdfast(three[::-1], cluster=keys)
    for i in range(40):
        assert ask(one, target=f"/?room={i}").text == ask(two, target=f"/?room={i}").text


def test_requests_without_the_key_are_spread(holdfast, three):
    hf = holdfast(three, cluster={"balance": "consistent_hash", "hash_on": "query:room"})
    assert set(ask(hf).text for _ in range(60)) == set("abc")


def test_bounded_loads_are_never_exceeded(holdfast, make_raw):
    """One key, sixty WebSockets: without a bound all of them would be on one endpoint."""
    backends = [make_raw(websocket_play(echo_frames)) for _ in range(3)]
    hf = holdfast(backends, cluster={"balance": "consistent_hash", "hash_on": "query:room", "hash_bound": 1.25})
    clients = []
    for _ in range(60):
        clients.append(hf.connect())
        open_websocket(clients[-1], "/ws?room=one")
        load = [sum(1 for c in b.conns if c.ended is None) for b in backends]
        assert max(load) <= 1.25 * (len(clients) + 1) / 3 + 1, load
    assert max(load) == 26 or max(load) == 25, load


# ---- the cookie ----

def test_a_cookie_brings_the_client_back(holdfast, three):
    hf = holdfast(three, cluster=COOKIE)
    clients = [first(hf) for _ in range(9)]
    assert Counter(name for name, _ in clients).keys() == set("abc")
    for _ in range(3):
        for name, cookie in clients:
            response = ask(hf, f"other=1; {cookie}; more=2")
            assert response.text == name
            assert response.get("set-cookie") is None, "it has one already"


def test_the_cookie_says_nothing_and_has_its_attributes(holdfast, three):
    hf = holdfast(three, cluster={"affinity": {"cookie": {
        "name": "where", "ttl": "1d", "path": "/app", "secure": True, "http_only": True, "same_site": "none"}}})
    value = ask(hf).get("set-cookie")
    assert re.fullmatch(r"where=[A-Za-z0-9_-]{22}; Path=/app; Max-Age=86400; Secure; HttpOnly; SameSite=None", value)


def test_the_usual_attributes(holdfast, three):
    value = ask(holdfast(three, cluster={"affinity": {"cookie": {}}})).get("set-cookie")
    assert re.fullmatch(r"hf_route=[A-Za-z0-9_-]{22}; Path=/; Secure; HttpOnly; SameSite=Lax", value)


def test_the_backend_s_cookies_are_left_alone(holdfast, make_origin):
    origin = make_origin(lambda *_: ok("x", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/")]))
    got = ask(holdfast(origin, cluster=COOKIE)).all("set-cookie")
    assert got[:2] == ["a=1", "b=2; Path=/"] and got[2].startswith("hf_route=") and len(got) == 3


def test_the_cookie_is_set_on_101_and_honoured_there(holdfast, make_raw):
    backends = [make_raw(websocket_play(echo_frames)) for _ in range(3)]
    hf = holdfast(backends, cluster=COOKIE)
    cookie = open_websocket(hf.connect()).get("set-cookie").split(";")[0]
    mine = [len(b.conns) for b in backends].index(1)
    for _ in range(5):
        client = hf.connect()
        client.send(upgrade_request("/ws", extra=[("Cookie", cookie)]))
        response = client.read_response()
        assert response.status == 101 and response.get("set-cookie") is None
    assert [len(b.conns) for b in backends][mine] == 6


@pytest.mark.parametrize("cookie", [
    "hf_route=", "hf_route=x", "hf_route=" + "A" * 22, "hf_route=" + "A" * 3000, "hf_route=\xff\xfe\x01" + "b" * 19,
    "hf_route", "=hf_route", ";;;=;", 'hf_route="a"; hf_route=b'], ids=range(9))
def test_forged_cookies_are_ignored(holdfast, three, cookie):
    hf = holdfast(three, cluster=COOKIE, workers=1)
    got = [ask(hf, cookie.replace("\x01", "")) for _ in range(6)]
    assert Counter(r.text for r in got) == {"a": 2, "b": 2, "c": 2}
    assert all(r.get("set-cookie").startswith("hf_route=") for r in got)


def test_a_cookie_of_another_process_is_ignored_but_for_a_shared_secret(holdfast, three, directory):
    secret = directory / "secret"
    secret.write_text("a secret of at least sixteen bytes\n")
    shared = {"affinity": {"cookie": {"secure": False, "secret_file": str(secret)}}}
    one, two, alien = holdfast(three, cluster=shared), holdfast(three[::-1], cluster=shared), holdfast(three, cluster=COOKIE)
    for _ in range(6):
        name, cookie = first(one)
        got = ask(two, cookie)
        assert got.text == name and got.get("set-cookie") is None
        assert ask(alien, cookie).get("set-cookie") is not None


def test_a_reload_keeps_clients_where_they_were(holdfast, three):
    hf = holdfast(three, cluster=COOKIE)
    clients = [first(hf) for _ in range(9)]
    config = copy.deepcopy(hf.config)
    config["clusters"][0]["endpoints"].reverse()
    Reloader(hf)(config)
    for name, cookie in clients:
        assert ask(hf, cookie).text == name


@pytest.mark.parametrize("how", ["removed", "weight 0", "down"])
def test_an_endpoint_that_cannot_serve_is_left_and_the_cookie_set_anew(holdfast, make_origin, how):
    origins = {n: make_origin(named(n)) for n in "abc"}
    hf = holdfast(list(origins.values()), cluster={**COOKIE, "timeouts": {"connect": "1s"}})
    name, cookie = first(hf)
    config = copy.deepcopy(hf.config)
    endpoints = config["clusters"][0]["endpoints"]
    at = endpoints.index(origins[name].address)
    if how == "removed":
        del endpoints[at]
    elif how == "weight 0":
        endpoints[at] = {"address": endpoints[at], "weight": 0}
    if how == "down":
        origins[name].stop()
    else:
        Reloader(hf)(config)
    moved = ask(hf, cookie)
    assert moved.status == 200 and moved.text != name
    fresh = moved.get("set-cookie").split(";")[0]
    assert fresh != cookie
    for _ in range(3):
        assert ask(hf, fresh).text == moved.text


def test_a_full_endpoint_is_left(holdfast, make_raw):
    backends = [make_raw(websocket_play(echo_frames)) for _ in range(2)]
    hf = holdfast([{"address": b, "max_connections": 1} for b in backends], cluster=COOKIE)
    one = hf.connect()
    cookie = open_websocket(one).get("set-cookie").split(";")[0]
    two = hf.connect()
    two.send(upgrade_request("/ws", extra=[("Cookie", cookie)]))
    response = two.read_response()
    assert response.status == 101 and not response.get("set-cookie").startswith(cookie)
    assert [len(b.conns) for b in backends] == [1, 1]


def test_a_split_keeps_clients_that_hold_a_cookie(holdfast, make_origin):
    clusters = {n: {"endpoints": [make_origin(named(n))], **COOKIE} for n in ("stable", "canary")}
    route = {"name": "all", "clusters": [{"name": "stable", "weight": 50}, {"name": "canary", "weight": 50}]}
    hf = holdfast(clusters=clusters, routes=[route])
    clients = {}
    while clients.keys() != clusters.keys():
        name, cookie = first(hf)
        clients[name] = cookie
    for _ in range(12):
        for name, cookie in clients.items():
            assert ask(hf, cookie).text == name
    config = copy.deepcopy(hf.config)
    route = config["listeners"][0]["routes"][0]
    route["clusters"][1]["weight"] = 0
    Reloader(hf)(config)
    for _ in range(4):
        assert ask(hf, clients["canary"]).text == "stable", "a canary of weight 0 is over"


# ---- sessions that endpoints name ----

def engine(name):
    """What Engine.IO does: makes up a sid, and knows no other server's."""
    sessions = set()

    def reply(request, _conn):
        sid = re.search(r"[?&]sid=([^&]*)", request.target)
        if not sid:
            sessions.add(f"{name}-{len(sessions)}")
            return ok('0{"sid" : "%s-%d","upgrades":[]}' % (name, len(sessions) - 1), [("X-Sid", f"{name}-{len(sessions) - 1}")])
        return ok(name) if sid[1] in sessions else ok("Session ID unknown", status="400 Bad Request")
    return reply


@pytest.mark.parametrize("learn", [{"from": "body", "key": "sid"}, {"from": "header", "key": "X-Sid"}], ids=["body", "header"])
def test_sessions_are_learned(holdfast, make_origin, learn):
    hf = holdfast([make_origin(engine(n)) for n in "abc"],
                  cluster={"affinity": {"learn": {**learn, "match": "query:sid"}}})
    sids = [ask(hf, target="/engine.io/").get("x-sid") for _ in range(12)]
    assert {sid[0] for sid in sids} == set("abc")
    for _ in range(3):
        for sid in sids:
            assert ask(hf, target=f"/engine.io/?sid={sid}").text == sid[0]
    config = with_generation(hf.config, 1)
    Reloader(hf)(config)
    for sid in sids:
        assert ask(hf, target=f"/engine.io/?sid={sid}").text == sid[0], "a reload forgets no session"


def many(hf, node_home, mode, count=30):
    done = subprocess.run(node_args("socketio_many.js", hf.url(""), mode, str(count)), capture_output=True, timeout=80,
                          env={**os.environ, "NODE_PATH": str(node_home / "node_modules")})
    return json.loads(done.stdout)


@pytest.mark.parametrize("mode, affinity", [
    ("cookies", COOKIE["affinity"]),
    ("bare", {"learn": {"from": "body", "key": "sid", "match": "query:sid"}}),
], ids=["cookie", "learn"])
def test_socket_io_over_three_servers(holdfast, make_node, node_home, mode, affinity):
    """Polling, then the upgrade: every request of a session has to reach the server that named it."""
    hf = holdfast([make_node("socketio_server.js") for _ in range(3)], cluster={"affinity": affinity})
    assert many(hf, node_home, mode) == {"answered": 30, "transports": {"websocket": 30}, "errors": []}


def test_socket_io_over_three_servers_fails_without_affinity(holdfast, make_node, node_home):
    """That the test above can fail."""
    hf = holdfast([make_node("socketio_server.js") for _ in range(3)])
    assert many(hf, node_home, "bare", 6)["errors"]
