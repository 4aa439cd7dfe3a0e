/* The keys of a cluster. */
#include "config/keys.h"
#include "config/values.h"

static const struct key_word backend_protocols[] = {
	{ "http1", BACKEND_HTTP1, false },
	{ "h2", BACKEND_H2, true },
	{ 0 },
};

static const struct key_word proxy_protocol_words[] = {
	{ "off", PROXY_PROTOCOL_OUT_OFF, false },
	{ "v1", PROXY_PROTOCOL_OUT_V1, false },
	{ "v2", PROXY_PROTOCOL_OUT_V2, false },
	{ 0 },
};

static const struct key_word same_site_words[] = {
	{ "unset", SAME_SITE_UNSET, false },
	{ "lax", SAME_SITE_LAX, false },
	{ "strict", SAME_SITE_STRICT, false },
	{ "none", SAME_SITE_NONE, false },
	{ 0 },
};

static const struct key_word learn_words[] = {
	{ "body", LEARN_FROM_BODY, false },
	{ "header", LEARN_FROM_HEADER, false },
	{ 0 },
};

static const struct key_word retry_words[] = {
	{ "connect", RETRY_ON_CONNECT, false },
	{ "reset_before_response", RETRY_ON_RESET, false },
	{ "500", RETRY_ON_500, false },
	{ "502", RETRY_ON_502, false },
	{ "503", RETRY_ON_503, false },
	{ "504", RETRY_ON_504, false },
	{ 0 },
};

static const struct key_word health_types[] = {
	{ "tcp", HEALTH_TCP, false },
	{ "http", HEALTH_HTTP, false },
	{ "websocket", HEALTH_WEBSOCKET, false },
	{ 0 },
};

static const struct key_word discover_types[] = {
	{ "a", DISCOVER_A, false },
	{ "aaaa", DISCOVER_AAAA, false },
	{ "srv", DISCOVER_SRV, false },
	{ 0 },
};

static const struct key affinity_cookie_keys[] = {
	TEXT(affinity_cookie, name, type_token, .def = "hf_route", .doc = "The cookie's name."),
	DURATION(affinity_cookie, ttl, .def = "0",
		 .doc = "How long browsers keep it; 0 is until they are closed."),
	TEXT(affinity_cookie, path, type_url_path, .def = "/", .doc = "Its Path attribute."),
	SWITCH(affinity_cookie, secure, .def = "true", .doc = "Only over TLS."),
	SWITCH(affinity_cookie, http_only, .def = "true", .doc = "Not for scripts."),
	ENUM(affinity_cookie, same_site, same_site, same_site_words, .def = "lax",
	     .doc = "Clients on pages of other sites need none, which wants `secure` as well."),
	READABLE(affinity_cookie, secret_file,
		 .doc = "What signs it, 16 bytes at least, shared by proxies. Absent: made at random at start, "
			"kept over reloads."),
	{ 0 },
};

static const struct key affinity_learn_keys[] = {
	ENUM(affinity_learn, from, learn_from, learn_words, .def = "body",
	     .doc = "Where the backend's answer names the session."),
	STRING(affinity_learn, key, .flags = KEY_REQUIRED,
	       .doc = "The field of the JSON body, or the header."),
	VALUE(affinity_learn, match, struct request_key, type_request_key, .flags = KEY_REQUIRED,
	      .doc = "Where later requests show it: query:sid."),
	{ 0 },
};

static const struct key affinity_keys[] = {
	OPTIONAL(affinity_config, cookie, affinity_cookie, affinity_cookie_keys,
		 .doc = "A signed cookie, set on the first response."),
	OPTIONAL(affinity_config, learn, affinity_learn, affinity_learn_keys,
		 .doc = "A session id that the backend makes up, for Engine.IO without cookies."),
	{ 0 },
};

static const struct key queue_keys[] = {
	UINT(queue_config, max, .def = "0",
	     .doc = "How many may wait, in the order in which they came, when every endpoint is full (max_connections, "
		    "max_pending, slow_start_rate); further ones get 503 with Retry-After. 0 is nobody."),
	DURATION(queue_config, timeout, .def = "5s", .min = "10ms", .max = "1h", .flags = KEY_NOT_ZERO,
		 .doc = "How long they wait; then 503."),
	{ 0 },
};

static const struct key cluster_tls_keys[] = {
	SWITCH(cluster_tls, verify, .def = "true",
	       .doc = "Whether the backend's certificate and its name must be good."),
	READABLE(cluster_tls, ca, .doc = "PEM: the roots it must lead to. Absent: the system's."),
	STRING(cluster_tls, sni,
	       .doc = "The name that is asked for and checked. Absent: the endpoint's host."),
	READABLE(cluster_tls, client_cert, .doc = "PEM: a certificate for the backend."),
	READABLE(cluster_tls, client_key, .doc = "PEM: its private key."),
	{ 0 },
};

static const struct key cluster_timeouts_keys[] = {
	DURATION(cluster_timeouts, connect, .def = "3s", .max = "1h", .doc = "TCP, and TLS, to an endpoint."),
	DURATION(cluster_timeouts, response, .def = "60s", .max = "1d",
		 .doc = "From the end of a request to the head of its response, 101 too; else 504."),
	DURATION(cluster_timeouts, idle, .def = "60s", .max = "1d",
		 .doc = "Between two pieces of a response's body, and of an unused connection in the pool."),
	{ 0 },
};

static const struct key retries_keys[] = {
	UINT(retries_config, attempts, .def = "2", .max = "10",
	     .doc = "Further tries on other endpoints; never a request whose body has begun to leave, unless "
		    "idempotent."),
	FLAGS(retries_config, on, retry_words, .def = "connect, reset_before_response", .doc = "After what."),
	{ 0 },
};

static const struct key pool_keys[] = {
	UINT(pool_config, max_idle, .def = "64", .max = "100000",
	     .doc = "Unused connections kept for each endpoint, by each worker."),
	{ 0 },
};

static const struct key_word on_unhealthy_words[] = {
	{ "keep", ON_UNHEALTHY_KEEP, false },
	{ "drain", ON_UNHEALTHY_DRAIN, false },
	{ "close", ON_UNHEALTHY_CLOSE, false },
	{ 0 },
};

static const struct key health_header_keys[] = {
	STRING(string_pair, value, .doc = "Sent with each check."),
	{ 0 },
};

static const struct key health_keys[] = {
	ENUM(health_config, type, health_type, health_types, .def = "tcp",
	     .doc = "A connect, a request, or a whole WebSocket handshake with a ping."),
	TEXT(health_config, path, type_url_path, .def = "/", .doc = "What is asked for."),
	TEXT(health_config, method, type_token, .def = "GET", .doc = "How, with type http."),
	STRING(health_config, host, .doc = "The Host of a check. Absent: the endpoint's host and port."),
	MAP(health_config, headers, string_pair, type_edited_header, health_header_keys, .item_word = "header",
	    .doc = "More headers of a check, each NAME: VALUE."),
	LIST(health_config, expect_status, uint32_t, type_uint, .def = "200", .min = "100", .max = "599",
	     .flags = KEY_NOT_ZERO, .doc = "Statuses that are healthy, with type http."),
	VALUE(health_config, expect_body, struct pattern, type_value_pattern, .def = "",
	      .doc = "What the body must be, or \"~ REGEX\"."),
	DURATION(health_config, interval, .def = "5s", .min = "100ms", .max = "1d", .flags = KEY_NOT_ZERO,
		 .doc = "Between two checks of one endpoint."),
	DURATION(health_config, fast_interval, .def = "1s", .min = "100ms", .max = "1d", .flags = KEY_NOT_ZERO,
		 .doc = "The same while its state is about to change, where that is shorter."),
	PERCENT(health_config, jitter, .def = "10%", .max = "50%",
		.doc = "Intervals vary at random by as much, so that checks do not march in step."),
	DURATION(health_config, timeout, .def = "2s", .min = "10ms", .max = "1h", .flags = KEY_NOT_ZERO,
		 .doc = "For one check."),
	UINT(health_config, healthy, .def = "2", .min = "1", .max = "1000", .flags = KEY_NOT_ZERO,
	     .doc = "Good checks in a row that make an unhealthy one healthy; the first check of all counts at once."),
	UINT(health_config, unhealthy, .def = "3", .min = "1", .max = "1000", .flags = KEY_NOT_ZERO,
	     .doc = "Bad checks in a row that make it unhealthy."),
	ENUM(health_config, on_unhealthy, on_unhealthy, on_unhealthy_words, .def = "keep",
	     .doc = "What becomes of an unhealthy endpoint's WebSockets: kept, closed as when it is drained, or closed "
		    "at drain.rate without drain.timeout."),
	UINT(health_config, port, .def = "0", .max = "65535",
	     .doc = "Another port for checks; 0 is the endpoint's."),
	{ 0 },
};

static const struct key outlier_keys[] = {
	UINT(outlier_config, consecutive_failures, .def = "5",
	     .doc = "Failures in a row that put an endpoint aside: connects, connections that end before a response, "
		    "5xx, handshakes answered wrongly, WebSockets that die in their first second; a normal Close is "
		    "none. 0 is never."),
	DURATION(outlier_config, eject_for, .def = "30s", .min = "1s", .max = "1d", .flags = KEY_NOT_ZERO,
		 .doc = "For how long, the first time; each further time so much longer, up to ten times."),
	PERCENT(outlier_config, max_ejected, .def = "50%", .max = "100%",
		.doc = "Never more of the endpoints than this."),
	{ 0 },
};

static const struct key drain_keys[] = {
	DURATION(drain_config, timeout, .def = "5m",
		 .doc = "How long the connections of a leaving endpoint are left alone; 0 is not at all."),
	UINT(drain_config, close_code, .def = "1012", .min = "1000", .max = "4999", .flags = KEY_NOT_ZERO,
	     .doc = "Then they are closed with this code,"),
	RATE(drain_config, rate, .def = "100/s",
	     .doc = "and not more than so many, over all endpoints of the cluster; 0 is all at once."),
	{ 0 },
};

static const struct key rebalance_keys[] = {
	DURATION(rebalance_config, after, .def = "0",
		 .doc = "So long after a scale-out, overloaded endpoints shed their excess; 0 is only on "
			"command."),
	RATE(rebalance_config, rate, .def = "20/s", .doc = "Not more than so many."),
	{ 0 },
};

static const struct key endpoint_keys[] = {
	TEXT(endpoint_config, address, type_endpoint, .flags = KEY_REQUIRED,
	     .doc = "HOST:PORT, where names are resolved, or unix:PATH."),
	UINT(endpoint_config, weight, .def = "1", .max = "1000000",
	     .doc = "Its share is its weight by the sum of all; 0 gets nothing new."),
	UINT(endpoint_config, max_connections, .def = "0", .doc = "Connections to it; 0 is no limit."),
	SWITCH(endpoint_config, backup, .def = "false", .doc = "Only when no other endpoint can serve."),
	STRING(endpoint_config, zone,
	       .doc = "Where it is. One in another zone than the proxy's `zone` serves only where none in that zone "
		      "can."),
	{ 0 },
};

const struct key endpoint_list_keys[] = {
	ITEMS(endpoint_list, endpoints, endpoint_config, endpoint_keys, .scalar_key = "address",
	      .item_word = "endpoint", .doc = "A list of endpoints in a file of its own."),
	{ 0 },
};

static const struct key discover_keys[] = {
	STRING(discover_config, dns, .doc = "A name whose addresses are the endpoints."),
	UINT(discover_config, port, .def = "0", .max = "65535",
	     .doc = "Their port; srv records bring their own."),
	ENUM(discover_config, type, discover_type, discover_types, .def = "a", .doc = "Which records."),
	DURATION(discover_config, refresh, .def = "5s", .min = "1s", .max = "1d", .flags = KEY_NOT_ZERO,
		 .doc = "Asked again at the records' TTL, and not more often than this; the file is looked at this often, too."),
	READABLE(discover_config, endpoints_file,
		 .doc = "A file with a list of endpoints, watched, instead of `dns`."),
	{ 0 },
};

const struct key cluster_keys[] = {
	TEXT(cluster_config, name, type_name, .flags = KEY_REQUIRED,
	     .doc = "What routes, logs and metrics call it, and by which a reload knows it again."),
	TEXT(cluster_config, balance, type_algorithm, .def = CONFIG_BALANCE_DEFAULT,
	     .doc = "Which endpoint gets the next connection."),
	VALUE(cluster_config, hash_on, struct request_key, type_request_key,
	      .doc = "For consistent_hash: ip, uri (the path), header:NAME, cookie:NAME, query:NAME or claim:NAME. "
		     "Requests without it are spread."),
	FACTOR(cluster_config, hash_bound, .def = "0", .min = "1", .max = "100",
	       .doc = "Bounded loads: no endpoint above so many times the mean; 0 is off."),
	SECTION(cluster_config, affinity, affinity_config, affinity_keys,
		.doc = "What brings a client back to its endpoint."),
	ENUM(cluster_config, protocol, backend_protocol, backend_protocols, .def = "http1",
	     .doc = "What the backends speak."),
	LIST(cluster_config, source_addresses, struct addr, type_host_addr,
	     .doc = "Addresses to connect from, in turn: several, where 28,000 ports to one backend are too few. "
		    "Endpoints of another family are connected to from any."),
	SECTION(cluster_config, queue, queue_config, queue_keys,
		.doc = "A place to wait when every endpoint is full."),
	OPTIONAL(cluster_config, tls, cluster_tls, cluster_tls_keys, .flags = KEY_CAN_BE_OFF,
		 .doc = "TLS to the backends. Absent: plaintext."),
	ENUM(cluster_config, proxy_protocol, proxy_protocol_out, proxy_protocol_words, .def = "off",
	     .doc = "A PROXY header for the backends, which must expect it."),
	SECTION(cluster_config, timeouts, cluster_timeouts, cluster_timeouts_keys,
		.doc = "How long a backend may take. 0 is no limit."),
	SECTION(cluster_config, retries, retries_config, retries_keys, .doc = "When an endpoint fails."),
	SECTION(cluster_config, pool, pool_config, pool_keys,
		.doc = "Connections that are kept for the next request."),
	OPTIONAL(cluster_config, health, health_config, health_keys, .flags = KEY_CAN_BE_OFF,
		 .doc = "Active checks, made once a process. Absent: none."),
	SECTION(cluster_config, outlier, outlier_config, outlier_keys,
		.doc = "Endpoints that fail in practice are put aside."),
	PERCENT(cluster_config, panic_threshold, .def = "25%", .max = "100%",
		.doc = "Where fewer of the endpoints than this are neither unhealthy nor ejected, and no backup is, "
		       "connections are spread over all of them: checks that fail everywhere are commonly wrong. 0 is "
		       "never."),
	DURATION(cluster_config, slow_start, .def = "0", .max = "1d",
		 .doc = "A new or recovered endpoint gets its full share after this time, and less until then."),
	RATE(cluster_config, slow_start_rate, .def = "0",
	     .doc = "While an endpoint starts slowly, not more than so many new connections to it: one that comes back is not "
		    "overrun by all who were waiting for it. Others wait in the `queue`. 0 is no limit."),
	SECTION(cluster_config, drain, drain_config, drain_keys,
		.doc = "What becomes of WebSockets and tcp connections when their endpoint leaves: when a reload removes "
		       "it, or when it is drained."),
	SECTION(cluster_config, rebalance, rebalance_config, rebalance_keys,
		.doc = "What becomes of WebSockets when endpoints come."),
	UINT(cluster_config, max_connections, .def = "0",
	     .doc = "Connections to all endpoints together; 0 is no limit."),
	UINT(cluster_config, max_pending, .def = "0",
	     .doc = "Requests, handshakes and connections to one endpoint that have had no answer yet; 0 is no limit."),
	ITEMS(cluster_config, endpoints, endpoint_config, endpoint_keys, .scalar_key = "address",
	      .item_word = "endpoint",
	      .doc = "Where it is served: an address, or a mapping with an address and more."),
	OPTIONAL(cluster_config, discover, discover_config, discover_keys,
		 .doc = "Endpoints that are looked up."),
	{ 0 },
};
