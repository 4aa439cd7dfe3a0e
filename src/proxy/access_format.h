/* Between access_log, which makes and ends entries, and access_json and access_combined, which know what a
 * line looks like.
 *
 * An entry is the text of its line that is known at the start, in parts; what the end adds stands between
 * them. */
#ifndef PROXY_ACCESS_FORMAT_H
#define PROXY_ACCESS_FORMAT_H

#include "base/str.h"
#include "proxy/access_log.h"

enum {
	ACCESS_PATH_MAX = 8192, /* bytes of what a client sends, before it is escaped */
	ACCESS_REFERER_MAX = 2048,
	ACCESS_AGENT_MAX = 1024,
	ACCESS_TEXT_MAX = 1024,
	ACCESS_NAME_MAX = 256, /* of what the configuration names */
	/* An entry's text: a target is visible ASCII and at most doubles, the rest may grow by six
	 * (\u001b). */
	ACCESS_ENTRY_MAX =
		2 * ACCESS_PATH_MAX +
		6 * (ACCESS_REFERER_MAX + ACCESS_AGENT_MAX + ACCESS_TEXT_MAX + 3 * ACCESS_NAME_MAX) + 2048,
	ACCESS_LINE_MAX = ACCESS_ENTRY_MAX + 2 * 6 * ACCESS_NAME_MAX + 1024
};

enum { ACCESS_PARTS_MAX = 3 };

struct access_entry {
	const struct access_format *format;
	uint32_t ends[ACCESS_PARTS_MAX]; /* of the parts, in text */
	uint8_t events;			 /* bits of enum access_log_event */
	char text[];
};

/* What an entry is made of; NULL and 0 is unknown. */
struct access_start {
	const struct request *r; /* NULL: no request */
	const struct listener_config *listener;
	const char *client;
	size_t client_len;
	const char *tls;
	const char *line; /* instead of a request */
	size_t line_len;
};

struct access_format {
	/* Appends the parts, and says where each ends. */
	void (*start)(struct str *out, const struct access_start *a, uint32_t ends[ACCESS_PARTS_MAX]);
	/* Appends the whole line. */
	void (*line)(struct str *out, const struct access_entry *e, const struct access_end *end);
};

extern const struct access_format access_json, access_combined;
extern const char *const access_sides[]; /* words of enum closed_by */

static inline void access_part(struct str *out, const struct access_entry *e, unsigned part)
{
	uint32_t from = part > 0 ? e->ends[part - 1] : 0;

	str_bytes(out, e->text + from, e->ends[part] - from);
}

static inline size_t access_cut(size_t len, size_t max)
{
	return len < max ? len : max;
}

#endif
