/* The access log in JSON: one object a line.
 *
 * The time is the line's own: of a request's or a connection's end, where it tells of one.
 * Parts: request to route; method to tls; referer and user agent. */
#include "base/clock.h"
#include "proxy/access_format.h"

#define PUT(out, literal) str_bytes((out), "" literal, sizeof(literal) - 1)

/* ,"name":"value" of what a peer or a user wrote. */
#define TEXT(out, name, text, len)              \
	do {                                    \
		PUT(out, ",\"" name "\":");     \
		str_json((out), (text), (len)); \
	} while (0)

/* The same of what needs no escapes: addresses, tokens, hosts, our own words. */
#define PLAIN(out, name, text, len)              \
	do {                                     \
		PUT(out, ",\"" name "\":\"");    \
		str_bytes((out), (text), (len)); \
		PUT(out, "\"");                  \
	} while (0)

#define NUMBER(out, name, value)            \
	do {                                \
		PUT(out, ",\"" name "\":"); \
		str_dec((out), (value));    \
	} while (0)

static void name_print(struct str *out, const char *name)
{
	str_json(out, name, access_cut(strlen(name), ACCESS_NAME_MAX));
}

/* All but the milliseconds is printed once a second. */
static void time_print(struct str *out, uint64_t wall_ns)
{
	static _Thread_local uint64_t printed_s;
	static _Thread_local char text[CLOCK_ISO_MAX];
	uint64_t now_s = wall_ns / 1000000000u;
	const size_t to_dot = sizeof("2026-11-24T14:50:16.") - 1;

	if (now_s != printed_s || text[0] == '\0') {
		clock_print_iso(wall_ns, text);
		printed_s = now_s;
	}
	str_bytes(out, text, to_dot);
	str_dec_padded(out, wall_ns / 1000000 % 1000, 3);
	str_char(out, 'Z');
}

/* The path and the query as they came, in one value of bounded length. */
static void path_print(struct str *out, const struct http_head *head)
{
	size_t len = access_cut(head->path_len, ACCESS_PATH_MAX);

	if (head->path_len == 0) { /* CONNECT */
		TEXT(out, "path", head->target, access_cut(head->target_len, ACCESS_PATH_MAX));
		return;
	}
	PUT(out, ",\"path\":\"");
	str_json_part(out, head->path, len);
	if (head->query != NULL && len < ACCESS_PATH_MAX) {
		PUT(out, "?");
		str_json_part(out, head->query, access_cut(head->query_len, ACCESS_PATH_MAX - len - 1));
	}
	PUT(out, "\"");
}

static void request_print(struct str *out, const struct request *r)
{
	PLAIN(out, "method", r->head->method, r->head->method_len);
	path_print(out, r->head);
	if (r->host_len > 0)
		PLAIN(out, "host", r->host, r->host_len);
	if (r->head->version_minor == 0)
		PUT(out, ",\"protocol\":\"HTTP/1.0\"");
	else
		PUT(out, ",\"protocol\":\"HTTP/1.1\"");
}

static void fields_print(struct str *out, const struct http_head *head)
{
	const struct http_field *referer = http_head_find(head, HTTP_REFERER, NULL);
	const struct http_field *agent = http_head_find(head, HTTP_USER_AGENT, NULL);

	if (referer != NULL)
		TEXT(out, "referer", referer->value, access_cut(referer->value_len, ACCESS_REFERER_MAX));
	if (agent != NULL)
		TEXT(out, "user_agent", agent->value, access_cut(agent->value_len, ACCESS_AGENT_MAX));
}

static void json_start(struct str *out, const struct access_start *a, uint32_t ends[ACCESS_PARTS_MAX])
{
	if (a->r != NULL)
		PLAIN(out, "request_id", a->r->id, REQUEST_ID_LEN);
	if (a->r != NULL && a->r->trace.id[0] != '\0')
		PLAIN(out, "trace_id", a->r->trace.id, TRACE_ID_LEN);
	PLAIN(out, "client", a->client, a->client_len);
	PUT(out, ",\"listener\":");
	name_print(out, a->listener->name);
	if (a->r != NULL && a->r->route != NULL) {
		PUT(out, ",\"route\":");
		name_print(out, a->r->route->name);
	}
	ends[0] = (uint32_t)out->len;
	if (a->r != NULL)
		request_print(out, a->r);
	else if (a->line != NULL)
		TEXT(out, "line", a->line, a->line_len);
	else
		PUT(out, ",\"protocol\":\"tcp\"");
	if (a->tls != NULL && *a->tls != '\0')
		PLAIN(out, "tls", a->tls, access_cut(strlen(a->tls), ACCESS_NAME_MAX));
	ends[1] = (uint32_t)out->len;
	if (a->r != NULL)
		fields_print(out, a->r->head);
	ends[2] = (uint32_t)out->len;
}

static void place_print(struct str *out, const struct access_end *end)
{
	if (end->cluster != NULL) {
		PUT(out, ",\"cluster\":");
		name_print(out, end->cluster);
	}
	if (end->endpoint != NULL) {
		PUT(out, ",\"endpoint\":");
		name_print(out, end->endpoint);
	}
}

static void amounts_print(struct str *out, const struct access_end *end)
{
	if (end->status != 0)
		NUMBER(out, "status", end->status);
	NUMBER(out, "bytes_in", end->bytes_in);
	NUMBER(out, "bytes_out", end->bytes_out);
	PUT(out, ",\"duration_ms\":");
	str_dec_point(out, end->duration_us, 3);
}

static void closing_print(struct str *out, const struct access_end *end)
{
	if (end->is_websocket) {
		NUMBER(out, "messages_in", end->messages_in);
		NUMBER(out, "messages_out", end->messages_out);
		if (end->dropped_in > 0)
			NUMBER(out, "dropped_in", end->dropped_in);
		if (end->dropped_out > 0)
			NUMBER(out, "dropped_out", end->dropped_out);
	}
	if (end->close_code != 0)
		NUMBER(out, "close_code", end->close_code);
	if (end->closed_by != CLOSED_BY_NONE)
		PLAIN(out, "closed_by", access_sides[end->closed_by], strlen(access_sides[end->closed_by]));
	if (end->why != REASON_NONE) {
		const struct reason_row *row = reason_of(end->why);

		PLAIN(out, "reason", row->word, strlen(row->word));
		if (row->key != NULL)
			PLAIN(out, "key", row->key, strlen(row->key));
	}
}

static void json_line(struct str *out, const struct access_entry *e, const struct access_end *end)
{
	PUT(out, "{\"time\":\"");
	time_print(out, clock_wall_ns());
	PUT(out, "\"");
	PLAIN(out, "event", end->event, strlen(end->event));
	access_part(out, e, 0);
	place_print(out, end);
	access_part(out, e, 1);
	amounts_print(out, end);
	access_part(out, e, 2);
	closing_print(out, end);
	PUT(out, "}\n");
}

const struct access_format access_json = { json_start, json_line };
