"""Messages counted by key, over all connections that show the same one: limits.message_rate and byte_rate of a route."""
import base64
import hashlib
import hmac
import json
import time

import pytest

from kit.frames import BINARY, CLOSE, PING, TEXT, close_body, frame, read_frame, upgrade_request
from kit.wait import wait_until

SECRET = b"a secret of thirty-two bytes....x"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(**claims):
    text = b64(json.dumps({"alg": "HS256"}).encode()) + "." + b64(json.dumps({"exp": time.time() + 3600, **claims}).encode())
    return text + "." + b64(hmac.new(SECRET, text.encode(), hashlib.sha256).digest())


def route(directory, limits, key="ip", **policy):
    keys = {"limits": {**limits, "key": key}, "websocket": {"ping_interval": 0, "max_message_size": 0, **policy}}
    if key.startswith("claim:"):
        file = directory / "secret"
        file.write_bytes(SECRET)
        keys["auth"] = {"jwt": {"from": ["query:t"], "secret_file": str(file), "algorithms": ["HS256"]}}
    return keys


def same_and_other(key):
    """Arguments of handshakes that show the same key, and of one that shows another."""
    if key == "claim:sub":
        return [{"target": f"/ws?t={token(sub='one', jti=str(i))}"} for i in range(2)], {"target": f"/ws?t={token(sub='two')}"}
    if key == "header:X-User":
        return [{"extra": [("X-User", "one")]}] * 2, {"extra": [("X-User", "two")]}
    return [{}, {}], None


def opened(hf, tls, target="/ws", extra=()):
    client = hf.connect(tls=tls) if tls else hf.connect()
    client.send(upgrade_request(target, extra=extra))
    assert client.read_response().status == 101
    return client


def texts(backend):
    return [f.payload for c in backend.conns for f in c.frames if f.opcode in (TEXT, BINARY)]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("key", ["ip", "header:X-User", "claim:sub"])
@pytest.mark.parametrize("limits, sent, reason, config_key", [
    ({"message_rate": "1/m", "message_burst": 4}, (2, 2), "key_message_rate", "limits.message_rate"),
    ({"byte_rate": "100B/s"}, (1, 0), "key_byte_rate", "limits.byte_rate")], ids=["messages", "bytes"])
def test_connections_of_one_key_share_its_rate(holdfast, quiet, certs, directory, limits, sent, reason, config_key, key, tls):
    """Two connections use up what there is (bytes by one message that is paid for in minutes): the next message closes
    whoever sends it, and nobody else."""
    hf = holdfast(quiet, route=route(directory, limits, key, over_rate="close"), tls=tls)
    context = certs.client_context() if tls else None
    same, other = same_and_other(key)
    one, two = (opened(hf, context, **s) for s in same)
    for client, count in zip((one, two), sent):
        client.send(frame(TEXT, b"x" * 50000) * count)
    quiet.wait(lambda b: len(texts(b)) == sum(sent), "what is within the rate")
    two.send(frame(TEXT, b"too much"))
    close = read_frame(two)
    assert (close.opcode, close.code) == (CLOSE, 1008) and config_key in close.reason
    two.send(frame(CLOSE, close_body(1008)))
    (line,) = hf.wait_access(lambda x: x["event"] == "close")
    assert (line["reason"], line["key"], line["closed_by"]) == (reason, config_key, "proxy")
    assert one.is_silent(0.1), "the other one of the key lives"
    if other is not None:
        fresh = opened(hf, context, **other)
        fresh.send(frame(TEXT, b"of another key"))
        quiet.wait(lambda b: b"of another key" in texts(b), "another key's message")
    assert b"too much" not in texts(quiet)


def test_delay_lets_everything_of_a_key_through_in_its_time(holdfast, quiet, directory):
    hf = holdfast(quiet, route=route(directory, {"message_rate": "20/s", "message_burst": 10}))
    clients = [opened(hf, None) for _ in range(3)]
    began = time.monotonic()
    for client in clients:
        client.send(b"".join(frame(TEXT, b"%d" % i) for i in range(15)) + frame(CLOSE, close_body(1000)))
    quiet.wait(lambda b: len(texts(b)) == 45, "all of them", timeout=30)
    assert time.monotonic() - began > 1.5, "35 above the burst at 20/s"
    for conn in quiet.conns:
        assert [f.payload for f in conn.frames if f.opcode == TEXT] == [b"%d" % i for i in range(15)]


def test_drop_drops_whole_messages_of_a_key(holdfast, quiet, directory):
    hf = holdfast(quiet, route=route(directory, {"message_rate": "1/m", "message_burst": 3}, over_rate="drop"))
    one, two = opened(hf, None), opened(hf, None)
    one.send(frame(TEXT, b"1") + frame(TEXT, b"2"))
    quiet.wait(lambda b: len(texts(b)) == 2, "two")
    two.send(frame(TEXT, b"3") + frame(TEXT, b"dropped") + frame(BINARY, b"dropped") + frame(PING, b"passes"))
    quiet.wait(lambda b: any(f.opcode == PING for c in b.conns for f in c.frames), "the ping")
    assert sorted(texts(quiet)) == [b"1", b"2", b"3"]


def test_rates_by_key_of_another_configuration_hold_for_open_connections(holdfast, quiet, directory):
    hf = holdfast(quiet, route={"name": "r", "websocket": {"ping_interval": 0}})
    one, two = opened(hf, None), opened(hf, None)
    one.send(frame(TEXT, b"before") * 20)
    quiet.wait(lambda b: len(texts(b)) == 20, "no limit so far")
    routes = hf.config["listeners"][0]["routes"]
    routes[0].update(route(directory, {"message_rate": "1/m", "message_burst": 2}, over_rate="close"))
    routes.insert(0, {"name": "generation", "path": "= /generation", "respond": {"body": "2"}})
    hf.reload(hf.config)
    wait_until(lambda: all(hf.request("/generation").text == "2" for _ in range(16)), "the other configuration in force")
    one.send(frame(TEXT, b"a"))
    two.send(frame(TEXT, b"b"))
    quiet.wait(lambda b: len(texts(b)) == 22, "two more")
    two.send(frame(TEXT, b"c"))
    assert read_frame(two).code == 1008
