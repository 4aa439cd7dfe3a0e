/* "Did you mean": near words, and the words of other balancers. */
#include "config/suggest.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/list.h"
#include "config/keys.h"

#define WORD_MAX  48 /* bytes; longer ones are nobody's slip */
#define WORDS_MAX 32 /* of one closed set */

/* What HAProxy, nginx, Envoy, Traefik and Caddy call it, and where it is here.  A word may stand several
 * times: the row whose key is nearest to the mapping in hand is meant, else the first. */
static const struct {
	const char *theirs, *ours;
} peers[] = {
	{ "accept_proxy", "listeners.proxy_protocol" },
	{ "access_log", "log.access" },
	{ "add_header", "listeners.routes.response_headers" },
	{ "addr", "clusters.endpoints.address" },
	{ "addr", "listeners.bind" },
	{ "address", "listeners.bind" },
	{ "addresses", "listeners.bind" },
	{ "algorithm", "clusters.balance" },
	{ "allow_origins", "listeners.routes.access.origins" },
	{ "allowed_origins", "listeners.routes.access.origins" },
	{ "auth_jwt", "listeners.routes.auth.jwt" },
	{ "auth_request", "listeners.routes.auth.forward" },
	{ "backend", "listeners.routes.cluster" },
	{ "backend", "clusters" },
	{ "backend", "listeners.routes.cluster" },
	{ "backends", "clusters.endpoints" },
	{ "backends", "clusters" },
	{ "cert", "listeners.tls.certificates" },
	{ "certificate", "listeners.tls.certificates" },
	{ "check", "clusters.health" },
	{ "circuit_breakers", "clusters.max_connections" },
	{ "client_max_body_size", "listeners.http.max_body_size" },
	{ "concurrency", "workers" },
	{ "connect_timeout", "clusters.timeouts.connect" },
	{ "cors", "listeners.routes.access.origins" },
	{ "crt", "listeners.tls.certificates" },
	{ "default_backend", "listeners.cluster" },
	{ "default_backend", "listeners.routes.cluster" },
	{ "drain_timeout", "clusters.drain.timeout" },
	{ "drain_timeout", "shutdown.grace" },
	{ "entryPoints", "listeners" },
	{ "entrypoints", "listeners" },
	{ "error_log", "log" },
	{ "ext_authz", "listeners.routes.auth.forward" },
	{ "fail_timeout", "clusters.outlier.eject_for" },
	{ "fall", "clusters.health.unhealthy" },
	{ "forward_auth", "listeners.routes.auth.forward" },
	{ "frontend", "listeners" },
	{ "frontends", "listeners" },
	{ "grace_period", "shutdown.grace" },
	{ "hard_stop_after", "shutdown.grace" },
	{ "hash", "clusters.hash_on" },
	{ "hash_policy", "clusters.hash_on" },
	{ "health_check", "clusters.health" },
	{ "health_checks", "clusters.health" },
	{ "healthcheck", "clusters.health" },
	{ "healthy_threshold", "clusters.health.healthy" },
	{ "heartbeat", "listeners.routes.websocket.ping_interval" },
	{ "hosts", "listeners.routes.host" },
	{ "hostname", "listeners.routes.host" },
	{ "inter", "clusters.health.interval" },
	{ "keepalive", "clusters.pool.max_idle" },
	{ "keepalive_timeout", "listeners.timeouts.keep_alive" },
	{ "large_client_header_buffers", "listeners.http.max_header_size" },
	{ "lb_endpoints", "clusters.endpoints" },
	{ "lb_policy", "clusters.balance" },
	{ "level", "log.level" },
	{ "limit_conn", "limits.per_ip.connections" },
	{ "limit_req", "listeners.routes.limits.request_rate" },
	{ "listen", "listeners.bind" },
	{ "load_balancing", "clusters.balance" },
	{ "location", "listeners.routes" },
	{ "locations", "listeners.routes" },
	{ "loglevel", "log.level" },
	{ "max_conns", "clusters.max_connections" },
	{ "max_conns", "clusters.endpoints.max_connections" },
	{ "max_fails", "clusters.outlier.consecutive_failures" },
	{ "max_idle_conns", "clusters.pool.max_idle" },
	{ "max_requests", "clusters.max_connections" },
	{ "maxconn", "limits.max_connections" },
	{ "maxconn", "clusters.max_connections" },
	{ "max_message_length", "listeners.routes.websocket.max_message_size" },
	{ "nbthread", "workers" },
	{ "outlier_detection", "clusters.outlier" },
	{ "pid", "pid_file" },
	{ "ping", "listeners.routes.websocket.ping_interval" },
	{ "policy", "clusters.balance" },
	{ "prefix", "listeners.routes.path" },
	{ "proxy_connect_timeout", "clusters.timeouts.connect" },
	{ "proxy_next_upstream", "clusters.retries.on" },
	{ "proxy_pass", "listeners.routes.cluster" },
	{ "proxy_read_timeout", "clusters.timeouts.response" },
	{ "proxy_read_timeout", "listeners.routes.websocket.idle_timeout" },
	{ "proxy_send_timeout", "clusters.timeouts.idle" },
	{ "proxy_set_header", "listeners.routes.request_headers" },
	{ "rate_limit", "listeners.routes.limits.request_rate" },
	{ "redirect", "listeners.routes.respond" },
	{ "request_timeout", "clusters.timeouts.response" },
	{ "resolver", "clusters.discover" },
	{ "resolvers", "clusters.discover" },
	{ "retry_policy", "clusters.retries" },
	{ "return", "listeners.routes.respond" },
	{ "rise", "clusters.health.healthy" },
	{ "routers", "listeners.routes" },
	{ "rules", "listeners.routes" },
	{ "send_proxy", "clusters.proxy_protocol" },
	{ "server", "clusters.endpoints" },
	{ "server", "listeners" },
	{ "server_name", "listeners.routes.host" },
	{ "servername", "listeners.routes.host" },
	{ "servers", "clusters.endpoints" },
	{ "service", "listeners.routes.cluster" },
	{ "services", "clusters" },
	{ "set_real_ip_from", "trusted_proxies" },
	{ "slow_start_config", "clusters.slow_start" },
	{ "slowstart", "clusters.slow_start" },
	{ "ssl", "listeners.tls" },
	{ "ssl_certificate", "listeners.tls.certificates" },
	{ "ssl_certificate_key", "listeners.tls.certificates.key" },
	{ "ssl_ciphers", "listeners.tls.ciphers" },
	{ "ssl_protocols", "listeners.tls.min_version" },
	{ "ssl_verify", "clusters.tls.verify" },
	{ "stats", "admin" },
	{ "sticky", "clusters.affinity" },
	{ "sticky_cookie", "clusters.affinity.cookie" },
	{ "stick_table", "clusters.affinity" },
	{ "stateful_session", "clusters.affinity" },
	{ "strategy", "clusters.balance" },
	{ "stream_idle_timeout", "listeners.routes.websocket.idle_timeout" },
	{ "stream_timeout", "listeners.routes.websocket.idle_timeout" },
	{ "targets", "clusters.endpoints" },
	{ "threads", "workers" },
	{ "timeout", "clusters.timeouts" },
	{ "timeout", "listeners.timeouts" },
	{ "timeout_tunnel", "listeners.routes.websocket.idle_timeout" },
	{ "trustedIPs", "trusted_proxies" },
	{ "trusted_ips", "trusted_proxies" },
	{ "unhealthy_threshold", "clusters.health.unhealthy" },
	{ "upstream", "listeners.routes.cluster" },
	{ "upstream", "clusters" },
	{ "upstreams", "clusters.endpoints" },
	{ "upstreams", "clusters" },
	{ "uri", "listeners.routes.path" },
	{ "url", "clusters.endpoints.address" },
	{ "use_backend", "listeners.routes.cluster" },
	{ "virtual_hosts", "listeners.routes" },
	{ "websocket_timeout", "listeners.routes.websocket.idle_timeout" },
	{ "worker_connections", "limits.max_connections" },
	{ "worker_processes", "workers" },
	{ "worker_shutdown_timeout", "shutdown.grace" },
};

/* The same for the words of closed sets. */
static const struct {
	const char *theirs, *ours;
} peers_words[] = {
	{ "roundrobin", "round_robin" },
	{ "rr", "round_robin" },
	{ "wrr", "round_robin" },
	{ "weighted_round_robin", "round_robin" },
	{ "static-rr", "round_robin" },
	{ "leastconn", "least_connections" },
	{ "least_conn", "least_connections" },
	{ "least_request", "least_connections" },
	{ "LEAST_REQUEST", "least_connections" },
	{ "random", "random_two" },
	{ "p2c", "random_two" },
	{ "power_of_two", "random_two" },
	{ "random(2)", "random_two" },
	{ "random_choose", "random_two" },
	{ "source", "ip_hash" },
	{ "client_ip", "ip_hash" },
	{ "ring_hash", "consistent_hash" },
	{ "RING_HASH", "consistent_hash" },
	{ "maglev", "consistent_hash" },
	{ "MAGLEV", "consistent_hash" },
	{ "hash", "consistent_hash" },
	{ "uri_hash", "consistent_hash" },
	{ "hrw", "consistent_hash" },
	{ "rendezvous", "consistent_hash" },
	{ "ws", "websocket" },
	{ "wss", "websocket" },
	{ "https", "http" },
	{ "ws", "http" },
	{ "wss", "http" },
	{ "stream", "tcp" },
	{ "warning", "warn" },
	{ "trace", "debug" },
	{ "notice", "info" },
	{ "crit", "error" },
	{ "TLSv1.2", "1.2" },
	{ "TLSv1.3", "1.3" },
	{ "http2", "h2" },
	{ "http/1.1", "http1" },
	{ "grpc", "h2" },
};

unsigned suggest_distance(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);
	unsigned rows[3][WORD_MAX + 1]; /* of the matrix: two back, the last, this */

	if (a_len > WORD_MAX || b_len > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= b_len; j++)
		rows[1][j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		rows[2][0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			unsigned best = rows[1][j - 1] + (a[i - 1] != b[j - 1]);

			if (rows[1][j] + 1 < best)
				best = rows[1][j] + 1;
			if (rows[2][j - 1] + 1 < best)
				best = rows[2][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    rows[0][j - 2] + 1 < best)
				best = rows[0][j - 2] + 1;
			rows[2][j] = best;
		}
		memcpy(rows[0], rows[1], sizeof(rows[0]));
		memcpy(rows[1], rows[2], sizeof(rows[1]));
	}
	return rows[1][b_len];
}

int suggest_is_near(unsigned distance, const char *word)
{
	size_t len = strlen(word);

	return distance <= (len < 3 ? 0u : len < 6 ? 1u : len < 10 ? 2u : 3u);
}

/* The distance, but the beginning of a word is as good as the word. */
static unsigned nearness(const char *word, const char *name)
{
	size_t len = strlen(word);

	return len >= 4 && strncmp(word, name, len) == 0 ? 1 : suggest_distance(word, name);
}

/* "-" and capitals are no difference worth a distance. */
static void word_normalise(const char *word, char out[WORD_MAX + 1])
{
	size_t i;

	for (i = 0; word[i] != '\0' && i < WORD_MAX; i++) {
		char c = word[i] == '-' ? '_' : word[i];

		out[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
	}
	out[i] = '\0';
}

static const struct key *key_find(const struct key *keys, const char *name)
{
	for (; keys->name != NULL; keys++)
		if (strcmp(keys->name, name) == 0)
			return keys;
	return NULL;
}

static const char *nearest_key(const char *word, const struct key *keys)
{
	unsigned best = WORD_MAX;
	const char *found = NULL;

	for (; keys->name != NULL; keys++) {
		unsigned d = nearness(word, keys->name);

		if (d < best && suggest_is_near(d, word)) {
			best = d;
			found = keys->name;
		}
	}
	return found;
}

/* Whether "a.b" leads somewhere from this mapping. */
static bool path_exists(const struct key *keys, const char *path)
{
	while (keys != NULL) {
		size_t len = strcspn(path, ".");
		const struct key *row = keys;

		while (row->name != NULL && !(strlen(row->name) == len && memcmp(row->name, path, len) == 0))
			row++;
		if (row->name == NULL)
			return false;
		if (path[len] == '\0')
			return true;
		path += len + 1;
		keys = row->keys;
	}
	return false;
}

/* The end of a path that leads somewhere from this mapping: of `parts` parts. */
static const char *path_end(const char *path, unsigned parts)
{
	for (const char *p = path + strlen(path); p > path; p--)
		if (p[-1] == '.' && --parts == 0)
			return p;
	return parts == 1 ? path : NULL;
}

/* The peers' word: the row that is nearest to this mapping, else the first. */
static const char *peer_path(const char *word, const struct key *keys)
{
	const char *found = NULL;

	for (unsigned parts = 1; parts <= 3; parts++)
		for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
			const char *end;

			if (strcasecmp(peers[i].theirs, word) != 0)
				continue;
			end = path_end(peers[i].ours, parts);
			if (end != NULL && path_exists(keys, end))
				return end;
			if (found == NULL)
				found = peers[i].ours;
		}
	return found;
}

/* Where else a key of this name is: the path of the first, depth first. */
static bool find_elsewhere(const char *word, const struct key *keys, const char *path, char *out, size_t size)
{
	for (; keys->name != NULL; keys++) {
		char below[160];

		snprintf(below, sizeof(below), "%s%s%s", path, *path == '\0' ? "" : ".", keys->name);
		if (strcmp(keys->name, word) == 0) {
			snprintf(out, size, "%s", below);
			return true;
		}
		if (keys->keys != NULL && keys->shape != KEY_MAP &&
		    find_elsewhere(word, keys->keys, below, out, size))
			return true;
	}
	return false;
}

void suggest_key(const char *word, const struct key *keys, char *out, size_t size)
{
	char plain[WORD_MAX + 1], path[160];
	const char *found;

	out[0] = '\0';
	if (strlen(word) > WORD_MAX)
		return;
	word_normalise(word, plain);
	if (key_find(keys, plain) != NULL)
		found = plain;
	else
		found = peer_path(plain, keys);
	if (found == NULL ||
	    strchr(found, '.') != NULL) { /* a slip in this mapping is likelier than a key of another */
		const char *near = nearest_key(plain, keys);

		found = near != NULL ? near : found;
	}
	if (found == NULL && find_elsewhere(plain, root_keys, "", path, sizeof(path))) {
		snprintf(out, size, ": it belongs to \"%s\"", path);
		return;
	}
	if (found != NULL)
		snprintf(out, size, ": did you mean \"%s\"?", found);
}

static bool names_have(const char *const *names, const char *name)
{
	for (; *names != NULL; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

void suggest_name(const char *word, const char *const *names, char *out, size_t size)
{
	const char *found = NULL;
	unsigned best = WORD_MAX;

	for (size_t i = 0; i < ARRAY_LEN(peers_words) && found == NULL; i++)
		if (strcasecmp(peers_words[i].theirs, word) == 0 && names_have(names, peers_words[i].ours))
			found = peers_words[i].ours;
	for (const char *const *n = names; *n != NULL && (found == NULL || best < WORD_MAX); n++) {
		unsigned d = nearness(word, *n);

		if (d < best && suggest_is_near(d, word)) {
			best = d;
			found = *n;
		}
	}
	out[0] = '\0';
	if (found != NULL)
		snprintf(out, size, " (did you mean \"%s\"?)", found);
}

void suggest_word(const char *word, const struct key_word *words, char *out, size_t size)
{
	const char *names[WORDS_MAX + 1];
	size_t count = 0;

	for (; words->word != NULL && count < WORDS_MAX; words++)
		names[count++] = words->word;
	names[count] = NULL;
	suggest_name(word, names, out, size);
}
