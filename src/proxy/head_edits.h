/* What a route's edits do to a head: remove first, then set replaces, then add.
 *
 * Who writes a head leaves out the fields that the edits take away (from those passed on, and from its
 * own), and puts the values of set and add behind.  Framing and handshakes are not theirs to touch: config
 * refuses such names.
 * Called by: proxy/head_request, proxy/head_response. */
#ifndef PROXY_HEAD_EDITS_H
#define PROXY_HEAD_EDITS_H

#include "base/str.h"
#include "config/config.h"
#include "wire/headers.h"

#define HEAD_EDITS_DROPS 3 /* lists of such names */

struct head_edits {
	const struct header_edits *of; /* NULL: none */
	uint64_t ids;		       /* HTTP_BIT() of the names in remove and set */
	struct {
		const struct string_pair *names; /* of fields that only the proxy may write */
		size_t count;
	} dropped[HEAD_EDITS_DROPS];
	size_t dropped_count;
	bool has_other;		       /* there are names outside the table among them */
};

/* `of` may be NULL, and is kept. */
void head_edits_init(struct head_edits *e, const struct header_edits *of);
/* Fields of these names are taken away too, whatever else is done; kept. */
void head_edits_drop(struct head_edits *e, const struct string_pair *names, size_t count);
/* Do the edits take the field away? */
bool head_edits_take(const struct head_edits *e, const struct http_field *f);
/* Appends the fields of `head` that are forwarded (http1_write_forwarded_fields) and that no edit takes
 * away. */
void head_edits_forward(struct str *out, const struct http_head *head, uint64_t leave_out,
			const struct head_edits *e);

/* Appends "name: value" CRLF; a value that may not stand in a field is left out with its line. */
void head_field_write(struct str *out, const char *name, size_t name_len, const char *value,
		      size_t value_len);

#endif
