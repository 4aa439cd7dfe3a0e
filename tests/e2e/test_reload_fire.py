"""Reloads under fire: WebSockets talk and new ones come, while one configuration follows another."""
import asyncio
import json
import os
import random
import resource
import signal
import time

import pytest

from kit import process
from kit.admin import Admin
from kit.frames import KEY, TEXT, accept_of, frame, upgrade_request
from kit.process import config_of, is_sanitized
from kit.wait import wait_until

# Two descriptors a client in holdfast, one here and one in the backend; a quarter is left for the rest.
WANTED = int(os.environ.get("HOLDFAST_FIRE_SOCKETS", "2000"))
RELOADS = int(os.environ.get("HOLDFAST_FIRE_RELOADS", "100"))


class Talker(asyncio.Protocol):
    """A WebSocket client that says a number, waits for it to come back, and says the next."""

    def __init__(self, pauses, lags):
        self.pauses, self.lags = pauses, lags
        self.buffer, self.count, self.said_at, self.failure = b"", 0, 0.0, None
        loop = asyncio.get_running_loop()
        self.opened, self.over = loop.create_future(), loop.create_future()
        self.is_leaving = False

    def connection_made(self, transport):
        self.transport = transport
        transport.write(upgrade_request("/ws"))

    def data_received(self, data):
        self.buffer += data
        if not self.opened.done():
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return
            self.buffer = rest
            if b" 101 " not in head or accept_of(KEY).encode() not in head:
                self.fail(f"no handshake: {head[:200]!r}")
                return
            self.opened.set_result(True)
            self.say_later()
        while len(self.buffer) >= 2:
            length = self.buffer[1] & 127
            if len(self.buffer) < 2 + length:
                return
            opcode, payload = self.buffer[0] & 15, self.buffer[2:2 + length]
            self.buffer = self.buffer[2 + length:]
            if opcode == 9:
                self.transport.write(frame(10, payload))
            elif opcode != TEXT or payload != self.words():
                self.fail(f"opcode {opcode}, {payload!r}, and not {self.words()!r}")
            else:
                self.lags.append(time.monotonic() - self.said_at)
                self.count += 1
                self.say_later()

    def words(self):
        return f"message {self.count}".encode()

    def say_later(self):
        asyncio.get_running_loop().call_later(random.uniform(*self.pauses), self.say)

    def say(self):
        if not self.over.done() and not self.is_leaving:
            self.said_at = time.monotonic()
            self.transport.write(frame(TEXT, self.words()))

    def fail(self, what):
        self.failure = self.failure or what
        if not self.opened.done():
            self.opened.set_result(False)
        self.transport.abort()

    def connection_lost(self, error):
        if not self.is_leaving:
            self.fail(f"dropped after {self.count} messages: {error!r}")
        if not self.over.done():
            self.over.set_result(True)

    def leave(self):
        self.is_leaving = True
        self.transport.abort()


async def talkers(address, count, pauses, lags):
    loop, made = asyncio.get_running_loop(), []
    for at in range(0, count, 50):
        group = [await loop.create_connection(lambda: Talker(pauses, lags), *address) for _ in range(min(50, count - at))]
        made += [p for _, p in group]
        await asyncio.gather(*(asyncio.wait_for(p.opened, 30) for _, p in group))
    return made


class Arrivals:
    """New clients, one after the other, for as long as it lasts."""

    def __init__(self, address):
        self.address, self.count, self.failures, self.lags, self.done = address, 0, [], [], False
        self.task = asyncio.ensure_future(self.run())

    async def run(self):
        while not self.done:
            try:
                [talker] = await talkers(self.address, 1, (0, 0), self.lags)
                while talker.count < 2 and not talker.failure:
                    await asyncio.sleep(0.002)
                if talker.failure:
                    self.failures.append(talker.failure)
                talker.leave()
                self.count += 1
            except OSError as e:
                self.failures.append(repr(e))

    async def stop(self):
        self.done = True
        await self.task


def changed(config, number):
    """Another file each time: routes, weights, limits and timeouts differ."""
    fresh = json.loads(json.dumps(config))
    listener, cluster = fresh["listeners"][0], fresh["clusters"][0]
    listener["routes"].insert(0, {"name": "generation", "path": "= /generation",
                                  "respond": {"status": 200, "body": str(number)}})
    listener["routes"][-1]["websocket"] = {"ping_interval": f"{20 + number % 7}s", "max_message_size": f"{64 + number % 5}KiB"}
    listener["timeouts"] = {"header": f"{5 + number % 9}s"}
    cluster["endpoints"] = [{"address": e, "weight": 1 + (number + i) % 3} for i, e in enumerate(cluster["endpoints"])]
    cluster["balance"] = ("round_robin", "least_connections", "random_two")[number % 3]
    return fresh


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] * 1000 if values else 0.0


async def generation_is(admin, count):
    for _ in range(3000):
        if admin.get("/status").json["reload"]["succeeded"] >= count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"reload {count} is not in force")


@pytest.mark.limit(300)
def test_nothing_is_dropped_or_refused(holdfast, make_node, short_directory, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sockets = min(WANTED, (hard - 500) // 3)
    backends = [make_node(), make_node()]
    config = config_of([b.address for b in backends], log={"level": "warn"}, route={"path": "/ws"},
                       admin={"socket": str(short_directory / "a")})
    hf = holdfast(config=changed(config, 0))
    admin = Admin(short_directory / "a")
    wait_until((short_directory / "a").exists, "the admin socket")
    quiet, fired = [], []

    async def main():
        pauses = (1, 5)
        all_talkers = await talkers(hf.address, sockets, pauses, quiet)
        for n in range(1, 4):  # what the first reloads allocate for good
            hf.reload(changed(config, n))
            await generation_is(admin, n)
        await asyncio.sleep(4)
        memory = hf.memory_kib()
        quiet_lags = list(quiet)
        for t in all_talkers:
            t.lags = fired
        arrivals = Arrivals(hf.address)
        for n in range(4, 4 + RELOADS):
            hf.reload(changed(config, n))
            await generation_is(admin, n)
        while not all(t.count >= 3 or t.failure for t in all_talkers):
            await asyncio.sleep(0.05)
        await arrivals.stop()
        await asyncio.sleep(1)
        failures = [t.failure for t in all_talkers if t.failure]
        assert not failures, f"{len(failures)} of {sockets}: {failures[:5]}"
        assert not arrivals.failures, arrivals.failures[:5]
        assert arrivals.count > 20
        status = admin.get("/status").json
        assert status["connections"]["websocket"] >= sockets and status["reload"]["succeeded"] == 3 + RELOADS
        grown = hf.memory_kib() - memory
        with capsys.disabled():
            print(f"\n{sockets} WebSockets, {len(fired)} messages, {arrivals.count} arrivals over {RELOADS} reloads; p99.9 "
                  f"{percentile(fired, .999):.1f} ms, quiet {percentile(quiet_lags, .999):.1f} ms; "
                  f"{memory} KiB and {grown:+} KiB")
        for t in all_talkers:
            t.leave()
        return grown

    grown = asyncio.run(main())
    assert grown < (24576 if is_sanitized() else 4096), f"{grown} KiB more after {RELOADS} reloads"
    children = [p for p in os.listdir("/proc") if p.isdigit() and is_child(p, hf.pid)]
    assert children == [], "one process"


def is_child(pid, parent):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return int(f.read().rsplit(")", 1)[1].split()[1]) == parent
    except (OSError, ValueError):
        return False


# ---- what is refused under fire ----

@pytest.mark.limit(120)
def test_refused_reloads_change_nothing_and_say_why(holdfast, make_node, certs, directory, short_directory):
    import shutil
    import socket
    key = directory / "live.key"
    shutil.copy(certs.leaf.key, key)
    backend = make_node()
    config = config_of(backend.address, route={"path": "/ws"}, admin={"socket": str(short_directory / "a")})
    hf = holdfast(config=config)
    admin = Admin(short_directory / "a")
    taken = socket.create_server(("127.0.0.1", 0))
    port = taken.getsockname()[1]

    def with_listener(**more):
        fresh = json.loads(json.dumps(config))
        fresh["listeners"].append({"name": "more", "bind": [f"127.0.0.1:{port}"], "routes": [{"cluster": "c"}], **more})
        return fresh
    broken = [
        ("listeners: [\n", "holdfast.yaml:"),
        ({**config, "nonsense": 1}, "nonsense"),
        (with_listener(), f"127.0.0.1:{port}: Address already in use"),
        (with_listener(tls={"certificates": [{"cert": certs.leaf.cert, "key": "/nowhere.key"}]}), "/nowhere.key"),
    ]

    async def main():
        lags = []
        made = await talkers(hf.address, 100, (0, 0.05), lags)
        for file, why in broken * 5:
            hf.write(file)
            answer = await asyncio.to_thread(admin.ask, "POST", "/reload")
            assert answer.status == 422 and any(why in e for e in answer.json["errors"]), answer.text
            assert any(why in e for e in admin.get("/status").json["reload"]["errors"])
        seen = [t.count for t in made]
        await asyncio.sleep(0.3)
        assert all(t.count > n for t, n in zip(made, seen)) and not any(t.failure for t in made)
        for t in made:
            t.leave()
    asyncio.run(main())
    taken.close()
    hf.write(config)
    assert admin.ask("POST", "/reload").status == 200
