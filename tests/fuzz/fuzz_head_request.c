/* proxy/: an octet of settings, then a request's head: prepared, routed, rewritten, written for the backend,
 * logged.
 *
 * Always: what is written parses again, is framed as it was, has one Host and nothing of the client's hop;
 * each of its lines is the client's as it stood, or one that the proxy writes; a line of the log is one
 * line. */
#include "proxy/head_request.h"

#include "must.h"

#include <string.h>

#include "proxy/access_format.h"
#include "proxy/route.h"
#include "wire/http1_parse.h"
#include "wire/ws_handshake.h"

enum { FIELDS_MAX = 64, WRITTEN_MAX = 65536 };
enum { TRUSTED = 1, TLS = 2, EDITED = 4, IPV6 = 8, UNIX = 16, STRIPPED = 32 };

/* Listener 0 as plain as can be, but for patterns and rewrites; listener 1 with edits; 2 without
 * compression. */
static const char config_text[] =
	"trusted_proxies: [10.0.0.0/8, \"fd00::/8\"]\n"
	"listeners:\n"
	"- name: plain\n  bind: 127.0.0.1:80\n  routes:\n"
	"  - {host: [a.test, \"*.b.test\"], cluster: c, rewrite: {path: /api, to: /v2}}\n"
	"  - {path: \"~ ^/ws/(.*)$\", cluster: c, rewrite: {path: \"~ ^/ws/(.*)$\", to: $1}}\n"
	"  - {path: \"~ ^/(a+)+$\", cluster: c}\n"
	"  - {headers: {X-Beta: \"~ ^1\"}, cluster: c, rewrite: {path: \"~ (.)\", to: /$1}}\n"
	"  - {query: {v: \"2\"}, methods: [GET, POST], cluster: c, rewrite: {path: /dir/, to: /}}\n"
	"  - {path: \"= *\", cluster: c}\n"
	"  - {cluster: c}\n"
	"- name: edited\n  bind: 127.0.0.1:81\n  routes:\n"
	"  - cluster: c\n"
	"    request_headers:\n"
	"      set: {X-Set: \"$host $request_uri $remote_addr $scheme\", user-agent: me, Host: "
	"$remote_addr}\n"
	"      add: {X-Add: $request_uri}\n"
	"      remove: [X-Remove, Cookie, Forwarded]\n"
	"- name: stripped\n  bind: 127.0.0.1:82\n  routes: [{cluster: c, websocket: {compression: strip}}]\n"
	"clusters: [{name: c, endpoints: [\"10.0.0.1:80\"]}]\n";

static struct config *config_get(void)
{
	static struct config *config; /* of the process */
	struct config_errors errors;

	if (config != NULL)
		return config;
	config_errors_init(&errors);
	config = config_load_bytes("f", config_text, sizeof(config_text) - 1, &errors);
	config_errors_print(&errors, stderr);
	MUST(config != NULL);
	config_errors_done(&errors);
	return config;
}

/* What the proxy writes at most once each, whatever the client sent. */
static const uint64_t own_ids = HTTP_BIT(HTTP_HOST) | HTTP_BIT(HTTP_X_FORWARDED_FOR) |
				HTTP_BIT(HTTP_X_FORWARDED_PROTO) | HTTP_BIT(HTTP_X_FORWARDED_HOST) |
				HTTP_BIT(HTTP_X_FORWARDED_PORT) | HTTP_BIT(HTTP_FORWARDED) |
				HTTP_BIT(HTTP_X_REQUEST_ID);

static bool is_edit(const struct http_field *f)
{
	return f->id == HTTP_USER_AGENT || http_text_is_literal(f->name, f->name_len, "x-set") ||
	       http_text_is_literal(f->name, f->name_len, "x-add");
}

static bool is_same(const struct http_field *a, const struct http_field *b)
{
	return a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0 &&
	       a->value_len == b->value_len && memcmp(a->value, b->value, a->value_len) == 0;
}

/* The client's fields come in their order: *next moves on to behind the one found. */
static bool is_the_clients(const struct http_field *f, const struct http_head *head, uint32_t *next)
{
	for (uint32_t i = *next; i < head->field_count; i++) {
		if (!is_same(&head->fields[i], f))
			continue;
		*next = i + 1;
		return !http_field_is_hop_by_hop(head, f);
	}
	return false;
}

static void check_fields(const struct request *r, const struct http_head *again, bool is_upgrade,
			 bool is_edited)
{
	const struct http_head *head = r->head;
	uint64_t own = own_ids;
	uint32_t next = 0;

	if (head->is_chunked)
		own |= HTTP_BIT(HTTP_TRANSFER_ENCODING);
	if (is_upgrade)
		own |= HTTP_BIT(HTTP_CONNECTION) | HTTP_BIT(HTTP_UPGRADE) |
		       HTTP_BIT(HTTP_SEC_WEBSOCKET_EXTENSIONS);
	for (uint32_t i = 0; i < again->field_count; i++) {
		const struct http_field *f = &again->fields[i];

		if (f->id != HTTP_OTHER && (own & HTTP_BIT(f->id)) != 0) {
			bool may_repeat = r->is_trusted && f->id == HTTP_X_REAL_IP;

			MUST(may_repeat || http_head_count(again, f->id) == 1);
			continue;
		}
		MUST((HTTP_BIT(f->id) & HTTP_HOP_BY_HOP_SET) == 0);
		MUST(f->id != HTTP_X_REAL_IP || r->is_trusted);
		if (is_edited && is_edit(f))
			continue;
		MUST(is_the_clients(f, head, &next));
	}
	MUST(http_head_count(again, HTTP_HOST) == 1);
	if (is_edited)
		MUST(!http_head_has(again, HTTP_COOKIE) && !http_head_has(again, HTTP_FORWARDED));
}

static void check_start(const struct request *r, const struct http_head *again)
{
	const struct http_head *head = r->head;
	uint64_t length, length_again;

	MUST(again->version_minor == 1);
	MUST(again->method_len == head->method_len &&
	     memcmp(again->method, head->method, head->method_len) == 0);
	MUST((again->query == NULL) == (head->query == NULL) && again->query_len == head->query_len);
	if (r->route->rewrite == NULL)
		MUST(again->path_len == head->path_len &&
		     memcmp(again->path, head->path, head->path_len) == 0);
	MUST(again->is_chunked == head->is_chunked && again->content_length == head->content_length);
	MUST(http1_request_body(head, &length) == http1_request_body(again, &length_again) &&
	     length == length_again);
}

static void check_written(const struct request *r, bool is_upgrade, bool is_edited)
{
	static uint8_t out[WRITTEN_MAX];
	const struct http1_limits limits = { 0 };
	struct http_field fields[FIELDS_MAX + 16];
	struct http_head again;
	long len = head_request_write(out, sizeof(out), r, is_upgrade), again_len;
	uint8_t *exact;

	if (len == -2) {
		MUST(r->route->rewrite != NULL);
		return;
	}
	MUST(len > 0);
	exact = malloc((size_t)len);
	MUST(exact != NULL);
	MUST(head_request_write(exact, (size_t)len - 1, r, is_upgrade) == -1);
	again_len = head_request_write(exact, (size_t)len, r, is_upgrade);
	MUST(again_len == len || again_len == -1); /* what is taken back again needed room as well */
	memcpy(exact, out, (size_t)len);
	http_head_init(&again, fields, FIELDS_MAX + 16);
	MUST(http1_parse_request(exact, (size_t)len, &limits, NULL, &again) == (int)len);
	check_start(r, &again);
	check_fields(r, &again, is_upgrade, is_edited);
	if (is_upgrade)
		MUST(ws_handshake_check_request(&again) == WS_HANDSHAKE_OK);
	free(exact);
}

/* One object, its keys in their order: what a client says makes no key. */
static void check_json(const char *at, const char *end)
{
	static const char *const keys[] = { "time",    "event",	     "request_id", "client",	"listener",
					    "route",   "method",     "path",	   "host",	"protocol",
					    "tls",     "status",     "bytes_in",   "bytes_out", "duration_ms",
					    "referer", "user_agent", "reason",	   "key" };
	size_t next = 0;

	MUST(*at == '{');
	while (*at != '}') {
		const char *key = ++at + 1;

		MUST(*at == '"' && (at = memchr(key, '"', (size_t)(end - key))) != NULL);
		while (next < sizeof(keys) / sizeof(keys[0]) &&
		       (strlen(keys[next]) != (size_t)(at - key) ||
			memcmp(keys[next], key, (size_t)(at - key)) != 0))
			next++;
		MUST(next++ < sizeof(keys) / sizeof(keys[0]));
		MUST(*++at == ':');
		if (*++at == '"') {
			for (at++; *at != '"'; at++)
				MUST(at < end && (*at != '\\' || ++at < end));
			at++;
		} else {
			at += strspn(at, "0123456789.");
		}
		MUST(*at == ',' || *at == '}');
	}
	MUST(at + 2 == end && at[1] == '\n');
}

static void check_log(const struct request *r)
{
	static const struct access_end end = { .event = "request",
					       .status = 200,
					       .why = REASON_TIMEOUT_BODY };
	static char line[ACCESS_LINE_MAX];

	for (int format = ACCESS_LOG_JSON; format <= ACCESS_LOG_COMBINED; format++) {
		struct access_log_config access = { .format = (enum access_log_format)format,
						    .sample_percent = 100 };
		const struct log_config log = { .access = &access };
		struct access_entry *e = access_request(&log, r, "TLSv1.3");
		struct str s;

		MUST(e != NULL);
		str_init(&s, line, sizeof(line));
		e->format->line(&s, e, &end);
		MUST(!s.is_cut && s.len > 0 && line[s.len - 1] == '\n');
		for (size_t i = 0; i + 1 < s.len; i++)
			MUST((uint8_t)line[i] >= 0x20 && (uint8_t)line[i] != 0x7f);
		if (format == ACCESS_LOG_JSON)
			check_json(line, line + s.len);
		access_free(e);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct http1_limits limits = { 0 };
	struct config *config = config_get();
	struct http_field fields[FIELDS_MAX];
	static char scratch[8192];
	struct addr peer, local;
	struct http_head head;
	struct request r;
	uint8_t settings;
	enum reason why;

	if (size == 0 || size > 4096)
		return 0;
	settings = *data++;
	size--;
	http_head_init(&head, fields, FIELDS_MAX);
	if (http1_parse_request(data, size, &limits, NULL, &head) <= 0)
		return 0;
	MUST(addr_parse(&peer, settings & UNIX	    ? "unix:/run/front"
			       : settings & TRUSTED ? settings & IPV6 ? "[fd00::1]:1" : "10.0.0.1:1"
			       : settings & IPV6    ? "[2001:db8::1]:1"
						    : "192.0.2.7:1") == 0);
	MUST(addr_parse(&local, settings & UNIX	  ? "unix:/run/back"
				: settings & IPV6 ? "[::1]:443"
						  : "127.0.0.1:80") == 0);
	r = (struct request){
		.head = &head,
		.config = config,
		.listener = &config->listeners[settings & EDITED     ? 1
					       : settings & STRIPPED ? 2
								     : 0],
		.peer = &peer,
		.local = &local,
		.is_tls = (settings & TLS) != 0,
	};
	why = request_prepare(&r, scratch, sizeof(scratch));
	MUST(r.client_len > 0 && r.client_len == strlen(r.client) && strlen(r.id) == REQUEST_ID_LEN);
	if (why == REASON_NONE)
		why = route_find(&r);
	check_log(&r);
	if (why == REASON_NONE && head.target_form != HTTP_TARGET_AUTHORITY)
		check_written(&r, ws_handshake_check_request(&head) == WS_HANDSHAKE_OK,
			      (settings & EDITED) != 0);
	return 0;
}
