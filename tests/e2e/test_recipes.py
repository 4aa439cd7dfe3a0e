"""doc/recipes: each configuration is good, and those whose servers come from npm or Debian are run as they stand: several
servers, a client of the kind, through the very file but for addresses."""
import json
import os
import re
import shutil
import subprocess

import pytest
import yaml

from kit import process
from kit.kernel import free_port
from kit.servers import HERE, node_home
from kit.wait import wait_until

RECIPES = process.TREE / "doc" / "recipes"
ALL = sorted(p.stem for p in RECIPES.glob("*.md") if p.stem != "README")


def text_of(recipe):
    """The recipe's file: its first block that begins with the listeners."""
    page = (RECIPES / f"{recipe}.md").read_text()
    return re.search(r"^```yaml\n(listeners:.*?)^```", page, re.M | re.S)[1]


@pytest.mark.parametrize("recipe", ALL)
def test_configuration_is_good(recipe, directory):
    file = directory / "holdfast.yaml"
    file.write_text(text_of(recipe))
    done = process.run("-t", "-c", file)
    assert done.returncode == 0 and not done.err, done.err


def test_every_recipe_is_listed():
    listed = re.findall(r"\]\((\w[\w-]*)\.md\)", (RECIPES / "README.md").read_text())
    assert sorted(listed) == ALL


def test_the_way_without_cookies_is_good(directory):
    page = (RECIPES / "socketio.md").read_text()
    config = yaml.safe_load(text_of("socketio"))
    config["clusters"][0].update(yaml.safe_load(re.search(r"^```yaml\n# instead.*?\n(.*?)^```", page, re.M | re.S)[1]))
    file = directory / "holdfast.yaml"
    file.write_text(yaml.safe_dump(config))
    assert process.run("-t", "-c", file).returncode == 0


# ---- run ----

@pytest.fixture(scope="session")
def recipes_home():
    return node_home("node-recipes")


class Served:
    """A recipe with its servers."""

    def __init__(self, hf, servers, home):
        self.hf, self.servers, self.home = hf, servers, home

    def client(self, kind, *args, timeout=60):
        done = subprocess.run(["node", str(HERE / "node-recipes" / "client.js"), kind, self.hf.url("").rstrip("/"), *args],
                              capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL,
                              env={**os.environ, "NODE_PATH": str(self.home / "node_modules")})
        assert done.returncode == 0, done.stderr.decode()[-2000:] + self.hf.log()[-2000:] + self.hf.access_text()[-2000:]
        return json.loads(done.stdout)

    def used(self):
        return {line["endpoint"] for line in self.hf.access() if line.get("endpoint")}


@pytest.fixture
def serve(holdfast, make_child, recipes_home):
    def make(recipe, kind=None, change=lambda config: None):
        config = yaml.safe_load(text_of(recipe))
        env = {"NODE_PATH": str(recipes_home / "node_modules")}
        servers = []
        for cluster in config["clusters"][:1]:
            for i, e in enumerate(cluster["endpoints"]):
                server = make_child(["node", str(HERE / "node-recipes" / "server.js"), kind or recipe, "ABC"[i]], env=env)
                servers.append(server)
                if isinstance(e, dict):
                    e["address"] = server.address
                else:
                    cluster["endpoints"][i] = server.address
        for listener in config["listeners"]:
            listener["bind"] = [f"127.0.0.1:{free_port()}"]
        config.update({"workers": 2, "shutdown": {"grace": "1s"}, "log": {"access": {"path": "-"}}})
        change(config)
        hf = holdfast(config=config)
        for server in servers:  # every check has been made once
            hf.wait_log(re.escape(server.address) + " is up")
        return Served(hf, servers, recipes_home)
    return make


@pytest.mark.limit(180)
@pytest.mark.parametrize("transport", ["polling", "websocket", "both"])
def test_socketio(serve, transport):
    """Node's fetch-less client keeps no cookies for polling of its own accord: `sid` leads it back there."""
    def learn(config):
        config["clusters"][0]["affinity"] = {"learn": {"from": "body", "key": "sid", "match": "query:sid"}}
    served = serve("socketio", change=learn if transport != "websocket" else lambda config: None)
    seen = [served.client("socketio", transport) for _ in range(4)]
    assert all(s["is_same"] for s in seen)
    assert {s["transport"] for s in seen} == {"polling" if transport == "polling" else "websocket"}
    assert len({s["who"] for s in seen}) > 1, "several servers took part"


def test_socketio_with_the_cookie(serve):
    """Engine.IO's polling by hand, with a cookie jar as a browser has one."""
    served = serve("socketio")
    whos = set()
    for _ in range(4):
        opened = served.hf.request("/socket.io/?EIO=4&transport=polling")
        cookie = opened.get("set-cookie").split(";")[0]
        assert cookie.startswith("io_route=")
        sid = json.loads(opened.text[1:])["sid"]
        at = f"/socket.io/?EIO=4&transport=polling&sid={sid}"
        told = served.hf.request(at, "POST", [("Cookie", cookie), ("Content-Type", "text/plain;charset=UTF-8")], b"40")
        assert told.text == "ok"
        texts = ""
        while "hello" not in texts:
            answer = served.hf.request(at, headers=[("Cookie", cookie)])
            assert answer.status == 200, answer.text
            texts += answer.text
        whos.add(re.search(r'"hello","(.)"', texts)[1])
    assert len(whos) > 1


@pytest.mark.limit(180)
def test_yjs_rooms_meet_on_one_server(serve):
    rooms = [f"room-{n}" for n in range(6)]
    served = serve("yjs")
    assert served.client("yjs", *rooms) == {room: "from the first" for room in rooms}
    where = {}
    for i, server in enumerate(served.servers):
        for room in re.findall(r"^room /(.*)$", server.log.read_text(), re.M):
            if room in rooms:
                where.setdefault(room, set()).add(i)
    assert set(where) == set(rooms) and all(len(servers) == 1 for servers in where.values())
    assert len(set.union(*where.values())) > 1, "rooms are spread"


def test_graphql_ws(serve):
    served = serve("graphql-ws")
    seen = served.client("graphql-ws")
    assert seen["counts"] == [1, 2, 3, 4, 5] and set(seen["whos"]) <= {"A", "B"}
    wait_until(lambda: len(served.used()) == 2, "both servers to have been asked")


def test_mqtt_with_aedes(serve):
    assert serve("mqtt").client("mqtt") == {"topic": "room/1", "payload": "hello"}


@pytest.mark.skipif(shutil.which("mosquitto") is None and not os.path.exists("/usr/sbin/mosquitto"),
                    reason="mosquitto is not there")
def test_mqtt_with_mosquitto(holdfast, make_child, recipes_home, directory):
    """Both listeners of the recipe: WebSocket, and TCP as devices speak it."""
    config = yaml.safe_load(text_of("mqtt"))
    ports = []
    for i in range(2):
        web, tcp = free_port(), free_port()
        conf = directory / f"mosquitto{i}.conf"
        conf.write_text(f"listener {web} 127.0.0.1\nprotocol websockets\nlistener {tcp} 127.0.0.1\nallow_anonymous true\n")
        make_child([shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", str(conf)], port=web)
        ports.append((web, tcp))
    config["clusters"][0]["endpoints"] = [f"127.0.0.1:{web}" for web, _ in ports]
    config["clusters"][1]["endpoints"] = [f"127.0.0.1:{tcp}" for _, tcp in ports]
    for listener in config["listeners"]:
        listener["bind"] = [f"127.0.0.1:{free_port()}"]
    config.update({"workers": 2, "shutdown": {"grace": "1s"}, "log": {"access": {"path": "-"}}})
    hf = holdfast(config=config)
    served = Served(hf, [], recipes_home)
    for _ in range(2):
        assert served.client("mqtt") == {"topic": "room/1", "payload": "hello"}
    device = hf.connect(("127.0.0.1", int(config["listeners"][1]["bind"][0].split(":")[1])))
    device.send(b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04dev1")
    assert device.read_exactly(4) == b"\x20\x02\x00\x00", "CONNACK, accepted"


@pytest.mark.parametrize("transport", ["websocket", "long-polling"])
def test_faye(serve, transport):
    served = serve("faye", change=lambda config: config.update(trusted_proxies=["127.0.0.1/32"]))
    seen = [served.client("faye", transport, f"192.0.2.{n}") for n in (1, 2, 3, 4, 5)]
    assert all(s["got"] == [1, 2, 3, 4, 5] for s in seen)
    handshakes = [s for server in served.servers for s in re.findall(r"^handshake (\w+)$", server.log.read_text(), re.M)]
    assert sorted(handshakes) == sorted(s["id"] for s in seen), "each client is known to one server"
    assert len(served.used()) == 2


def test_peerjs_meets_on_one_server_and_moves_to_the_other(serve):
    served = serve("peerjs")
    met = {"types": ["OPEN", "OPEN"], "offer": "OFFER", "src": True}
    assert served.client("peerjs") == met and served.used() == {served.servers[0].address}
    served.servers[0].kill()
    served.hf.wait_log(re.escape(served.servers[0].address) + " is down")
    assert served.client("peerjs") == met and served.used() == {s.address for s in served.servers}


def test_trpc(serve):
    served = serve("trpc")
    seen = served.client("trpc")
    assert seen["counts"] == [1, 2, 3, 4, 5] and set(seen["whos"]) <= {"A", "B"}
    wait_until(lambda: len(served.used()) == 2, "both servers to have been asked")
