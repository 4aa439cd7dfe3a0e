/* The configuration: an immutable snapshot of one file.
 *
 * config_load() reads, checks and resolves the whole file or says everything that is wrong with it.  The
 * result never changes; it is counted atomically, so that each worker holds the snapshot it works by.  One
 * struct is one mapping of the file; a field is its key with the unit at the end.  Optional mappings are
 * pointers, NULL when absent. Everything inside is owned by the snapshot and lives as long as it; what is 0
 * (or NULL) is "none".
 *
 * Called by: main and control (load), and read by every floor above.  Logs nothing. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/regex.h"
#include "config/cidr.h"

/* What a string is compared with.  Hosts are lower case. */
enum pattern_kind {
	PATTERN_EXACT,	/* text is the whole */
	PATTERN_PREFIX, /* paths: text is the whole, or what stands before a '/' ("/ws": /ws, /ws/a; not /wsx)
			 */
	PATTERN_SUFFIX, /* hosts: "*.example.com" is text ".example.com", with at least one byte before it */
	PATTERN_REGEX,	/* searched, not anchored */
};

struct pattern {
	enum pattern_kind kind;
	size_t text_len;
	char *text;	     /* without "= ", "~ ", "*"; "" when absent */
	struct regex *regex; /* PATTERN_REGEX only */
};

/* A header value or a body with variables, cut into parts at load. */
enum variable {
	VARIABLE_LITERAL, /* text as it is */
	VARIABLE_REMOTE_ADDR,
	VARIABLE_HOST,
	VARIABLE_REQUEST_ID,
	VARIABLE_TRACE_ID,
	VARIABLE_REQUEST_URI,
	VARIABLE_SCHEME,
	VARIABLE_CLAIM, /* text is the claim's name */
};

struct template_part {
	enum variable variable;
	char *text;
	size_t text_len;
};

struct template
{
	char *text; /* as written */
	struct template_part *parts;
	size_t parts_count;
};

/* What a client or a request is told apart by: "ip", "uri", "header:NAME", "cookie:NAME", "query:NAME",
 * "claim:NAME". */
enum request_key_kind {
	REQUEST_KEY_NONE,
	REQUEST_KEY_IP,
	REQUEST_KEY_URI,
	REQUEST_KEY_HEADER,
	REQUEST_KEY_COOKIE,
	REQUEST_KEY_QUERY,
	REQUEST_KEY_CLAIM,
};

struct request_key {
	enum request_key_kind kind;
	char *name; /* NULL for ip and uri */
};

struct string_pair {
	char *name;
	char *value;
};

/* --- log, admin, limits --- */

enum config_log_level { CONFIG_LOG_ERROR, CONFIG_LOG_WARN, CONFIG_LOG_INFO, CONFIG_LOG_DEBUG };
enum config_log_format { CONFIG_LOG_TEXT, CONFIG_LOG_JSON };
enum access_log_format { ACCESS_LOG_JSON, ACCESS_LOG_COMBINED };
enum access_log_event { ACCESS_LOG_OPEN = 1 << 0, ACCESS_LOG_CLOSE = 1 << 1 };

struct access_log_config {
	char *path; /* "-" is stdout */
	enum access_log_format format;
	double sample_percent;
	uint32_t events; /* bits of enum access_log_event */
};

struct log_config {
	enum config_log_level level;
	enum config_log_format format;
	struct access_log_config *access; /* NULL: off */
};

struct admin_config {
	char *socket;
	uint32_t mode;
	char *group; /* NULL: the process's */
	struct addr listen; /* len 0: none */
	bool mirror;
};

struct per_ip_limits {
	uint32_t connections;
	double connection_rate_per_s;
	uint32_t connection_burst;
	double request_rate_per_s;
	uint32_t request_burst;
	uint32_t ipv6_prefix;
	struct cidr *exempt;
	size_t exempt_count;
};

struct limits_config {
	uint32_t max_connections;
	uint32_t max_handshakes; /* 0: no limit */
	uint64_t session_memory_bytes;
	uint32_t table_entries;
	struct per_ip_limits per_ip;
	struct cidr *deny;
	size_t deny_count;
	char *deny_file;
};

struct resolver_config {
	struct addr *servers; /* none: the system's */
	size_t servers_count;
};

struct upgrade_config {
	uint64_t drain_ms;   /* 0: connections end by themselves */
	uint64_t timeout_ms; /* never 0 */
};

enum traceparent_policy { TRACEPARENT_PASS, TRACEPARENT_MAKE };

struct tracing_config {
	enum traceparent_policy traceparent;
	double sample_percent;
};

struct shutdown_config {
	uint64_t grace_ms;
};

/* --- listeners --- */

enum listener_protocol { LISTENER_HTTP, LISTENER_TCP };
enum proxy_protocol_in { PROXY_PROTOCOL_IN_OFF, PROXY_PROTOCOL_IN_REQUIRE };
enum tls_min_version { TLS_MIN_1_2 = 2, TLS_MIN_1_3 = 3 };
enum tls_unknown_sni { TLS_UNKNOWN_DEFAULT, TLS_UNKNOWN_REJECT };
enum client_auth_mode { CLIENT_AUTH_OFF, CLIENT_AUTH_OPTIONAL, CLIENT_AUTH_REQUIRE };

/* Where something stands in its file, for what is found wrong with it later; 0: it stands in none. */
struct config_place {
	uint32_t line, column;
};

struct certificate_config {
	char *cert;
	char *key;
	struct config_place place;
};

struct client_auth_config {
	char *ca;
	enum client_auth_mode mode;
	struct string_pair *forward; /* header name -> word of tls_peer_words */
	size_t forward_count;
};

struct session_tickets_config {
	uint64_t rotate_ms; /* 0: one key for the life of the process */
	char *key_file;	    /* NULL: made at random, and rotated */
};

struct ocsp_stapling_config {
	char *file;
};

struct listener_tls {
	struct certificate_config *certificates; /* at least one, or certificate_dir; the first is the default */
	size_t certificates_count;
	char *certificate_dir; /* NULL: none; pairs NAME.pem (or .crt) and NAME.key */
	enum tls_unknown_sni unknown_sni;
	enum tls_min_version min_version;
	char *ciphers; /* NULL: the built-in list; also the next two */
	char *ciphersuites;
	char *curves;
	char **alpn;
	size_t alpn_count;
	struct client_auth_config *client_auth;		/* NULL: off */
	struct session_tickets_config *session_tickets; /* NULL: off */
	struct ocsp_stapling_config *ocsp_stapling;	/* NULL: off */
};

struct listener_timeouts {
	uint64_t handshake_ms; /* TLS, and the PROXY header before it */
	uint64_t header_ms;
	uint64_t body_ms;
	uint64_t keep_alive_ms;
	uint64_t idle_ms; /* protocol tcp */
};

struct http_limits {
	uint64_t max_header_size_bytes;
	uint32_t max_headers;
	uint64_t max_body_size_bytes;
};

struct listener_limits {
	uint32_t max_connections;
	struct per_ip_limits per_ip;
};

struct listener_access {
	struct cidr *allow;
	size_t allow_count;
	struct cidr *deny;
	size_t deny_count;
};

struct cluster_config;
struct route_config;

/* sni: { "a.example.com": cluster } */
struct sni_route {
	char *name; /* as written */
	char *cluster;
	struct pattern host;		       /* EXACT or SUFFIX, made from `name` */
	const struct cluster_config *resolved; /* never NULL in a loaded snapshot */
};

struct listener_config {
	char *name;
	struct config_place place;
	struct addr *bind;
	size_t bind_count;
	enum listener_protocol protocol;
	enum proxy_protocol_in proxy_protocol;
	struct cidr *proxy_protocol_from; /* empty: anybody */
	size_t proxy_protocol_from_count;
	struct listener_tls *tls; /* NULL: plaintext */
	struct listener_timeouts timeouts;
	struct http_limits http;
	struct listener_limits limits;
	struct listener_access access;
	struct route_config *routes; /* protocol http; the first match wins */
	size_t routes_count;
	char *cluster; /* protocol tcp; NULL when there is only `sni` */
	struct sni_route *sni;
	size_t sni_count;
	const struct cluster_config *cluster_resolved; /* of `cluster` */
};

/* --- routes --- */

/* One header or query argument that must match: EXACT or REGEX. */
struct match_config {
	char *name; /* headers: lower case */
	struct pattern value;
};

struct weighted_cluster {
	char *name;
	uint32_t weight;
};

/* Where a route leads: one for `cluster`, all of `clusters`. */
struct route_target {
	const struct cluster_config *cluster; /* never NULL in a loaded snapshot */
	uint32_t weight;
};

struct rewrite_config {
	struct pattern path; /* REGEX: replaced by `to` with $1..$9; EXACT, PREFIX: that part is replaced */
	char *to;
};

struct header_value {
	char *name; /* as written */
	struct template value;
};

struct header_edits {
	struct header_value *set;
	size_t set_count;
	struct header_value *add;
	size_t add_count;
	char **remove; /* lower case */
	size_t remove_count;
};

struct request_limits {
	double request_rate_per_s;
	uint32_t request_burst;
	double message_rate_per_s;
	uint32_t message_burst;
	double byte_rate_per_s;
	struct request_key key;
};

/* All that it names must match: what is absent (text NULL) is not asked. */
struct deny_rule {
	struct pattern path;
	struct pattern query; /* the whole of it: EXACT or REGEX */
	struct match_config *headers;
	size_t headers_count;
};

struct access_config {
	struct cidr *allow;
	size_t allow_count;
	struct cidr *deny;
	size_t deny_count;
	char **origins; /* "https://example.com", "https://" "*.example.com" */
	size_t origins_count;
	struct deny_rule *deny_if;
	size_t deny_if_count;
};

enum token_source_kind { TOKEN_FROM_HEADER, TOKEN_FROM_COOKIE, TOKEN_FROM_QUERY, TOKEN_FROM_SUBPROTOCOL };
enum jwt_on_expiry { JWT_EXPIRY_CLOSE, JWT_EXPIRY_IGNORE };

struct token_source {
	enum token_source_kind kind;
	char *name; /* cookie and query */
};

struct jwt_claim {
	char *name;
	char **values;
	size_t values_count;
};

struct jwt_config {
	struct token_source *from;
	size_t from_count;
	char *keys;
	char *secret_file;
	char **algorithms;
	size_t algorithms_count;
	char *issuer;
	char **audience;
	size_t audience_count;
	uint64_t leeway_ms;
	char *revoked_file;
	enum jwt_on_expiry on_expiry;
	uint64_t expiry_grace_ms;
	struct jwt_claim *claims;
	size_t claims_count;
	struct string_pair *forward; /* header name -> claim */
	size_t forward_count;
};

struct forward_auth_config {
	char *url;
	uint64_t timeout_ms;
	char **copy_headers;
	size_t copy_headers_count;
	uint64_t cache_ms;
};

struct auth_config {
	struct jwt_config *jwt;
	bool refresh;
	struct forward_auth_config *forward;
};

enum over_rate { OVER_RATE_DELAY, OVER_RATE_CLOSE, OVER_RATE_DROP };
enum slow_client { SLOW_CLIENT_PAUSE, SLOW_CLIENT_CLOSE, SLOW_CLIENT_DROP_OLDEST, SLOW_CLIENT_LATEST };
enum ws_compression { WS_COMPRESSION_PASS, WS_COMPRESSION_STRIP, WS_COMPRESSION_TERMINATE };

/* For WS_COMPRESSION_TERMINATE. */
struct deflate_policy {
	bool context_takeover;
	uint32_t window_bits;
	uint32_t level;
	uint32_t memory_level;
	uint64_t min_size_bytes;
	uint32_t max_ratio;
};

/* Bits of the kinds of messages, by their opcodes. */
enum ws_opcodes { WS_OPCODES_TEXT = 1 << 1, WS_OPCODES_BINARY = 1 << 2, WS_OPCODES_ALL = 3 << 1 };

struct websocket_policy {
	uint64_t ping_interval_ms;
	uint64_t backend_ping_interval_ms;
	uint64_t pong_timeout_ms;
	uint64_t idle_timeout_ms;
	uint64_t max_lifetime_ms;
	double max_lifetime_jitter_percent;
	uint64_t max_frame_size_bytes;
	uint64_t max_message_size_bytes;
	double message_rate_per_s;
	uint32_t message_burst;
	double byte_rate_per_s;
	enum over_rate over_rate;
	uint32_t opcodes; /* enum ws_opcodes */
	uint64_t send_buffer_bytes;
	enum slow_client slow_client;
	uint64_t slow_timeout_ms;
	char **subprotocols;
	size_t subprotocols_count;
	enum ws_compression compression;
	struct deflate_policy deflate;
};

struct sockjs_config {
	bool websocket;
	bool cookie;
	uint64_t response_limit_bytes;
	uint64_t disconnect_delay_ms;
	uint64_t heartbeat_ms;
	char *client_url;
	char *target;
};

enum fallback_overflow { FALLBACK_OVERFLOW_PAUSE, FALLBACK_OVERFLOW_CLOSE };

struct fallback_config {
	char **carriers;
	size_t carriers_count;
	struct sockjs_config *sockjs; /* NULL: off */
	uint64_t keep_ms;
	uint64_t window_bytes;
	enum fallback_overflow overflow;
	uint64_t beat_ms;
	uint64_t hold_ms;
};

struct respond_config {
	uint32_t status;
	struct header_value *headers;
	size_t headers_count;
	struct template body;
};

struct route_config {
	char *name;	      /* "route-3" (its place, from 1) when absent; unique in the listener */
	struct pattern *host; /* any of them; none: every host */
	size_t host_count;
	struct pattern path; /* absent: PREFIX with text "/" */
	char **methods;	     /* none: every method */
	size_t methods_count;
	struct match_config *headers; /* all of them */
	size_t headers_count;
	struct match_config *query;
	size_t query_count;
	char *cluster;
	struct weighted_cluster *clusters;
	size_t clusters_count;
	struct route_target *targets; /* the two above, resolved; none with `respond` */
	size_t targets_count;
	uint32_t targets_weight;	/* their sum, > 0 where there are targets */
	struct rewrite_config *rewrite; /* NULL: the path as it came */
	struct header_edits request_headers;
	struct header_edits response_headers;
	struct request_limits limits;
	struct access_config access;
	struct auth_config auth;
	struct websocket_policy websocket;
	struct fallback_config *fallback; /* NULL: off */
	struct respond_config *respond;	  /* NULL: to a cluster */
};

/* --- clusters --- */

enum backend_protocol { BACKEND_HTTP1, BACKEND_H2 };
enum proxy_protocol_out { PROXY_PROTOCOL_OUT_OFF, PROXY_PROTOCOL_OUT_V1, PROXY_PROTOCOL_OUT_V2 };
enum same_site { SAME_SITE_UNSET, SAME_SITE_LAX, SAME_SITE_STRICT, SAME_SITE_NONE };
enum learn_from { LEARN_FROM_BODY, LEARN_FROM_HEADER };
enum health_type { HEALTH_TCP, HEALTH_HTTP, HEALTH_WEBSOCKET };
enum discover_type { DISCOVER_A, DISCOVER_AAAA, DISCOVER_SRV };
enum retry_on {
	RETRY_ON_CONNECT = 1 << 0,
	RETRY_ON_RESET = 1 << 1, /* reset_before_response */
	RETRY_ON_500 = 1 << 2,
	RETRY_ON_502 = 1 << 3,
	RETRY_ON_503 = 1 << 4,
	RETRY_ON_504 = 1 << 5,
};

struct affinity_cookie {
	char *name;
	uint64_t ttl_ms; /* 0: a session cookie */
	char *path;
	bool secure;
	bool http_only;
	enum same_site same_site;
	char *secret_file;
};

struct affinity_learn {
	enum learn_from from;
	char *key;
	struct request_key match;
};

struct affinity_config {
	struct affinity_cookie *cookie;
	struct affinity_learn *learn;
};

struct queue_config {
	uint32_t max;
	uint64_t timeout_ms;
};

struct cluster_tls {
	bool verify;
	char *ca;  /* NULL: the system's */
	char *sni; /* NULL: the endpoint's host */
	char *client_cert;
	char *client_key;
};

struct cluster_timeouts {
	uint64_t connect_ms;
	uint64_t response_ms;
	uint64_t idle_ms;
};

struct retries_config {
	uint32_t attempts; /* further tries after the first; 0: none */
	uint32_t on;	   /* bits of enum retry_on */
};

struct pool_config {
	uint32_t max_idle; /* kept per endpoint and worker */
};

enum on_unhealthy { ON_UNHEALTHY_KEEP, ON_UNHEALTHY_DRAIN, ON_UNHEALTHY_CLOSE };

struct health_config {
	enum health_type type;
	char *path;
	char *method;
	char *host; /* NULL: the endpoint's */
	struct string_pair *headers;
	size_t headers_count;
	uint32_t *expect_status;
	size_t expect_status_count;
	struct pattern expect_body; /* text "": any */
	uint64_t interval_ms;
	uint64_t fast_interval_ms;
	double jitter_percent;
	uint64_t timeout_ms;
	uint32_t healthy;
	uint32_t unhealthy;
	enum on_unhealthy on_unhealthy;
	uint32_t port; /* 0: the endpoint's */
};

struct outlier_config {
	uint32_t consecutive_failures;
	uint64_t eject_for_ms;
	double max_ejected_percent;
};

struct drain_config {
	uint64_t timeout_ms;
	uint32_t close_code;
	double rate_per_s;
};

struct rebalance_config {
	uint64_t after_ms;
	double rate_per_s;
};

struct endpoint_config {
	char *address; /* as written; its name, unique in the cluster */
	uint32_t weight;
	uint32_t max_connections;
	bool backup;
	char *zone;
	char *host;		  /* of address, without brackets; the path of a UNIX socket */
	uint16_t port;		  /* of address; 0 for UNIX */
	struct addr addr_literal; /* len 0: `host` is a name, resolved by cluster/ */
};

struct discover_config {
	char *dns;
	uint32_t port;
	enum discover_type type;
	uint64_t refresh_ms;
	char *endpoints_file;
};

/* Endpoints that were found out, with memory of their own; counted atomically, never changed. */
struct endpoint_list {
	struct endpoint_config *endpoints;
	size_t endpoints_count;
	struct config_memory *memory;
	atomic_uint refcount;
};

struct cluster_config {
	size_t index; /* in config.clusters */
	struct config_place place;
	char *name;
	char *balance; /* a name of cluster/pick's table; CONFIG_BALANCE_DEFAULT when absent */
	struct request_key hash_on;
	double hash_bound;
	struct affinity_config affinity;
	enum backend_protocol protocol;
	struct addr *source_addresses; /* ports are 0 */
	size_t source_addresses_count;
	struct queue_config queue;
	struct cluster_tls *tls; /* NULL: plaintext */
	enum proxy_protocol_out proxy_protocol;
	struct cluster_timeouts timeouts;
	struct retries_config retries;
	struct pool_config pool;
	struct health_config *health; /* NULL: no active checks */
	struct outlier_config outlier;
	double panic_threshold_percent;
	uint64_t slow_start_ms;
	double slow_start_rate_per_s;
	struct drain_config drain;
	struct rebalance_config rebalance;
	uint32_t max_connections; /* the cluster's, over all endpoints */
	uint32_t max_pending;	  /* of each endpoint */
	struct endpoint_config *endpoints;
	size_t endpoints_count;
	struct discover_config *discover; /* NULL: endpoints only */
	const char *own_zone;		  /* the proxy's; NULL: none is nearer than another */
};

/* --- the whole --- */

#define CONFIG_BALANCE_DEFAULT "round_robin"

struct config {
	uint32_t workers; /* 0: as many as there are cores for this process */
	char *zone;	  /* NULL: none is nearer than another */
	char *user;
	char *pid_file;
	struct log_config log;
	struct admin_config *admin; /* NULL: none */
	struct cidr *trusted_proxies;
	size_t trusted_proxies_count;
	struct limits_config limits;
	struct shutdown_config shutdown;
	struct upgrade_config upgrade;
	struct tracing_config tracing;
	struct resolver_config resolver;
	struct listener_config *listeners;
	size_t listeners_count;
	struct cluster_config *clusters;
	size_t clusters_count;

	char *file; /* the name it was loaded from */
	struct config_memory *memory;
	atomic_uint refcount;
};

/* What is wrong with a file, or strange about it; sorted by position. */
struct config_error {
	unsigned line, column; /* from 1; 0: the file as a whole */
	bool is_warning;
	char *text; /* "chat.yaml:14:9: cluster \"chat\" has no endpoints: ..." */
};

struct config_errors {
	struct config_error *list;
	size_t list_count;
	size_t errors_count; /* those that are no warnings */
	size_t list_cap;
};

void config_errors_init(struct config_errors *e);
void config_errors_done(struct config_errors *e);
/* One line each; warnings open with "warning: " after the position. */
void config_errors_print(const struct config_errors *e, FILE *out);

/* Reads and checks the whole of `path`.  Gives a snapshot with one reference (config_unref), or NULL when
 * there is any error.  `errors` gets errors and warnings; on success only warnings.  Borrows both. */
struct config *config_load(const char *path, struct config_errors *errors);
/* The same from bytes; `name` stands for the file in messages.  Files that are named inside are still looked
 * at. */
struct config *config_load_bytes(const char *name, const char *bytes, size_t len,
				 struct config_errors *errors);

struct config *config_ref(struct config *c);
void config_unref(struct config *c); /* accepts NULL */

/* The first cluster (listener, route) of that name, or NULL. */
const struct cluster_config *config_find_cluster(const struct config *c, const char *name);
const struct listener_config *config_find_listener(const struct config *c, const char *name);
const struct route_config *config_find_route(const struct listener_config *l, const char *name);

/* `discover.endpoints_file`: a list of endpoints as a cluster has it, JSON or YAML, alone or under `endpoints:`.  Gives a
 * list with one reference, or NULL and errors. */
struct endpoint_list *endpoint_list_load(const char *path, struct config_errors *errors);
/* The same from bytes; `name` stands for the file in messages. */
struct endpoint_list *endpoint_list_load_bytes(const char *name, const char *bytes, size_t len,
					       struct config_errors *errors);
/* An empty one, to be filled before anybody else sees it; NULL: out of memory. */
struct endpoint_list *endpoint_list_new(size_t endpoints_max);
/* "HOST:PORT" with weight 1; false: that is no endpoint, or out of memory. */
bool endpoint_list_add(struct endpoint_list *l, const char *address);
/* A copy of `from`; false: out of memory. */
bool endpoint_list_copy(struct endpoint_list *l, const struct endpoint_config *from);
struct endpoint_list *endpoint_list_ref(struct endpoint_list *l);
void endpoint_list_unref(struct endpoint_list *l); /* accepts NULL */
bool endpoint_list_is_equal(const struct endpoint_list *a, const struct endpoint_list *b);

/* -T: the effective configuration as YAML that loads again to an equal one.  0, or -EIO. */
int config_print(const struct config *c, FILE *out);
/* --schema: JSON Schema, draft 2020-12. */
int config_print_schema(FILE *out);
/* The reference manual: every key with its type, default and what it does. */
int config_print_markdown(FILE *out);
int config_print_man(FILE *out);

/* True where a reload would change nothing. */
bool config_is_equal(const struct config *a, const struct config *b);

/* The tables of higher floors, handed in by main before the first load; keeps the array (static storage).
 * NULL ends it.  Until then the names of the reference manual are known. */
void config_set_algorithms(const char *const *names);
void config_set_carriers(const char *const *names);

/* Does `p` match?  Hosts in lower case and without port, paths without query.  1, 0, or -1 when a regex gave
 * up at its limit. */
int pattern_match(const struct pattern *p, const char *text, size_t len);

#endif
