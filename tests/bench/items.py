"""What is measured of a subject: one Item a row of the table.

Item.measure(proxy, options) gives a number (lower is better) and details, or raises Void.  The proxy is fresh.
"""

import os
import re
import statistics
import threading
import time

from subjects import Proxy, Void

GIB = 1 << 30
ECHO_CONNECTIONS = 500
PEERS = ["nginx", "haproxy"]
BIG_PEERS = ["nginx", "nginx-big", "haproxy", "haproxy-big"]
TCP_PEERS = ["nginx-tcp", "haproxy"]


class Item:
	"""A row.  `must` and `goal` bound the ratio to the better peer, or the value itself where `absolute`."""

	def __init__(self, name, title, unit, measure, peers=PEERS, subject="holdfast", extra=(),
		     must=None, goal=None, absolute=False, compared=True, digits=2, rounds_max=None):
		self.name, self.title, self.unit, self.measure = name, title, unit, measure
		self.subject, self.peers, self.extra = subject, list(peers), list(extra)
		self.must, self.goal, self.absolute = must, goal, absolute
		self.compared = compared  # a ratio to a peer's value says something
		self.digits, self.rounds_max = digits, rounds_max


def window(options):
	return {"seconds": options.window, "warmup": options.warmup}


def cost(result, units, per):
	"""CPU of the proxy for each unit; with what else is worth keeping."""
	if units == 0:
		raise Void("no work was done in the window")
	detail = {k: result[k] for k in ("units", "bytes", "p50_us", "p99_us", "behind")}
	detail["proxy_busy"] = round(result["proxy_cpu_s"] / result["seconds"], 3)
	detail["client_busy"] = round(result["client_cpu_s"] / result["seconds"], 3)
	return result["proxy_cpu_s"] / units * per, detail


def echo(kind, size, rate=None):
	def measure(proxy, options):
		result = proxy.load(kind, "ws-echo", connections=ECHO_CONNECTIONS, size=size, rate=rate,
				    **window(options))
		return cost(result, result["units"], 1e6)
	return measure


def http_small(kind):
	def measure(proxy, options):
		result = proxy.load(kind, "http", connections=100, size=64, **window(options))
		return cost(result, result["units"], 1e6)
	return measure


def handshake(kind, resume=False):
	def measure(proxy, options):
		result = proxy.load(kind, "handshake", connections=32, resume=resume, **window(options))
		if resume and result["resumed"] < result["units"]:
			raise Void(f"only {result['resumed']} of {result['units']} sessions were resumed")
		return cost(result, result["units"], 1e6)
	return measure


def bulk(kind, mode):
	def measure(proxy, options):
		result = proxy.load(kind, mode, connections=4, size=GIB, **window(options))
		value, detail = cost(result, result["bytes"], GIB)
		detail["mib_per_s"] = round(result["bytes"] / result["seconds"] / (1 << 20))
		return value, detail
	return measure


def loaded_pss(proxy, load):
	"""PSS of the proxy with the load there and waiting: pages that both share weigh the same before and after."""
	if load.line(10) != "waiting":
		raise Void("load: " + load.last_words())
	return proxy.pss_bytes()


def idle_hold(proxy, kind, connections, before, body):
	"""Calls before(load), opens the connections, calls body() while they are idle, then has all echo once more."""
	load = proxy.load_start(kind, "ws-idle", connections=connections, wait=True)
	try:
		results = [before(load)]
		load.go_on()
		if load.line(120) == "ready":
			results.append(body())
			load.go_on()
			load.line(60)
		proxy.load_result(load, 30)
		if len(results) != 2:
			raise Void("the connections did not all open: " + load.last_words())
		return results
	finally:
		load.stop()


def idle(kind):
	def measure(proxy, options):
		connections = options.idle if kind == "plain" else options.idle // 2

		def settled():
			time.sleep(1.0)
			return proxy.pss_bytes()

		before, after = idle_hold(proxy, kind, connections, lambda load: loaded_pss(proxy, load), settled)
		return (after - before) / connections, {
			"connections": connections, "fresh_kib": before >> 10, "idle_kib": after >> 10,
		}
	return measure


def fairness(rate=None):
	"""p50 of the echoes with a bulk download beside them, to p50 without."""
	def measure(proxy, options):
		def echoes():
			return proxy.load("plain", "ws-echo", connections=ECHO_CONNECTIONS, size=64, rate=rate,
					  **window(options))

		alone = echoes()
		bulk_load = proxy.load_start("plain", "http", connections=1, size=4 * GIB,
					     warmup=options.warmup + 0.4, seconds=options.window)
		time.sleep(0.3)
		try:
			beside = echoes()
			transfer = proxy.load_result(bulk_load, 60)
		finally:
			bulk_load.stop()
		alone_us = min(alone["p50_us"], echoes()["p50_us"])  # the quieter of before and after
		return beside["p50_us"] / alone_us, {
			"p50_alone_us": alone_us, "p50_beside_us": beside["p50_us"],
			"bulk_mib_per_s": round(transfer["bytes"] / transfer["seconds"] / (1 << 20)),
		}
	return measure


def heartbeat(proxy, options):
	"""CPU of a ping and its pong, in relayed messages at the same pace on as many connections."""
	connections = options.idle
	with Proxy(proxy.site, "holdfast-beat") as beating:
		beat = beating.load("plain", "ws-echo", connections=connections, size=64, rate=10, seconds=2 * options.window,
				    warmup=1 + options.warmup)
	if beat["pings"] < connections / 2:
		raise Void(f"only {beat['pings']} pings came")
	rate = beat["pings"] / beat["seconds"] / 2  # an echo is two messages
	echoes = proxy.load("plain", "ws-echo", connections=connections, size=64, rate=rate, seconds=2 * options.window,
			    warmup=1 + options.warmup)
	if echoes["units"] == 0:
		raise Void("no work was done in the window")
	of_beat = beat["proxy_cpu_s"] / (beat["pings"] + 2 * beat["units"])
	of_message = echoes["proxy_cpu_s"] / echoes["units"] / 2
	return of_beat / of_message, {"connections": connections, "pings_per_s": round(2 * rate), "beat_us": of_beat * 1e6,
				      "message_us": of_message * 1e6, "behind": echoes["behind"]}


def tracker(kind, size):
	"""CPU of a message to that of the same build and work with nobody looking at frames; in turns, both there all the time."""
	def measure(proxy, options):
		if not proxy.is_built_with("--enable-tracker-bypass"):
			raise Void("--holdfast is not built with --enable-tracker-bypass")

		def echoes(of):
			result = of.load(kind, "ws-echo", connections=ECHO_CONNECTIONS, size=size, **window(options))
			return cost(result, result["units"], 1e6)[0]

		with Proxy(proxy.site, "holdfast-bypass") as bypass:
			pairs = []
			for turn in range(4):
				first, second = (proxy, bypass) if turn % 2 == 0 else (bypass, proxy)
				a, b = echoes(first), echoes(second)
				pairs.append((a, b) if first is proxy else (b, a))
		ratios = [with_it / without for with_it, without in pairs]
		return statistics.median(ratios), {"pairs_us": pairs, "ratios": ratios}
	return measure


def slow_clients(proxy, options):
	"""p50 of 900 echoing connections with 100 beside them that read nothing of 100 messages a second, to p50 without."""
	def echoes():
		return proxy.load("plain", "ws-echo", connections=900, size=64, rate=3000, **window(options))

	alone = echoes()
	before = proxy.pss_bytes()
	stalled = proxy.load_start("plain", "ws-stall", connections=100)
	try:
		if stalled.line(30) != "ready":
			raise Void("the stalled ones did not open: " + stalled.last_words())
		time.sleep(4.0)  # until what may wait for them is full
		beside = echoes()
		growth = proxy.pss_bytes() - before
	finally:
		stalled.stop()
	alone_us = min(alone["p50_us"], echoes()["p50_us"])  # the quieter of before and after
	return beside["p50_us"] / alone_us, {"p50_alone_us": alone_us, "p50_beside_us": beside["p50_us"],
					     "growth_kib": growth >> 10, "behind": beside["behind"]}


class PssSampler:
	"""PSS of the proxy every 20 ms while something runs."""

	def __init__(self, proxy):
		self.proxy, self.samples, self.ends = proxy, [], threading.Event()
		self.thread = threading.Thread(target=self.run, daemon=True)

	def run(self):
		while not self.ends.wait(0.02):
			try:
				self.samples.append(self.proxy.pss_bytes())
			except (OSError, AttributeError):
				return

	def __enter__(self):
		self.thread.start()
		return self

	def __exit__(self, *_):
		self.ends.set()
		self.thread.join()


def sampled(proxy, kind, mode, **options):
	"""Does the work and gives PSS before it, and all through it."""
	load = proxy.load_start(kind, mode, wait=True, **options)
	try:
		before = loaded_pss(proxy, load)
		with PssSampler(proxy) as sampler:
			load.go_on()
			proxy.load_result(load, 3600)
	finally:
		load.stop()
	if len(sampler.samples) < 4:
		raise Void("too few samples: more work is needed")
	return before, sampler.samples


def memory_short(kind, share=1.0):
	"""Growth in KiB over the last three quarters of many short connections: the first quarter may fill caches."""
	def measure(proxy, options):
		count = max(100, int(options.short_connections * share))
		before, s = sampled(proxy, kind, "handshake", connections=32, count=count)
		few = max(1, len(s) // 20)
		quarter = statistics.median(s[len(s) // 4:len(s) // 4 + few])
		return (statistics.median(s[-few - 1:-1]) - quarter) / 1024, {
			"connections": count, "before_kib": before >> 10, "quarter_kib": int(quarter) >> 10,
			"peak_kib": max(s) >> 10, "last_kib": s[-2] >> 10,
		}
	return measure


def memory_body(mode):
	"""Growth in KiB while one body of a GiB goes through."""
	def measure(proxy, options):
		before, s = sampled(proxy, "plain", mode, connections=1, size=options.body, count=1)
		return (max(s) - before) / 1024, {
			"body_bytes": options.body, "before_kib": before >> 10, "peak_kib": max(s) >> 10,
		}
	return measure


def ring_files(pid):
	"""Sockets registered with each io_uring of a process, from what the kernel says of its descriptors."""
	counts = []
	for fd in os.listdir(f"/proc/{pid}/fd"):
		try:
			if "io_uring" not in os.readlink(f"/proc/{pid}/fd/{fd}"):
				continue
			with open(f"/proc/{pid}/fdinfo/{fd}") as f:
				text = f.read()
		except OSError:
			continue
		slots = re.search(r"^UserFiles:\s*\d+\n((?:\s*\d+:.*\n)*)", text, re.M)
		counts.append(sum(1 for line in (slots.group(1).splitlines() if slots else [])
				  if line.split(":", 1)[1].strip() not in ("", "<none>")))
	return counts


def thread_cpu(pid):
	"""CPU seconds of each thread, by name and id."""
	found = {}
	for task in os.listdir(f"/proc/{pid}/task"):
		with open(f"/proc/{pid}/task/{task}/schedstat") as f, open(f"/proc/{pid}/task/{task}/comm") as name:
			found[f"{name.read().strip()}/{task}"] = int(f.read().split()[0]) / 1e9
	return found


def evenness(proxy, options):
	"""The busiest worker's sockets to the mean; by CPU of the threads where no ring shows them."""
	pid = proxy.pids()[0]

	def counts():
		files = ring_files(pid)
		for _ in range(20):  # the kernel shows no slots while the ring is locked
			files = max(files, ring_files(pid), key=sum)
			time.sleep(0.02)
		return files, thread_cpu(pid)

	def counts_waiting(load):
		loaded_pss(proxy, load)
		return counts()

	fresh, now = idle_hold(proxy, "plain", options.even_connections, counts_waiting, counts)
	(fresh_files, fresh_cpu), (files, cpu) = fresh, now
	shares = ([0, 0] + sorted(files))[-2:]
	how = "sockets registered with each ring"
	if sum(shares) - sum(fresh_files) < options.even_connections:
		shares = ([0, 0] + sorted(cpu[name] - fresh_cpu.get(name, 0) for name in cpu))[-2:]
		how = "CPU seconds of the two busiest threads"
	return max(shares) / statistics.mean(shares), {"how": how, "shares": shares}


MSG, REQ, EACH, PER_GIB = "µs CPU / message", "µs CPU / request", "µs CPU each", "CPU s / GiB"
LIMIT = ["limit"]
SMALL_PEERS = PEERS + ["nginx-small"]


def check(name, title, unit, measure, must, **more):
	"""A row that stands for itself, once."""
	more = {"digits": 0, "rounds_max": 1, **more}
	return Item(name, title, unit, measure, must=must, absolute=True, compared=False, **more)


ITEMS = [
	Item("ws-64", "WebSocket echo, 64 B, 500 connections", MSG, echo("plain", 64), extra=LIMIT,
	     must=0.90, goal=0.75, digits=1),
	Item("ws-1k", "WebSocket echo, 1 KiB", MSG, echo("plain", 1024), extra=LIMIT, digits=1),
	Item("tls-64", "WebSocket echo, 64 B, TLS 1.3", MSG, echo("tls", 64), must=0.85, goal=0.62, digits=1),
	Item("tls-1k", "WebSocket echo, 1 KiB, TLS 1.3", MSG, echo("tls", 1024), digits=1),
	Item("rate", "WebSocket echo, 64 B, 5,000 messages/s in all", MSG, echo("plain", 64, 5000), extra=LIMIT,
	     digits=1),
	Item("rate-tls", "the same over TLS 1.3", MSG, echo("tls", 64, 5000), digits=1),
	Item("tcp-64", "TCP relay, 64 B echo", MSG, echo("tcp", 64), peers=TCP_PEERS, extra=LIMIT, digits=1),
	Item("http", "small HTTP request, keep-alive, 100 connections", REQ, http_small("plain"), extra=LIMIT,
	     must=0.95, goal=0.70, digits=1),
	Item("upgrade", "connect + upgrade + close, plain", EACH, handshake("plain"), extra=LIMIT, digits=0),
	Item("upgrade-tls", "the same, full TLS 1.3 handshake (P-256)", EACH, handshake("tls"),
	     must=1.00, goal=0.80, digits=0),
	Item("upgrade-resumed", "the same, resumed by ticket", EACH, handshake("tls", True), digits=0),
	Item("download", "bulk download, 4 streams", PER_GIB, bulk("plain", "http"), peers=BIG_PEERS,
	     must=1.00, goal=0.80),
	Item("download-tls", "bulk download, TLS 1.3", PER_GIB, bulk("tls", "http"), peers=BIG_PEERS),
	Item("upload", "bulk upload, 4 streams", PER_GIB, bulk("plain", "upload"), peers=BIG_PEERS),
	Item("upload-tls", "bulk upload, TLS 1.3", PER_GIB, bulk("tls", "upload"), peers=BIG_PEERS),
	Item("idle", "idle WebSocket, plain", "PSS bytes each", idle("plain"), peers=SMALL_PEERS, extra=LIMIT,
	     must=1500, goal=1000, absolute=True, digits=0),
	Item("idle-tls", "idle WebSocket, TLS 1.3", "PSS bytes each", idle("tls"), peers=SMALL_PEERS,
	     must=16000, goal=2000, absolute=True, digits=0),
	check("fair", "p50 of 500 echoes: with a bulk transfer beside / without", "×", fairness(), 2.0,
	      extra=["direct"], digits=2, rounds_max=None),
	check("fair-rate", "the same at 5,000 messages/s", "×", fairness(5000), None, extra=["direct"], digits=2,
	      rounds_max=None),
	check("memory-short", "growth over many short connections", "KiB PSS", memory_short("plain"), 512),
	check("memory-short-tls", "the same over TLS 1.3 (a fifth as many)", "KiB PSS", memory_short("tls", 0.2),
	      512),
	check("memory-download", "growth while 1 GiB is downloaded", "KiB PSS", memory_body("http"), 16384),
	check("memory-upload", "growth while 1 GiB is uploaded", "KiB PSS", memory_body("upload"), 16384),
	check("tracker", "frames followed / not looked at, 64 B", "×", tracker("plain", 64), 1.05, peers=[], digits=3,
	      rounds_max=None),
	check("tracker-1k", "the same, 1 KiB", "×", tracker("plain", 1024), 1.05, peers=[], digits=3, rounds_max=None),
	check("heartbeat", "CPU of a heartbeat, in relayed messages", "×", heartbeat, 1.5, peers=[], digits=2, rounds_max=None),
	check("idle-beat", "idle WebSocket that is pinged each second", "PSS bytes each", idle("plain"), 1500,
	      subject="holdfast-beat", peers=[], rounds_max=None),
	check("slow-pause", "p50 of 900 echoes: 100 clients beside that read nothing / none, slow_client: pause", "×", slow_clients,
	      1.2, peers=[], digits=2, rounds_max=None),
	check("slow-close", "the same, close (1013 later)", "×", slow_clients, 1.2, subject="holdfast-close", peers=[], digits=2,
	      rounds_max=None),
	check("slow-drop", "the same, drop_oldest", "×", slow_clients, 1.2, subject="holdfast-drop", peers=[], digits=2,
	      rounds_max=None),
	check("slow-latest", "the same, latest", "×", slow_clients, 1.2, subject="holdfast-latest", peers=[], digits=2,
	      rounds_max=None),
	check("even", "two workers: the busier one's connections / the mean", "×", evenness, 1.10,
	      subject="holdfast-2", peers=[], digits=2),
]
