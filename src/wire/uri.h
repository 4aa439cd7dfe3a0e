/* Request targets: paths as routes match them, queries, authorities.
 *
 * What is matched is the normalised path; what is forwarded is the original, unless a route rewrites it.
 * Called by: wire/http1_parse (authorities), proxy/route, proxy/rewrite, config (hosts).  Allocates
 * nothing. */
#ifndef WIRE_URI_H
#define WIRE_URI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Splits a target in origin form.  All point into it; *query is NULL where there is no '?'. */
void uri_split(const char *target, size_t len, const char **path, size_t *path_len, const char **query,
	       size_t *query_len);

/* Writes a path as routes match it (RFC 3986 6.2.2): escapes of letters, digits and "-._~" decoded, the
 * others as %XX in upper case; then "." and ".." removed.  Empty segments stay.
 *
 * Returns the length (1..len, not NUL-terminated), or -1: not beginning with '/', a character that needs
 * an escape, an escape that is none, %00, ".." above the root or beside an escaped or backward slash, or
 * more than `cap` (len is always enough). */
long uri_path_normalise(const char *path, size_t len, char *out, size_t cap);

/* Decodes %XX, and '+' as a space if `plus_is_space`.  Returns the length (<= len), or -1: a bad escape,
 * or no room. */
long uri_decode(const char *in, size_t len, bool plus_is_space, char *out, size_t cap);

/* The first parameter of the name in a query ("a=1&b=2"; names are compared decoded).  The value is as it
 * stands, for uri_decode(); *value_len 0 for "name" alone.  False: none. */
bool uri_query_find(const char *query, size_t len, const char *name, size_t name_len, const char **value,
		    size_t *value_len);

struct uri_authority {
	const char *host; /* within the input, with the brackets of an IPv6 literal */
	size_t host_len;
	uint16_t port; /* 0: none */
	bool is_ipv6;  /* in brackets */
};

/* Splits "host", "host:port", "[v6]:port" (RFC 3986 3.2 without user information).  Stricter than that: a
 * host is letters, digits and "-._~", not empty, a port 1..65535 ("host:" counts as none).  False: none of
 * these; `out` is then untouched. */
bool uri_authority_parse(const char *in, size_t len, struct uri_authority *out);

/* Compares two hosts without regard to ASCII case, and to one dot at the end of a name. */
bool uri_host_is(const char *a, size_t a_len, const char *b, size_t b_len);
/* Does `host` lie below `suffix` (".example.com", of "*.example.com")?  At least one label in front; case
 * as above. */
bool uri_host_is_below(const char *host, size_t host_len, const char *suffix, size_t suffix_len);

#endif
