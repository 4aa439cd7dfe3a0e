"""Endpoints that come, go, change places and weights by reload after reload, under load: nothing is dropped, and nothing stays."""
import asyncio
import random
import threading

import pytest

from kit.admin import Admin
from kit.backends import ok
from kit.frames import echo_frames, frame, open_websocket, read_frame, websocket_play
from kit.raw import RawClient
from kit.wait import wait_until


def churn(holdfast, make_origin, make_raw, short_directory, cycles):
    async def answer(request, conn):
        await asyncio.sleep(0)
        return ok(request.target)
    origins = [make_origin(answer) for _ in range(6)]
    sockets = [make_raw(websocket_play(echo_frames)) for _ in range(4)]
    path = short_directory / "admin.sock"
    drain = {"timeout": "1h"}
    hf = holdfast(clusters={"http": {"endpoints": origins, "balance": "round_robin", "drain": drain},
                            "ws": {"endpoints": sockets, "balance": "least_connections", "drain": drain,
                                   "affinity": {"cookie": {}}}},
                  routes=[{"name": "ws", "path": "/ws", "cluster": "ws"}, {"name": "http", "cluster": "http"}],
                  admin={"socket": str(path)}, workers=2)
    wait_until(path.exists, "the admin socket")
    admin = Admin(path)
    wrong, stop, done = [], threading.Event(), [0, 0]

    def requests(n):
        try:
            client = RawClient(hf.address)
            while not stop.is_set():
                got = client.request(f"/{n}-{done[0]}")
                if got.status != 200:
                    wrong.append((got.status, got.text))
                done[0] += 1
        except Exception as e:
            wrong.append(repr(e))

    def websockets(n):
        try:
            clients = [RawClient(hf.address) for _ in range(8)]
            for client in clients:
                open_websocket(client)
            turn = 0
            while not stop.is_set():
                turn += 1
                client = clients[turn % len(clients)]
                client.send(frame(1, f"{n}-{turn}"))
                if read_frame(client).payload != f"{n}-{turn}".encode():
                    wrong.append("another echo")
                done[1] += 1
            for client in clients:
                client.close()
        except Exception as e:
            wrong.append(repr(e))
    threads = [threading.Thread(target=f, args=(n,)) for n in range(2) for f in (requests, websockets)]
    for t in threads:
        t.start()
    wait_until(lambda: min(done) > 20, "some load")
    before = admin.metrics()["holdfast_process_open_fds"]
    dice, config = random.Random(4), hf.config
    whole = {c["name"]: list(c["endpoints"]) for c in config["clusters"]}
    connection = admin.connection()
    for cycle in range(cycles):
        for c in config["clusters"]:
            names = [e["address"] if isinstance(e, dict) else e for e in whole[c["name"]]]
            kept = dice.sample(names, dice.randint(1, len(names)))
            c["endpoints"] = [{"address": name, "weight": dice.randint(1, 9)} for name in kept]
            c["balance"] = dice.choice(["round_robin", "least_connections", "random_two", "ip_hash"])
        hf.write(config)
        connection.request("POST", "/reload")
        got = connection.getresponse()
        assert got.status == 200, got.read()
        got.read()
        assert not wrong, (cycle, wrong[:3])
    seen = list(done)
    wait_until(lambda: done[0] > seen[0] + 20 and done[1] > seen[1] + 20, "the load goes on")
    stop.set()
    for t in threads:
        t.join(30)
    assert not wrong, wrong[:3]
    # counts come back to nothing, of those too that were removed under them
    wait_until(lambda: all(c["active"] == 0 for c in admin.get("/clusters").json["clusters"]), "every place to be given back")
    rows = {c["cluster"]: c["endpoints"] for c in admin.get("/clusters").json["clusters"]}
    assert set(rows) == {"http", "ws"}
    for c in config["clusters"]:
        told = [(e["endpoint"], e["weight"], e["active"]) for e in rows[c["name"]]]
        assert told == [(e["address"], e["weight"], 0) for e in c["endpoints"]]
    assert admin.get("/connections").json["count"] == 0
    # what the load had open is closed, so there are fewer; idle connections to endpoints may be left
    assert admin.metrics()["holdfast_process_open_fds"] <= before
    assert hf.stop() == 0  # and the sanitizer finds nothing that was forgotten
    return done


def test_endpoints_churn_under_load(holdfast, make_origin, make_raw, short_directory):
    churn(holdfast, make_origin, make_raw, short_directory, 100)


@pytest.mark.slow
@pytest.mark.limit(1800)
def test_endpoints_churn_ten_thousand_times(holdfast, make_origin, make_raw, short_directory):
    print("requests, messages:", churn(holdfast, make_origin, make_raw, short_directory, 10000))
