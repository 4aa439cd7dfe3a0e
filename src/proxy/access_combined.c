/* The access log as web servers have written it for thirty years: CLIENT - - [TIME] "LINE" STATUS BYTES
 * "REFERER" "AGENT".
 *
 * Parts: up to the time; the line; the two fields. */
#include "base/clock.h"
#include "proxy/access_format.h"

#define WORD(out, text)  str_bytes((out), (text), strlen(text))
#define PUT(out, literal) str_bytes((out), "" literal, sizeof(literal) - 1)

/* Printed once a second. */
static void time_print(struct str *out, uint64_t wall_ns)
{
	static _Thread_local uint64_t printed_s;
	static _Thread_local char text[CLOCK_CLF_MAX];
	static _Thread_local size_t len;
	uint64_t now_s = wall_ns / 1000000000u;

	if (now_s != printed_s || len == 0) {
		len = clock_print_clf(wall_ns, text);
		printed_s = now_s;
	}
	str_bytes(out, text, len);
}

static void field_print(struct str *out, const struct request *r, enum http_id id, size_t max)
{
	const struct http_field *f = r != NULL ? http_head_find(r->head, id, NULL) : NULL;

	PUT(out, " \"");
	if (f != NULL && f->value_len > 0)
		str_combined(out, f->value, access_cut(f->value_len, max));
	else
		PUT(out, "-");
	PUT(out, "\"");
}

static void request_print(struct str *out, const struct http_head *head)
{
	str_combined(out, head->method, head->method_len);
	PUT(out, " ");
	str_combined(out, head->target, access_cut(head->target_len, ACCESS_PATH_MAX));
	if (head->version_minor == 0)
		PUT(out, " HTTP/1.0");
	else
		PUT(out, " HTTP/1.1");
}

static void combined_start(struct str *out, const struct access_start *a, uint32_t ends[ACCESS_PARTS_MAX])
{
	str_bytes(out, a->client, a->client_len);
	PUT(out, " - - [");
	ends[0] = (uint32_t)out->len;
	PUT(out, "] \"");
	if (a->r != NULL) {
		request_print(out, a->r->head);
	} else if (a->line != NULL) {
		str_combined(out, a->line, a->line_len);
	} else {
		PUT(out, "TCP ");
		str_combined(out, a->listener->name, access_cut(strlen(a->listener->name), ACCESS_NAME_MAX));
	}
	PUT(out, "\" ");
	ends[1] = (uint32_t)out->len;
	field_print(out, a->r, HTTP_REFERER, ACCESS_REFERER_MAX);
	field_print(out, a->r, HTTP_USER_AGENT, ACCESS_AGENT_MAX);
	ends[2] = (uint32_t)out->len;
}

/* Behind what the format knows, where its readers look no more: what it has no place for. */
static void more_print(struct str *out, const struct access_end *end)
{
	const struct reason_row *row = reason_of(end->why);

	if (strcmp(end->event, "request") != 0) {
		PUT(out, " event=");
		WORD(out, end->event);
	}
	if (strcmp(end->event, "close") == 0) {
		PUT(out, " duration_ms=");
		str_dec_point(out, end->duration_us, 3);
		PUT(out, " bytes_in=");
		str_dec(out, end->bytes_in);
	}
	if (end->is_websocket) {
		PUT(out, " messages_in=");
		str_dec(out, end->messages_in);
		PUT(out, " messages_out=");
		str_dec(out, end->messages_out);
	}
	if (end->close_code != 0) {
		PUT(out, " close_code=");
		str_dec(out, end->close_code);
	}
	if (end->closed_by != CLOSED_BY_NONE) {
		PUT(out, " closed_by=");
		WORD(out, access_sides[end->closed_by]);
	}
	if (end->why != REASON_NONE) {
		PUT(out, " reason=");
		WORD(out, row->word);
	}
	if (end->why != REASON_NONE && row->key != NULL) {
		PUT(out, " key=");
		WORD(out, row->key);
	}
}

static void combined_line(struct str *out, const struct access_entry *e, const struct access_end *end)
{
	access_part(out, e, 0);
	time_print(out, clock_wall_ns());
	access_part(out, e, 1);
	if (end->status != 0)
		str_dec_padded(out, end->status, 3);
	else
		PUT(out, "-");
	PUT(out, " ");
	str_dec(out, end->body_out);
	access_part(out, e, 2);
	more_print(out, end);
	PUT(out, "\n");
}

const struct access_format access_combined = { combined_start, combined_line };
