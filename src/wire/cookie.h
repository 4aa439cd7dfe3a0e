/* Cookies as a client sends them (RFC 6265 4.2.1, and what browsers make of 5.4).
 *
 * Any bytes may come: nothing is decoded and nothing is refused, pieces that are no pair are passed over.  Names are
 * compared byte by byte; the quotes that some put around a value belong to it.
 * Called by: proxy/request_key, proxy/sticky.  Allocates nothing. */
#ifndef WIRE_COOKIE_H
#define WIRE_COOKIE_H

#include "wire/headers.h"

struct cookie {
	const char *name; /* in the input, without white space around it; never empty */
	const char *value;
	size_t name_len, value_len;
};

/* The next pair of the list *list, *len ("a=1; b=2"), which move on.  False at the end. */
bool cookie_next(const char **list, size_t *len, struct cookie *out);

/* The first cookie of the name, over all Cookie fields; `after` (NULL: from the first) is where a look-up before this one
 * ended, for those who look at all of a name.  False: none. */
bool cookie_find(const struct http_head *head, const char *name, size_t name_len, const struct cookie *after,
		 struct cookie *out);

#endif
