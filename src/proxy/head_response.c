#include "proxy/head_response.h"

#include "base/clock.h"
#include "proxy/head_edits.h"
#include "wire/http1_write.h"

#define PUT(out, literal) str_bytes((out), "" literal, sizeof(literal) - 1)

/* How a message is framed and what it means for this hop is told by the proxy alone. */
#define FRAMING_SET (HTTP_HOP_BY_HOP_SET | HTTP_BIT(HTTP_CONTENT_LENGTH))

static bool is_interim(const struct response_head *h)
{
	return h->status < 200 && h->status != 101;
}

/* ---- fields ---- */

/* Of a response without a body the length is that of another one (RFC 9110 8.6), and told; 1xx and 204
 * have none. */
static bool length_is_passed(const struct response_head *h)
{
	return h->framing == RESPONSE_NO_BODY && h->status >= 200 && h->status != 204;
}

static uint64_t left_out(const struct response_head *h)
{
	uint64_t ids = length_is_passed(h) ? 0 : HTTP_BIT(HTTP_CONTENT_LENGTH);

	if (h->framing != RESPONSE_CHUNKED)
		ids |= HTTP_BIT(HTTP_TRAILER);
	for (uint32_t i = 0; i < h->own_count; i++)
		ids |= HTTP_BIT(h->own[i].id);
	/* cookies add up */
	return ids & ~(HTTP_BIT(HTTP_OTHER) | HTTP_BIT(HTTP_SET_COOKIE));
}

static void own_write(struct str *out, const struct response_head *h, const struct head_edits *e)
{
	for (uint32_t i = 0; i < h->own_count; i++) {
		const struct http_field *f = &h->own[i];

		if (f->id != HTTP_OTHER && (HTTP_BIT(f->id) & FRAMING_SET) != 0)
			continue;
		if (!head_edits_take(e, f))
			head_field_write(out, f->name, f->name_len, f->value, f->value_len);
	}
}

static void edits_write(struct str *out, const struct response_edits *e)
{
	const struct header_edits *of = e->edits;
	const char *const *value = e->values;

	for (size_t i = 0; i < of->set_count; i++, value++)
		head_field_write(out, of->set[i].name, strlen(of->set[i].name), *value, strlen(*value));
	for (size_t i = 0; i < of->add_count; i++, value++)
		head_field_write(out, of->add[i].name, strlen(of->add[i].name), *value, strlen(*value));
}

/* RFC 9110 6.6.1: who has a clock says when, where the backend did not.  Printed once a second. */
static void date_write(struct str *out)
{
	static _Thread_local uint64_t printed_s;
	static _Thread_local uint8_t line[HTTP1_DATE_FIELD_LEN];
	uint64_t now_s = clock_wall_ns() / 1000000000u;

	if (now_s != printed_s) {
		if (http1_write_date_field(line, sizeof(line), (int64_t)now_s) != HTTP1_DATE_FIELD_LEN)
			return;
		printed_s = now_s;
	}
	str_bytes(out, line, sizeof(line));
}

static bool has_date(const struct response_head *h, const struct head_edits *e)
{
	if ((h->from != NULL && http_head_has(h->from, HTTP_DATE)) || (e->ids & HTTP_BIT(HTTP_DATE)) != 0)
		return true;
	for (uint32_t i = 0; i < h->own_count; i++)
		if (h->own[i].id == HTTP_DATE)
			return true;
	return false;
}

/* ---- this hop ---- */

static void framing_write(struct str *out, const struct response_head *h)
{
	if (h->framing == RESPONSE_CHUNKED) {
		PUT(out, "Transfer-Encoding: chunked\r\n");
	} else if (h->framing == RESPONSE_LENGTH) {
		PUT(out, "Content-Length: ");
		str_dec(out, h->length);
		PUT(out, "\r\n");
	}
}

static void connection_write(struct str *out, const struct response_head *h)
{
	if (h->is_upgrade)
		PUT(out, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
	else if (!h->keep_alive || h->framing == RESPONSE_UNTIL_CLOSE)
		PUT(out, "Connection: close\r\n");
	else if (h->version_minor == 0)
		PUT(out, "Connection: keep-alive\r\n");
}

/* ---- the whole ---- */

long head_response_write(uint8_t *out, size_t cap, const struct response_head *h,
			 const struct response_edits *e)
{
	bool interim = is_interim(h);
	bool is_edited = !interim && e != NULL && e->edits != NULL;
	long line = http1_write_status_line(out, cap, h->status, h->reason, h->reason_len);
	struct head_edits edits;
	struct str s;

	if (line < 0)
		return -1;
	str_init(&s, (char *)out, cap);
	s.len = (size_t)line;
	head_edits_init(&edits, is_edited ? e->edits : NULL);
	if (h->from != NULL)
		head_edits_forward(&s, h->from, left_out(h), &edits);
	own_write(&s, h, &edits);
	if (is_edited)
		edits_write(&s, e);
	if (!interim) {
		if (!h->is_upgrade && !has_date(h, &edits))
			date_write(&s);
		framing_write(&s, h);
		connection_write(&s, h);
	}
	PUT(&s, "\r\n");
	return s.is_cut ? -1 : (long)s.len;
}
