/* The records of the fallback: the grammar of text/event-stream, kept strict, both ways.
 *
 *     id: 7
 *     event: b
 *     data: AAEC
 *     (an empty line)
 *
 * A record has at most one of each field; lines end in LF or CRLF; comments (":...") and empty records are passed over.
 * Answers of the proxy are read by browsers' EventSource as well, so that what is written here is valid there. */
#ifndef WIRE_EVENT_STREAM_H
#define WIRE_EVENT_STREAM_H

#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

enum event_stream_error {
	EVENT_STREAM_OK,
	EVENT_STREAM_FIELD,  /* none of id, event, data, retry; or twice the same */
	EVENT_STREAM_LINE_END /* CR without LF */
};

struct event_record {
	const char *event; /* NULL: none */
	const char *data;  /* NULL: none */
	const char *id;	   /* NULL: none */
	size_t event_len, data_len, id_len;
};

/* Reads one record with the empty line behind it.  Results point into `in`.
 * How many bytes it used; 0: more are needed; -EVENT_STREAM_*. */
long event_record_parse(const char *in, size_t len, struct event_record *out);

/* Is it the event of this name? */
bool event_record_is(const struct event_record *r, const char *name);
/* The id as a number; false: there is none, or it is no number below 2^53. */
bool event_record_number(const struct event_record *r, uint64_t *out);

/* `id:`, when number > 0; `prefix` (NULL: none) stands before it, with a dot. */
void event_write_id(struct str *s, const char *prefix, uint64_t number);
/* data: a JSON string. */
void event_write_text(struct str *s, const void *text, size_t len);
/* event: b, data: base64. */
void event_write_binary(struct str *s, const void *bytes, size_t len);
/* event: NAME, data: a number. */
void event_write_number(struct str *s, const char *name, uint64_t value);
/* event: NAME, data: VALUE (one line of JSON). */
void event_write_value(struct str *s, const char *name, const char *json, size_t len);

#endif
