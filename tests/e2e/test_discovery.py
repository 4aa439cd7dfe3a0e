"""Endpoints that are looked up: in DNS, in a file."""
import json
import os
from collections import Counter

import pytest

from kit.admin import Admin
from kit.backends import named
from kit.dns import DnsServer
from kit.frames import echo_frames, frame, open_websocket, read_frame, websocket_play, TEXT
from kit.kernel import free_port
from kit.wait import wait_until

NAME = "chat.internal.test"


@pytest.fixture
def dns():
    server = DnsServer()
    yield server
    server.close()


def start(holdfast, dns, **discover):
    discover = {"dns": NAME, "refresh": "1s", **discover}
    return holdfast(clusters={"c": {"endpoints": [], "discover": discover, "timeouts": {"connect": "1s"}}},
                    resolver={"servers": [dns.address]})


def serves(hf, names, count=12):
    """Who answers, until it is exactly these."""
    def is_so():
        got = {(r.status, r.text if r.status == 200 else "") for r in (hf.request() for _ in range(count))}
        return got == {(200, n) for n in names}
    wait_until(is_so, lambda: f"{names}:\n{hf.log()[-1500:]}", timeout=30)


@pytest.fixture
def by_address(make_origin):
    """Three backends on one port of three addresses, as A records want them."""
    port = free_port()
    return port, {f"127.0.0.{i}": make_origin(named(f"127.0.0.{i}"), host=f"127.0.0.{i}", port=port) for i in (1, 2, 3)}


def test_addresses_are_followed(holdfast, dns, by_address):
    port, backends = by_address
    dns.records[NAME, "a"] = ["127.0.0.1", "127.0.0.2"]
    hf = start(holdfast, dns, port=port)
    serves(hf, ["127.0.0.1", "127.0.0.2"])
    dns.records[NAME, "a"] = ["127.0.0.3", "127.0.0.2", "127.0.0.3"]
    serves(hf, ["127.0.0.2", "127.0.0.3"])


@pytest.mark.parametrize("fault", [None, "servfail", "silent", "garbage", "nothing", "lie"])
def test_what_fails_keeps_the_last_good_answer(holdfast, dns, by_address, fault):
    port, _ = by_address
    dns.records[NAME, "a"] = ["127.0.0.1", "127.0.0.2"]
    hf = start(holdfast, dns, port=port)
    serves(hf, ["127.0.0.1", "127.0.0.2"])
    if fault is None:
        del dns.records[NAME, "a"]
    else:
        dns.records[NAME, "a"] = {"nothing": [], "lie": [b"\x7f\x00", "0.0.0.0", "224.0.0.1"]}.get(fault, fault)
    hf.wait_log("discovery of chat.internal.test failed: .*the last good answer stays", timeout=40)
    serves(hf, ["127.0.0.1", "127.0.0.2"])
    dns.records[NAME, "a"] = ["127.0.0.3"]
    hf.wait_log("discovery of chat.internal.test works again", timeout=40)
    serves(hf, ["127.0.0.3"])


def test_a_name_that_does_not_resolve_at_start_is_tried_again(holdfast, dns, by_address):
    port, _ = by_address
    hf = start(holdfast, dns, port=port)
    assert hf.request().status == 503
    hf.wait_log("there are no endpoints of it yet")
    dns.records[NAME, "a"] = ["127.0.0.2"]
    serves(hf, ["127.0.0.2"])


def test_an_endpoint_that_stays_keeps_its_connections(holdfast, dns, make_raw):
    port = free_port()
    backends = {f"127.0.0.{i}": make_raw(websocket_play(echo_frames), host=f"127.0.0.{i}", port=port) for i in (1, 2)}
    dns.records[NAME, "a"] = ["127.0.0.1"]
    hf = start(holdfast, dns, port=port)
    hf.wait_log("1 endpoint discovered")
    client = hf.connect()
    wait_until(lambda: hf.request("/", headers=[("x", "y")]) is not None, "anything")
    open_websocket(client)
    dns.records[NAME, "a"] = ["127.0.0.1", "127.0.0.2"]
    hf.wait_log("2 endpoints discovered")
    client.send(frame(TEXT, b"still here", mask=True))
    assert read_frame(client).payload == b"still here"


def test_huge_answers_come_over_tcp_and_are_bounded(holdfast, dns, by_address):
    port, _ = by_address
    dns.records[NAME, "a"] = [f"127.0.{i // 250}.{i % 250 + 1}" for i in range(2000)]
    hf = start(holdfast, dns, port=port)
    hf.wait_log("1024 endpoints discovered", timeout=40)
    assert dns.tcp_answers > 0
    dns.records[NAME, "a"] = ["127.0.0.1"]
    serves(hf, ["127.0.0.1"])


def test_ttl_is_kept(holdfast, dns, by_address):
    port, _ = by_address
    dns.ttl = 3600
    dns.records[NAME, "a"] = ["127.0.0.1"]
    hf = start(holdfast, dns, port=port)
    serves(hf, ["127.0.0.1"])
    other = "other.internal.test"
    dns.records[other, "a"] = ["127.0.0.2"]
    before = len(dns.questions)
    config = json.loads(json.dumps(hf.config))
    config["clusters"].append({"name": "d", "endpoints": [], "discover": {"dns": other, "port": port, "refresh": "1s"}})
    hf.reload(config)
    hf.wait_log('cluster "d": 1 endpoint discovered')
    assert dns.questions[before:] == [(other, "a")], "a reload does not ask again for what is known"


def test_service_records_have_ports_weights_and_backups(holdfast, dns, make_origin):
    origins = {n: make_origin(named(n)) for n in "abc"}
    dns.records[NAME, "srv"] = [(1, 1, origins["a"].port, "a.test"), (1, 3, origins["b"].port, "b.test"),
                                (2, 1, origins["c"].port, "c.test"), (1, 1, 9, "gone.test"), (0, 0, 0, ".")]
    for n in "abc":
        dns.records[f"{n}.test", "a"] = ["127.0.0.1"]
    hf = start(holdfast, dns, type="srv")
    serves(hf, "ab")
    client = hf.connect()
    got = Counter(client.request().text for _ in range(16))
    assert got == {"a": 4, "b": 12}
    dns.records[NAME, "srv"] = [(2, 1, origins["c"].port, "c.test")]
    serves(hf, "c")


# ---- files ----

def put(path, text):
    draft = path.with_suffix(".draft")
    draft.write_text(text if isinstance(text, str) else json.dumps(text))
    os.rename(draft, path)


def with_file(holdfast, path):
    return holdfast(clusters={"c": {"endpoints": [], "discover": {"endpoints_file": str(path), "refresh": "1h"}}})


def test_a_file_is_there_from_the_first_request_and_followed(holdfast, make_origin, directory):
    origins = {n: make_origin(named(n)) for n in "abc"}
    path = directory / "endpoints.json"
    put(path, [origins["a"].address])
    hf = with_file(holdfast, path)
    assert hf.request().text == "a"
    put(path, [origins["a"].address, {"address": origins["b"].address, "weight": 3}])
    serves(hf, "ab")
    put(path, f"endpoints:\n- {origins['c'].address}\n")
    serves(hf, "c")
    path.write_text(f"- {origins['b'].address}\n")
    serves(hf, "b")


@pytest.mark.parametrize("bad", ["[", "- 127.0.0.1\n", "- 127.0.0.1:80\n- 127.0.0.1:80\n", "{endpoint: []}", "\x00\xff"])
def test_a_broken_file_changes_nothing(holdfast, make_origin, directory, bad):
    origins = {n: make_origin(named(n)) for n in "ab"}
    path = directory / "endpoints.yaml"
    put(path, [origins["a"].address])
    hf = with_file(holdfast, path)
    put(path, bad)
    hf.wait_log("discovery of .* failed: it cannot be used: the last good answer stays")
    assert "endpoints.yaml:" in hf.log()
    serves(hf, "a")
    put(path, [origins["b"].address])
    serves(hf, "b")


def test_an_empty_list_is_no_fault(holdfast, make_origin, directory):
    path = directory / "endpoints.json"
    put(path, [make_origin(named("a")).address])
    hf = with_file(holdfast, path)
    assert hf.request().text == "a"
    put(path, "[]")
    wait_until(lambda: hf.request().status == 503, "nobody is left")


# ---- names of endpoints ----

HOST = "one.internal.test"


def by_name(holdfast, dns, port, **cluster):
    return holdfast([f"{HOST}:{port}"], cluster={"timeouts": {"connect": "1s"}, **cluster},
                    resolver={"servers": [dns.address]})


def test_a_name_that_is_not_found_at_start_is_shown_and_asked_for_again(holdfast, dns, by_address, short_directory):
    port, _ = by_address
    path = short_directory / "admin.sock"
    hf = holdfast([f"{HOST}:{port}"], resolver={"servers": [dns.address]}, admin={"socket": str(path)})
    hf.wait_log(f"endpoint {HOST}:{port} cannot be looked up")
    assert hf.request().status == 503
    (row,) = Admin(path).get("/clusters/c").json["endpoints"]
    assert row["state"] == "unresolved" and "cannot be looked up" in row["why"] and row["address"] == ""
    dns.records[HOST, "a"] = ["127.0.0.2"]
    serves(hf, ["127.0.0.2"])
    (row,) = Admin(path).get("/clusters/c").json["endpoints"]
    assert row["state"] == "ready" and row["address"] == f"127.0.0.2:{port}"
    assert hf.log().count("cannot be looked up") == 1  # said once, however often it failed


def test_a_name_is_followed_and_keeps_its_address_while_it_fails(holdfast, dns, by_address):
    port, _ = by_address
    dns.records[HOST, "a"] = ["127.0.0.1"]
    hf = by_name(holdfast, dns, port)
    serves(hf, ["127.0.0.1"])
    for fault in ("servfail", "garbage", None):
        dns.records[HOST, "a"] = fault
        asked = len(dns.questions)
        hf.reload()
        wait_until(lambda: len(dns.questions) > asked + 2, "it to be asked again")
        serves(hf, ["127.0.0.1"])
    dns.records[HOST, "a"] = ["127.0.0.3"]
    hf.reload()
    serves(hf, ["127.0.0.3"])


def test_an_address_in_use_stays_while_it_is_among_the_answers(holdfast, dns, by_address):
    port, _ = by_address
    dns.records[HOST, "a"] = ["127.0.0.1", "127.0.0.2"]
    hf = by_name(holdfast, dns, port)
    wait_until(lambda: hf.request().status == 200, "an address")
    first = hf.request().text
    for _ in range(3):
        dns.records[HOST, "a"] = dns.records[HOST, "a"][::-1]
        asked = len(dns.questions)
        hf.reload()
        wait_until(lambda: len(dns.questions) > asked, "it to be asked again")
        assert {hf.request().text for _ in range(6)} == {first}
