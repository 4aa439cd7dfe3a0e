"""GET /metrics: read by promtool, and true while connections live."""
import json
import re
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request

import pytest
import yaml

from kit import process
from kit.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_body, frame, open_websocket, read_frame, websocket_play
from kit.kernel import free_port
from kit.wait import wait_until


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not there")
def test_promtool_finds_nothing_wrong(start, echo):
    hf, admin = start(echo, tls=True)
    answer = admin.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    done = subprocess.run(["promtool", "check", "metrics"], input=answer.body, capture_output=True, timeout=20)
    assert done.returncode == 0 and not done.stderr, done.stderr.decode()
    assert admin.metrics()['holdfast_tls_certificate_expiry_timestamp_seconds{listener="web"}'] > 1e9


def test_counters_of_a_websocket_move_while_it_lives(start, echo):
    hf, admin = start(echo)
    client = hf.connect()
    open_websocket(client)
    seen = []
    for n in range(3):
        client.send(frame(TEXT, b"hello", mask=True))
        assert read_frame(client).payload == b"hello"
        m = admin.metrics()
        seen.append((m['holdfast_websocket_messages_total{direction="in",opcode="text"}'],
                     m['holdfast_websocket_messages_total{direction="out",opcode="text"}'],
                     m['holdfast_bytes_total{kind="websocket",direction="in"}'],
                     m['holdfast_bytes_total{kind="websocket",direction="out"}']))
    assert seen == [(n, n, 11 * n, 7 * n) for n in (1, 2, 3)]
    assert m['holdfast_connections{listener="web",kind="websocket"}'] == 1
    assert m['holdfast_connections{listener="web",kind="http"}'] == 0
    assert m[f'holdfast_endpoint_connections{{cluster="c",endpoint="{echo.address}"}}'] == 1
    assert m[f'holdfast_endpoint_up{{cluster="c",endpoint="{echo.address}"}}'] == 1
    assert m["holdfast_websocket_first_message_seconds_count"] == 1
    assert m["holdfast_handshake_duration_seconds_count"] == 1
    assert m["holdfast_connect_duration_seconds_count"] == 1


def test_messages_are_counted_by_opcode_and_size(start, echo):
    """In fragments, too; sizes are cumulative, as Prometheus wants them."""
    hf, admin = start(echo)
    client = hf.connect()
    open_websocket(client)
    sent = [(TEXT, 0), (TEXT, 16), (BINARY, 17), (TEXT, 64), (BINARY, 65), (BINARY, 5000), (TEXT, 70000)]
    for opcode, size in sent:
        client.send(frame(opcode, b"x" * size))
        assert len(read_frame(client).payload) == size
    client.send(frame(BINARY, b"a" * 30, fin=False) + frame(PING, b"p") + frame(CONT, b"b" * 40))
    for _ in range(3):
        read_frame(client)
    m = admin.metrics()
    name = "holdfast_websocket_message"
    for direction in ("in", "out"):
        assert m[f'{name}s_total{{direction="{direction}",opcode="text"}}'] == 4
        assert m[f'{name}s_total{{direction="{direction}",opcode="binary"}}'] == 4
        assert m[f'{name}_size_bytes_count{{direction="{direction}"}}'] == 8
        assert m[f'{name}_size_bytes_sum{{direction="{direction}"}}'] == sum(s for _, s in sent) + 70
        upto = [m[f'{name}_size_bytes_bucket{{direction="{direction}",le="{b}"}}'] for b in (16, 64, 256, 4096, 16384, 65536, 262144, "+Inf")]
        assert upto == [2, 4, 6, 6, 7, 7, 8, 8]
    assert m['holdfast_websocket_control_frames_total{direction="in",opcode="ping"}'] == 1


def test_round_trips_and_drops_of_each_connection_are_shown(start, echo):
    hf, admin = start(echo, route={"websocket": {"ping_interval": "1s", "over_rate": "drop", "message_rate": "1/m", "message_burst": 1}})
    client = hf.connect()
    open_websocket(client)
    client.send(frame(TEXT, b"passes") + frame(TEXT, b"dropped"))
    assert read_frame(client).payload == b"passes"
    ping = read_frame(client)
    assert ping.opcode == PING
    client.send(frame(PONG, ping.payload))

    def line():
        (only,) = [c for c in admin.get("/connections?kind=websocket").json["connections"]]
        return only if "rtt_seconds" in only else None
    shown = wait_until(line, "a round trip")
    assert 0 < shown["rtt_seconds"] < 60 and (shown["dropped_in"], shown["dropped_out"]) == (1, 0)


def test_closes_are_counted_by_code_and_initiator(start, echo):
    hf, admin = start(echo)
    client = hf.connect()
    open_websocket(client)
    client.send(frame(CLOSE, close_body(4001, "bye"), mask=True))
    name = 'holdfast_websocket_closes_total{code="4xxx",initiator="client"}'
    wait_until(lambda: admin.metrics().get(name) == 1, "the close")


def test_refusals_are_counted_by_reason(start, origin):
    hf, admin = start(origin, route={"path": "/only"})
    assert hf.request("/else").status == 404
    m = admin.metrics()
    assert m['holdfast_connections_refused_total{reason="no_route"}'] == 1
    assert m['holdfast_connections_ended_total{reason="no_route"}'] == 0


def test_histograms_grow_and_end_in_infinity(start, origin):
    hf, admin = start(origin)
    for _ in range(5):
        assert hf.request().status == 200
    m = admin.metrics()
    name = "holdfast_response_duration_seconds"
    counts = [v for k, v in m.items() if k.startswith(name + "_bucket")]
    assert counts == sorted(counts) and len(counts) == 17
    assert m[name + '_bucket{le="+Inf"}'] == m[name + "_count"] == 5
    assert 0 < m[name + "_sum"] < 5 * 60
    assert m["holdfast_event_loop_lag_seconds_count"] > 0


def test_reloads_and_readiness_are_seen(start, origin):
    hf, admin = start(origin)
    good = hf.config
    hf.write("nonsense: [\n")
    assert admin.ask("POST", "/reload").status == 422
    m = admin.metrics()
    assert m["holdfast_config_last_reload_successful"] == 0
    assert m['holdfast_config_reloads_total{result="failure"}'] == 1
    hf.write(good)
    assert admin.ask("POST", "/reload").status == 200
    admin.ask("POST", "/drain")
    m = admin.metrics()
    assert m["holdfast_config_last_reload_successful"] == 1 and m["holdfast_ready"] == 0
    assert m['holdfast_config_reloads_total{result="success"}'] == 1
    assert m["holdfast_process_open_fds"] > 5 and m["holdfast_process_resident_memory_bytes"] > 1e6


def test_queues_of_slow_clients_are_seen_and_empty_again(start, make_raw):
    """A client that does not read what its endpoint sends; then it does."""
    async def flood(conn):
        for _ in range(64):
            await conn.send(frame(BINARY, b"x" * 65536, mask=False))
        await conn.read_to_end()
    hf, admin = start(make_raw(websocket_play(flood)), route={"websocket": {"send_buffer": "512KiB"}})
    client = hf.connect(receive_buffer=4096)
    open_websocket(client)

    def queued():
        return sum(value for name, value in admin.metrics().items() if name.startswith("holdfast_queued_bytes{"))
    wait_until(lambda: 100_000 < queued() < 2_000_000, "what waits")
    for _ in range(64):
        assert len(read_frame(client).payload) == 65536
    wait_until(lambda: queued() == 0, "nothing to wait")
    client.close()


CONTRIB = process.TREE / "contrib"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not there")
def test_alert_rules_are_good_and_fire_when_they_should():
    for args in (["check", "rules", "prometheus-alerts.yaml"], ["test", "rules", "prometheus-alerts.test.yaml"]):
        done = subprocess.run(["promtool", *args], cwd=CONTRIB, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def names_in(text):
    return {re.sub("_(bucket|sum|count)$", "", n) for n in re.findall(r"\bholdfast_[a-z_]+", text)}


def test_dashboard_and_alerts_name_metrics_that_there_are(start, echo):
    _, admin = start(echo, tls=True)
    known = names_in(admin.get("/metrics").text)
    dashboard = json.loads((CONTRIB / "grafana-dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            assert names_in(target["expr"]) <= known, panel["title"]
    rules = yaml.safe_load((CONTRIB / "prometheus-alerts.yaml").read_text())
    for rule in rules["groups"][0]["rules"]:
        assert names_in(rule["expr"]) <= known, rule["alert"]


# ---- a real Prometheus ----

SCRAPE = """
global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms }}
rule_files: [{rules}]
scrape_configs:
  - job_name: holdfast
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
"""


class Prometheus:
    def __init__(self, port):
        self.port = port

    def get(self, path, **arguments):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?" + urllib.parse.urlencode(arguments)
        with urllib.request.urlopen(url, timeout=20) as answer:
            return json.load(answer)["data"]

    def value(self, query):
        """The sum over all series; None where there are none."""
        found = self.get("query", query=query)["result"]
        return sum(float(row["value"][1]) for row in found) if found else None


@pytest.fixture
def prometheus(make_child, directory):
    def make(target):
        port, file = free_port(), directory / "prometheus.yml"
        file.write_text(SCRAPE.format(rules=json.dumps(str(CONTRIB / "prometheus-alerts.yaml")), port=target))
        checked = subprocess.run(["promtool", "check", "config", str(file)], capture_output=True, timeout=30)
        assert checked.returncode == 0, checked.stderr.decode()
        make_child(["prometheus", f"--config.file={file}", f"--storage.tsdb.path={directory}/tsdb",
                    f"--web.listen-address=127.0.0.1:{port}"], port=port)
        return Prometheus(port)
    return make


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not there")
def test_a_prometheus_reads_and_its_alerts_fire(holdfast, echo, prometheus):
    listen, dead = free_port(), f"127.0.0.1:{free_port()}"
    hf = holdfast(admin={"listen": f"127.0.0.1:{listen}"}, ready=[listen],
                  clusters={"c": {"endpoints": [echo.address]}, "gone": {"endpoints": [dead], "health": {"interval": "100ms"}}},
                  routes=[{"cluster": "c"}])
    p = prometheus(listen)
    wait_until(lambda: p.value('up{job="holdfast"}') == 1, "the first scrape", timeout=30)
    client = hf.connect()
    open_websocket(client)
    for _ in range(10):
        client.send(frame(TEXT, b"hello"))
        assert read_frame(client).payload == b"hello"
    wait_until(lambda: p.value('holdfast_websocket_messages_total{direction="in"}') == 10, "messages of a live connection")
    assert p.value('holdfast_connections{kind="websocket"}') == 1
    wait_until(lambda: (p.value('rate(holdfast_websocket_messages_total{direction="in"}[10s])') or 0) > 0, "a rate")
    target = p.get("targets")["activeTargets"][0]
    assert target["health"] == "up" and target["lastError"] == ""
    groups = p.get("rules")["groups"]
    assert groups and all(rule["health"] == "ok" for g in groups for rule in g["rules"])
    hf.write("broken: [\n")
    hf.send_signal(signal.SIGHUP)
    hf.wait_log("refused")
    wait_until(lambda: {a["labels"]["alertname"] for a in p.get("alerts")["alerts"]} >= {"HoldfastReloadFailed"},
               "the alert", timeout=30)
@pytest.mark.parametrize("listener, first, reason", [
    ({"proxy_protocol": "require"}, b"PROXY TCP4 1.2.3.4\r\n", "proxy_protocol"),
    ({"proxy_protocol": "require"}, b"\r\n\r\n\0\r\nQUIT\n\x31\x11\x00\x0c" + b"\0" * 12, "proxy_protocol"),
    ({"protocol": "tcp", "sni": {"a.test": "c"}}, b"GET / HTTP/1.1\r\n\r\n", "client_hello"),
    ({"protocol": "tcp", "sni": {"a.test": "c"}}, b"\x16\x03\x01\x00\x04\x01\xff\xff\xff", "client_hello"),
])
def test_bad_openings_are_closed_and_counted(start, echo, listener, first, reason):
    hf, admin = start(echo, listener=listener)
    before = admin.metrics()
    client = hf.connect().send(first)
    client.seconds_until_end()
    names = [f'holdfast_connections_{kind}_total{{reason="{reason}"}}' for kind in ("ended", "refused")]
    wait_until(lambda: sum(admin.metrics()[n] - before[n] for n in names) == 1, "it to be counted")
    assert not echo.conns
