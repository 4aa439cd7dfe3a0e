#include "wire/event_stream.h"

#include "base/digest.h"

struct line {
	const char *at;
	size_t len;  /* without its end */
	size_t used; /* with it; 0: it is not whole */
};

static int line_read(const char *in, size_t len, struct line *out)
{
	const char *end = len > 0 ? memchr(in, '\n', len) : NULL;
	size_t n;

	out->used = 0;
	if (end == NULL)
		return EVENT_STREAM_OK;
	n = (size_t)(end - in);
	out->at = in;
	out->used = n + 1;
	out->len = n > 0 && in[n - 1] == '\r' ? n - 1 : n;
	return memchr(in, '\r', out->len) != NULL ? EVENT_STREAM_LINE_END : EVENT_STREAM_OK;
}

static bool field_is(const struct line *l, const char *name, const char **value, size_t *value_len)
{
	size_t n = strlen(name);

	if (l->len < n || memcmp(l->at, name, n) != 0 || (l->len > n && l->at[n] != ':'))
		return false;
	*value = l->at + l->len;
	*value_len = 0;
	if (l->len > n) {
		n += l->len > n + 1 && l->at[n + 1] == ' ' ? 2 : 1;
		*value = l->at + n;
		*value_len = l->len - n;
	}
	return true;
}

static int field_take(const struct line *l, struct event_record *r)
{
	const char *value, **to;
	size_t len, *to_len;

	if (l->at[0] == ':' || field_is(l, "retry", &value, &len))
		return EVENT_STREAM_OK;
	if (field_is(l, "data", &value, &len)) {
		to = &r->data;
		to_len = &r->data_len;
	} else if (field_is(l, "event", &value, &len)) {
		to = &r->event;
		to_len = &r->event_len;
	} else if (field_is(l, "id", &value, &len)) {
		to = &r->id;
		to_len = &r->id_len;
	} else {
		return EVENT_STREAM_FIELD;
	}
	if (*to != NULL)
		return EVENT_STREAM_FIELD;
	*to = value;
	*to_len = len;
	return EVENT_STREAM_OK;
}

long event_record_parse(const char *in, size_t len, struct event_record *out)
{
	struct event_record r = { 0 };
	size_t used = 0;

	for (;;) {
		struct line l;
		int error = line_read(in + used, len - used, &l);

		if (error != EVENT_STREAM_OK)
			return -error;
		if (l.used == 0)
			return 0;
		used += l.used;
		if (l.len > 0)
			error = field_take(&l, &r);
		if (error != EVENT_STREAM_OK)
			return -error;
		if (l.len == 0 && (r.data != NULL || r.event != NULL || r.id != NULL)) {
			*out = r;
			return (long)used;
		}
	}
}

bool event_record_is(const struct event_record *r, const char *name)
{
	size_t len = strlen(name);

	return r->event != NULL && r->event_len == len && memcmp(r->event, name, len) == 0;
}

bool event_record_number(const struct event_record *r, uint64_t *out)
{
	uint64_t value = 0;

	if (r->id == NULL || r->id_len == 0 || r->id_len > 15)
		return false;
	for (size_t i = 0; i < r->id_len; i++) {
		if (r->id[i] < '0' || r->id[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(r->id[i] - '0');
	}
	*out = value;
	return true;
}

/* ---- writing ---- */

void event_write_id(struct str *s, const char *prefix, uint64_t number)
{
	if (number == 0)
		return;
	str_cstr(s, "id: ");
	if (prefix != NULL) {
		str_cstr(s, prefix);
		str_char(s, '.');
	}
	str_dec(s, number);
	str_char(s, '\n');
}

void event_write_text(struct str *s, const void *text, size_t len)
{
	str_cstr(s, "data: ");
	str_json(s, text, len);
	str_cstr(s, "\n\n");
}

void event_write_binary(struct str *s, const void *bytes, size_t len)
{
	size_t room = 4 * ((len + 2) / 3) + 1;

	str_cstr(s, "event: b\ndata: ");
	if (str_reserve(s, room))
		s->len += base64_encode(bytes, len, s->at + s->len);
	str_cstr(s, "\n\n");
}

void event_write_number(struct str *s, const char *name, uint64_t value)
{
	str_cstr(s, "event: ");
	str_cstr(s, name);
	str_cstr(s, "\ndata: ");
	str_dec(s, value);
	str_cstr(s, "\n\n");
}

void event_write_value(struct str *s, const char *name, const char *json, size_t len)
{
	str_cstr(s, "event: ");
	str_cstr(s, name);
	str_cstr(s, "\ndata: ");
	str_bytes(s, json, len);
	str_cstr(s, "\n\n");
}
