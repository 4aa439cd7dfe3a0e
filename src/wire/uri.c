#include "wire/uri.h"

#include <string.h>

#include "wire/chars.h"
#include "wire/headers.h"

void uri_split(const char *target, size_t len, const char **path, size_t *path_len, const char **query,
	       size_t *query_len)
{
	const char *mark = len > 0 ? memchr(target, '?', len) : NULL;

	*path = target;
	*path_len = mark != NULL ? (size_t)(mark - target) : len;
	*query = mark != NULL ? mark + 1 : NULL;
	*query_len = mark != NULL ? len - *path_len - 1 : 0;
}

/* The byte that the escape at `at` stands for, or -1. */
static int escape_read(const char *at, const char *end)
{
	int high, low;

	if (end - at < 3)
		return -1;
	high = char_hex((uint8_t)at[1]);
	low = char_hex((uint8_t)at[2]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* ---- paths ---- */

/* Does the segment hold ".." as a part between escaped or backward slashes?  Some servers take those for
 * slashes, and would then leave the path that was matched: "/public/..%2Fadmin". */
static bool segment_climbs(const char *at, const char *end)
{
	const char *part = at;

	for (;;) {
		bool is_escaped = end - at >= 3 && at[0] == '%' &&
				  (memcmp(at, "%2F", 3) == 0 || memcmp(at, "%5C", 3) == 0);

		if (at == end || *at == '\\' || is_escaped) {
			if (at - part == 2 && part[0] == '.' && part[1] == '.')
				return true;
			if (at == end)
				return false;
			part = at + (is_escaped ? 3 : 1);
		}
		at += is_escaped ? 3 : 1;
	}
}

/* A segment is complete in out[start..len): takes "." and ".." away.  Returns the new length, at which the
 * next segment is written, or -1. */
static long segment_settle(const char *out, long start, long len, bool is_last)
{
	const char *at = out + start;
	long size = len - start;

	if (size == 1 && at[0] == '.')
		return is_last ? start : start - 1; /* "/a/." is "/a/" */
	if (size == 2 && at[0] == '.' && at[1] == '.') {
		long slash = start - 1; /* the one in front of ".." */

		if (slash == 0)
			return -1;
		do
			slash--;
		while (out[slash] != '/');
		return is_last ? slash + 1 : slash;
	}
	return segment_climbs(at, at + size) ? -1 : len;
}

long uri_path_normalise(const char *path, size_t len, char *out, size_t cap)
{
	static const char digits[] = "0123456789ABCDEF";
	const char *at = path, *end = path + len;
	long n = 0, start = 1;

	if (len == 0 || path[0] != '/' || len > INT32_MAX)
		return -1;
	for (;;) {
		/* Here *at is the slash in front of a segment, and out[0..n) what precedes it. */
		if ((size_t)n >= cap)
			return -1;
		out[n++] = '/';
		start = n;
		for (at++; at < end && *at != '/'; at++) {
			int c = (uint8_t)*at;

			if (c == '%') {
				c = escape_read(at, end);
				if (c <= 0)
					return -1;
				at += 2;
				if (!char_is((uint8_t)c, CHAR_UNRESERVED)) {
					if (cap - (size_t)n < 3)
						return -1;
					out[n++] = '%';
					out[n++] = digits[c >> 4];
					out[n++] = digits[c & 15];
					continue;
				}
			} else if (!char_is((uint8_t)c, CHAR_TARGET)) {
				return -1;
			}
			if ((size_t)n >= cap)
				return -1;
			out[n++] = (char)c;
		}
		n = segment_settle(out, start, n, at == end);
		if (n < 0 || at == end)
			return n;
	}
}

/* ---- queries ---- */

long uri_decode(const char *in, size_t len, bool plus_is_space, char *out, size_t cap)
{
	const char *end = in + len;
	size_t n = 0;

	for (; in < end; in++) {
		int c = (uint8_t)*in;

		if (c == '%') {
			c = escape_read(in, end);
			if (c < 0)
				return -1;
			in += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (n >= cap)
			return -1;
		out[n++] = (char)c;
	}
	return (long)n;
}

/* A parameter's name as it stands, against the name that is looked for. */
static bool parameter_is(const char *at, const char *end, const char *name, size_t name_len)
{
	for (; at < end; at++, name++, name_len--) {
		int c = (uint8_t)*at;

		if (c == '%') {
			c = escape_read(at, end);
			if (c < 0)
				return false;
			at += 2;
		} else if (c == '+') {
			c = ' ';
		}
		if (name_len == 0 || c != (uint8_t)*name)
			return false;
	}
	return name_len == 0;
}

bool uri_query_find(const char *query, size_t len, const char *name, size_t name_len, const char **value,
		    size_t *value_len)
{
	const char *at = query, *end;

	if (query == NULL)
		return false;
	for (end = query + len; at <= end;) {
		const char *stop = at < end ? memchr(at, '&', (size_t)(end - at)) : NULL;
		const char *sign;

		if (stop == NULL)
			stop = end;
		sign = at < stop ? memchr(at, '=', (size_t)(stop - at)) : NULL;
		if (stop > at && parameter_is(at, sign != NULL ? sign : stop, name, name_len)) {
			*value = sign != NULL ? sign + 1 : stop;
			*value_len = (size_t)(stop - *value);
			return true;
		}
		at = stop + 1;
	}
	return false;
}

/* ---- authorities ---- */

/* RFC 3986 3.2.2, without zones: up to eight groups of hexadecimal digits, one "::", an IPv4 address at
 * the end. */
static bool ipv6_is_valid(const char *at, const char *end)
{
	int groups = 0;
	bool is_open = false; /* "::" was there */

	if (end - at >= 2 && at[0] == ':' && at[1] == ':') {
		is_open = true;
		at += 2;
	}
	while (at < end) {
		const char *start = at;
		int quads = 0, value = 0;

		while (at < end && at - start < 4 && char_hex((uint8_t)*at) >= 0)
			at++;
		if (at < end && *at == '.') { /* an IPv4 address: two groups, and the end */
			for (at = start; quads < 4; quads++) {
				const char *digits = at;

				for (value = 0;
				     at < end && at - digits < 3 && char_is((uint8_t)*at, CHAR_DIGIT); at++)
					value = value * 10 + (*at - '0');
				if (at == digits || value > 255 || (at - digits > 1 && digits[0] == '0'))
					return false;
				if (quads < 3 && (at == end || *at++ != '.'))
					return false;
			}
			groups += 2;
			return at == end && (is_open ? groups <= 7 : groups == 8);
		}
		if (at == start)
			return false;
		groups++;
		if (at == end)
			break;
		if (*at++ != ':' || at == end)
			return false; /* a digit too many, or a colon at the end that is not "::" */
		if (*at == ':') {
			if (is_open)
				return false;
			is_open = true;
			at++;
		}
	}
	return is_open ? groups <= 7 : groups == 8;
}

bool uri_authority_parse(const char *in, size_t len, struct uri_authority *out)
{
	const uint8_t *at = (const uint8_t *)in, *end = at + len, *stop;
	uint32_t port = 0;
	bool is_ipv6;

	if (len == 0)
		return false;
	is_ipv6 = *at == '[';
	if (is_ipv6) {
		stop = chars_skip(at + 1, end, CHAR_IPV6);
		if (stop == end || *stop != ']' || !ipv6_is_valid(in + 1, (const char *)stop))
			return false;
		stop++;
	} else {
		stop = chars_skip(at, end, CHAR_HOST);
		if (stop == at)
			return false;
	}
	if (stop < end) {
		const uint8_t *digits = stop + 1;

		if (*stop != ':' || end - digits > 5)
			return false;
		for (const uint8_t *p = digits; p < end; p++) {
			if (!char_is(*p, CHAR_DIGIT))
				return false;
			port = port * 10 + (uint32_t)(*p - '0');
		}
		if (port > UINT16_MAX || (port == 0 && digits < end))
			return false;
	}
	out->host = in;
	out->host_len = (size_t)(stop - at);
	out->port = (uint16_t)port;
	out->is_ipv6 = is_ipv6;
	return true;
}

static size_t host_trim(const char *host, size_t len)
{
	return len > 1 && host[len - 1] == '.' ? len - 1 : len;
}

bool uri_host_is(const char *a, size_t a_len, const char *b, size_t b_len)
{
	return http_text_is(a, host_trim(a, a_len), b, host_trim(b, b_len));
}

bool uri_host_is_below(const char *host, size_t host_len, const char *suffix, size_t suffix_len)
{
	host_len = host_trim(host, host_len);
	suffix_len = host_trim(suffix, suffix_len);
	if (host_len <= suffix_len || suffix_len == 0 || suffix[0] != '.')
		return false;
	return http_text_is(host + host_len - suffix_len, suffix_len, suffix, suffix_len);
}
