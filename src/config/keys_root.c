/* The keys of the whole file, of log, admin, limits, tracing, shutdown and upgrade. */
#include "config/keys.h"
#include "config/values.h"

static const struct key_word log_levels[] = {
	{ "error", CONFIG_LOG_ERROR, false },
	{ "warn", CONFIG_LOG_WARN, false },
	{ "info", CONFIG_LOG_INFO, false },
	{ "debug", CONFIG_LOG_DEBUG, false },
	{ 0 },
};

static const struct key_word log_formats[] = {
	{ "text", CONFIG_LOG_TEXT, false },
	{ "json", CONFIG_LOG_JSON, false },
	{ 0 },
};

static const struct key_word access_log_formats[] = {
	{ "json", ACCESS_LOG_JSON, false },
	{ "combined", ACCESS_LOG_COMBINED, false },
	{ 0 },
};

static const struct key_word access_log_events[] = {
	{ "open", ACCESS_LOG_OPEN, false },
	{ "close", ACCESS_LOG_CLOSE, false },
	{ 0 },
};

static const struct key access_log_keys[] = {
	STRING(access_log_config, path, .def = "-",
	       .doc = "The file, opened again on SIGUSR1; \"-\" is standard output."),
	ENUM(access_log_config, format, access_log_format, access_log_formats, .def = "json",
	     .doc = "One JSON object a line, or the combined format that log analysers know."),
	PERCENT(access_log_config, sample, .def = "100%", .max = "100%",
		.doc = "Which share of the connections is logged."),
	FLAGS(access_log_config, events, access_log_events, .def = "open, close",
	      .doc = "For an upgraded connection, a line when it opens, when it closes, or both. "
		     "A plain request has one line, at its end."),
	{ 0 },
};

static const struct key log_keys[] = {
	ENUM(log_config, level, config_log_level, log_levels, .def = "info",
	     .doc = "The process log goes to standard error; lines below this level are not written."),
	ENUM(log_config, format, config_log_format, log_formats, .def = "text",
	     .doc = "Text for people (with journald's priorities under systemd), or JSON."),
	OPTIONAL(log_config, access, access_log_config, access_log_keys, .flags = KEY_CAN_BE_OFF,
		 .doc = "The access log: one line a request. Absent: off."),
	{ 0 },
};

static const struct key admin_keys[] = {
	STRING(admin_config, socket,
	       .doc = "A UNIX socket that answers everything: HTTP and JSON, for holdfastctl and curl, and the "
		      "commands of HAProxy's socket that agents speak."),
	VALUE(admin_config, mode, uint32_t, type_mode, .def = "0660",
	      .doc = "Who may connect to the socket, and so command, as chmod(1) says it."),
	STRING(admin_config, group, .doc = "The group that the socket belongs to."),
	VALUE(admin_config, listen, struct addr, type_addr,
	      .doc = "An address that may only be read: /metrics, /health, /ready, /status and the "
		     "dashboard."),
	SWITCH(admin_config, mirror, .def = "false",
	       .doc = "Whether the socket shows, live, what the peers of one WebSocket send (GET /connections/ID/frames): headers and "
		      "the first bytes of payloads. Each such look is logged."),
	{ 0 },
};

const struct key per_ip_keys[] = {
	UINT(per_ip_limits, connections, .def = "0",
	     .doc = "Open connections of one client address; further ones are reset before TLS. 0 is no limit. "
		    "Offices and mobile networks share addresses: 200 is cautious."),
	RATE(per_ip_limits, connection_rate, .def = "0",
	     .doc = "New connections of one client address; above it they are reset before TLS. 0 is no limit."),
	UINT(per_ip_limits, connection_burst, .def = "0",
	     .doc = "How many may come at once before `connection_rate` counts; 0 is one second's worth."),
	RATE(per_ip_limits, request_rate, .def = "0",
	     .doc = "Requests of one client address, whatever their route; above it 429. 0 is no limit."),
	UINT(per_ip_limits, request_burst, .def = "0",
	     .doc = "How many may come at once before `request_rate` counts; 0 is one second's worth."),
	UINT(per_ip_limits, ipv6_prefix, .def = "64", .min = "1", .max = "128", .flags = KEY_NOT_ZERO,
	     .doc = "So many leading bits of an IPv6 address are one client."),
	LIST(per_ip_limits, exempt, struct cidr, type_cidr,
	     .doc = "Networks that these limits do not concern; nor do they concern connections of "
		    "`trusted_proxies`, which carry many clients."),
	{ 0 },
};

static const struct key limits_keys[] = {
	UINT(limits_config, max_connections, .def = "200000",
	     .doc = "Connections of the whole process; further ones wait in the kernel's queue. 0 is no "
		    "limit but that of descriptors: two for each, of those that RLIMIT_NOFILE allows."),
	UINT(limits_config, max_handshakes, .def = "16384",
	     .doc = "Clients of the whole process that have not come past the PROXY header and TLS, shared evenly by the "
		    "workers; one more, and the one that has taken longest is cut off. 0 is no limit."),
	SIZE(limits_config, session_memory, .def = "256MiB",
	     .doc = "What all sessions of the fallback together may hold for their clients."),
	UINT(limits_config, table_entries, .def = "262144", .min = "64", .max = "16777216", .flags = KEY_NOT_ZERO,
	     .doc = "How many addresses and other keys all limits together remember, at 36 bytes each. A full table "
		    "forgets whom it has no need to remember; when there is nobody left to forget, new ones pass "
		    "uncounted. Takes effect at start."),
	SECTION(limits_config, per_ip, per_ip_limits, per_ip_keys, .doc = "Limits for each client address."),
	LIST(limits_config, deny, struct cidr, type_cidr, .doc = "Networks that are refused: reset before TLS, or 403."),
	READABLE(limits_config, deny_file,
		 .doc = "A file with one address or network a line, refused as well; read again on reload."),
	{ 0 },
};

static const struct key resolver_keys[] = {
	LIST(resolver_config, servers, struct addr, type_addr,
	     .doc = "DNS servers for `discover`, as IP:PORT. Absent: those of the system. Takes effect at start."),
	{ 0 },
};

static const struct key shutdown_keys[] = {
	DURATION(shutdown_config, grace, .def = "30s", .max = "1d",
		 .doc = "After SIGTERM nothing new is accepted, and WebSockets are closed with 1001, spread "
			"over this time."),
	{ 0 },
};

static const struct key upgrade_keys[] = {
	DURATION(upgrade_config, drain, .def = "5m", .max = "7d",
		 .doc = "After an upgrade the old process accepts nothing new, serves what it has, and closes its "
			"WebSockets with 1012, spread over this time. 0: it lives until they have ended by themselves."),
	DURATION(upgrade_config, timeout, .def = "60s", .min = "1s", .max = "1h", .flags = KEY_NOT_ZERO,
		 .doc = "A new process that is not ready by then is ended, and the old one goes on."),
	{ 0 },
};

static const struct key_word traceparent_words[] = {
	{ "pass", TRACEPARENT_PASS, false },
	{ "make", TRACEPARENT_MAKE, false },
	{ 0 },
};

static const struct key tracing_keys[] = {
	ENUM(tracing_config, traceparent, traceparent_policy, traceparent_words, .def = "pass",
	     .doc = "A client's traceparent (W3C Trace Context) is passed on as it is, and its trace stands in the access log. "
		    "make: where there is none, or none that can be read, a trace begins here, with the request's id."),
	PERCENT(tracing_config, sample, .def = "0%", .max = "100%",
		.doc = "Which share of the traces that begin here is marked as sampled: those that follow record them."),
	{ 0 },
};

const struct key root_keys[] = {
	VALUE(config, workers, uint32_t, type_workers, .def = "auto", .min = "1", .max = "1024",
	      .doc = "Threads, each with a ring of its own; auto is one for each core that this process may "
		     "use. "
		     "Takes effect at start."),
	STRING(config, user,
	       .doc = "Become this user once sockets and keys are open; only when started as root. Takes "
		      "effect at start."),
	STRING(config, pid_file, .doc = "A file that holds the process id while the process runs."),
	STRING(config, zone,
	       .doc = "Where the proxy is: endpoints of the same zone, and those without one, are preferred to "
		      "those of others."),
	SECTION(config, log, log_config, log_keys, .doc = "What is written where."),
	OPTIONAL(config, admin, admin_config, admin_keys,
		 .doc = "How the process is asked and commanded."),
	LIST(config, trusted_proxies, struct cidr, type_cidr,
	     .doc = "Networks whose X-Forwarded-For is believed; from anywhere else the peer's own address "
		    "counts."),
	SECTION(config, limits, limits_config, limits_keys, .doc = "Bounds of the whole process."),
	SECTION(config, resolver, resolver_config, resolver_keys, .doc = "How names of `discover` are looked up."),
	SECTION(config, shutdown, shutdown_config, shutdown_keys, .doc = "How the process ends."),
	SECTION(config, tracing, tracing_config, tracing_keys, .doc = "How a request is followed through several services."),
	SECTION(config, upgrade, upgrade_config, upgrade_keys,
		.doc = "How the binary on disk takes over (SIGUSR2, `holdfastctl upgrade`)."),
	ITEMS(config, listeners, listener_config, listener_keys, .flags = KEY_REQUIRED,
	      .place_offset = offsetof(struct listener_config, place),
	      .item_word = "listener", .doc = "Where clients come in."),
	ITEMS(config, clusters, cluster_config, cluster_keys, .item_word = "cluster",
	      .place_offset = offsetof(struct cluster_config, place),
	      .doc = "Where connections go: groups of endpoints that serve the same."),
	{ 0 },
};
