"""A tenth of many connections reads nothing while the backend sends to each: the others are served, memory stays within the
bounds, in each policy."""
import pytest

from kit.frames import BINARY, CLOSE, TEXT, frame, open_websocket, read_frame, read_frame_from, websocket_play
from kit.raw import Truncated
from kit.wait import wait_until

SIZE = 1024
FEW, MANY = 1200, 4000  # messages: more than the bound
SEND_BUFFER = 64 << 10
UNDER_WAY = 256 << 10  # what one receive may still bring when reading stops: net/stream's credit


def numbered(i):
    return b"%08d" % i + b"." * (SIZE - 8)


@pytest.fixture
def backend(make_raw):
    """Echoes; a connection to /push gets numbered messages, as fast as it takes them."""
    async def script(conn):
        conn.pushed = 0
        count = MANY if conn.head.startswith("GET /push/many") else FEW
        if not conn.head.startswith("GET /push"):
            while True:
                f = await read_frame_from(conn)
                await conn.send(frame(f.opcode, f.payload, mask=False))
        try:
            for i in range(count):
                await conn.send(frame(BINARY, numbered(i), mask=False))
                conn.pushed = i + 1
            conn.has_finished = True
            await conn.read_to_end()
        except ConnectionError:
            pass
    return make_raw(websocket_play(script))


def finished(backend):
    return sum(hasattr(c, "has_finished") for c in list(backend.conns))


def rest_of(client, count):
    """What waits for one that begins to read after all: numbers, and the code of a Close."""
    numbers = []
    try:
        while not numbers or numbers[-1] != count - 1:
            f = read_frame(client)
            if f.opcode == CLOSE:
                return numbers, f.code
            assert f.payload == numbered(int(f.payload[:8]))
            numbers.append(int(f.payload[:8]))
    except (Truncated, OSError):
        pass
    return numbers, None


@pytest.mark.parametrize("way, count", [("plain", 1000), ("tls", 200)])
@pytest.mark.parametrize("policy", ["pause", "close", "drop_oldest", "latest"])
def test_clients_that_read_nothing_cost_their_bound_and_nobody_else(holdfast, backend, certs, policy, way, count):
    hf = holdfast(backend, workers=1, tls=way == "tls", limits={"per_ip": {"connections": 0, "connection_rate": 0}},
                  route={"websocket": {"slow_client": policy, "send_buffer": f"{SEND_BUFFER >> 10}KiB", "slow_timeout": "2s", "ping_interval": 0}})
    context = certs.client_context() if way == "tls" else None
    others, stalled, pushed = [], [], MANY if policy in ("pause", "close") else FEW
    for _ in range(count - count // 10):
        others.append(hf.connect(tls=context))
        open_websocket(others[-1])
    before = hf.memory_kib()
    for _ in range(count // 10):
        stalled.append(hf.connect(receive_buffer=8192, tls=context))
        open_websocket(stalled[-1], "/push/many" if pushed == MANY else "/push/few")
    if policy == "close":
        lines = hf.wait_access(lambda x: x["event"] == "close" and x["reason"] == "slow_client", count=len(stalled), timeout=60)
        assert {x["close_code"] for x in lines} == {1013} and len(lines) == len(stalled)
    elif policy == "pause":
        last = [-1]

        def is_still():
            was, last[0] = last[0], sum(getattr(c, "pushed", 0) for c in backend.conns)
            return last[0] == was > 0
        wait_until(is_still, "nothing more to be taken", timeout=60, pause=0.5)
    else:
        wait_until(lambda: finished(backend) == len(stalled), "the backend to have sent everything, held back by nobody", timeout=80)
    grown = hf.memory_kib() - before
    assert grown < len(stalled) * (SEND_BUFFER + UNDER_WAY >> 10) + 12 * 1024, f"{grown} KiB"
    for i, client in enumerate(others):
        client.send(frame(TEXT, b"still there %d" % i))
    for i, client in enumerate(others):
        f = read_frame(client)
        assert (f.opcode, f.payload) == (TEXT, b"still there %d" % i)
    numbers, code = rest_of(stalled[0], pushed)
    assert numbers == sorted(set(numbers)) and numbers[0] == 0
    if policy == "pause":
        assert numbers == list(range(pushed)), "nothing is lost"
    elif policy == "close":
        assert code in (1013, None) and numbers == list(range(len(numbers)))
    else:
        assert numbers[-1] == pushed - 1 and len(numbers) < pushed, "the newest is there, others are not"
