#include "proxy/deny_rules.h"

#include "wire/chars.h"

#include <stdlib.h>
#include <string.h>

#define DECODED_MAX 4096 /* bytes of a query on the stack; longer ones are decoded on the heap */

/* All of these return as pattern_match() does: 1, 0, or -1 when a pattern gave up. */

static int path_meets(const struct deny_rule *d, const struct request *r)
{
	return d->path.text == NULL ? 1 : pattern_match(&d->path, r->path, r->path_len);
}

/* Escapes that are none stay as they are: backends differ there, and a broken one must not lead past the rule. */
static size_t decode_leniently(const char *in, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		bool is_escape = in[i] == '%' && i + 2 < len && char_hex((uint8_t)in[i + 1]) >= 0 && char_hex((uint8_t)in[i + 2]) >= 0;

		if (is_escape) {
			out[n++] = (char)(char_hex((uint8_t)in[i + 1]) << 4 | char_hex((uint8_t)in[i + 2]));
			i += 2;
		} else {
			out[n++] = in[i] == '+' ? ' ' : in[i];
		}
	}
	return n;
}

/* As it came, and decoded. */
static int query_meets(const struct deny_rule *d, const struct http_head *head)
{
	size_t len = head->query != NULL ? head->query_len : 0;
	char room[DECODED_MAX], *decoded = room;
	int got;

	if (d->query.text == NULL)
		return 1;
	got = pattern_match(&d->query, len > 0 ? head->query : "", len);
	if (got != 0 || len == 0)
		return got;
	if (len > sizeof(room))
		decoded = malloc(len);
	if (decoded == NULL)
		return -1;
	got = pattern_match(&d->query, decoded, decode_leniently(head->query, len, decoded));
	if (decoded != room)
		free(decoded);
	return got;
}

/* Any field of the name. */
static int header_meets(const struct match_config *m, const struct http_head *head)
{
	size_t name_len = strlen(m->name);
	const struct http_field *f = http_head_find_name(head, m->name, name_len, NULL);
	int got = 0;

	for (; f != NULL && got == 0; f = http_head_find_name(head, m->name, name_len, f + 1))
		got = pattern_match(&m->value, f->value, f->value_len);
	return got;
}

static int rule_meets(const struct deny_rule *d, const struct request *r)
{
	int got = path_meets(d, r);

	if (got == 1)
		got = query_meets(d, r->head);
	for (size_t i = 0; got == 1 && i < d->headers_count; i++)
		got = header_meets(&d->headers[i], r->head);
	return got;
}

enum reason deny_rules_check(const struct request *r)
{
	const struct access_config *a = &r->route->access;

	for (size_t i = 0; i < a->deny_if_count; i++) {
		int got = rule_meets(&a->deny_if[i], r);

		if (got != 0)
			return got < 0 ? REASON_REGEX_LIMIT : REASON_DENY_RULE;
	}
	return REASON_NONE;
}
