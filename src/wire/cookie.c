#include "wire/cookie.h"

static void trim(const char **at, const char **end)
{
	while (*at < *end && (**at == ' ' || **at == '\t'))
		++*at;
	while (*at < *end && ((*end)[-1] == ' ' || (*end)[-1] == '\t'))
		--*end;
}

/* False: a piece without a sign or a name. */
static bool pair_split(const char *at, const char *end, struct cookie *out)
{
	const char *sign = at < end ? memchr(at, '=', (size_t)(end - at)) : NULL;
	const char *name_end = sign, *value;

	if (sign == NULL)
		return false;
	value = sign + 1;
	trim(&at, &name_end);
	trim(&value, &end);
	if (at == name_end)
		return false;
	*out = (struct cookie){ at, value, (size_t)(name_end - at), (size_t)(end - value) };
	return true;
}

bool cookie_next(const char **list, size_t *len, struct cookie *out)
{
	const char *at = *list, *end = *list + *len;

	while (at < end) {
		const char *stop = memchr(at, ';', (size_t)(end - at));
		const char *pair = at;

		if (stop == NULL)
			stop = end;
		at = stop < end ? stop + 1 : end;
		*list = at;
		*len = (size_t)(end - at);
		if (pair_split(pair, stop, out))
			return true;
	}
	return false;
}

/* A cookie points into the field that it came from. */
static bool is_in(const struct http_field *f, const struct cookie *c)
{
	return c->name >= f->value && c->name < f->value + f->value_len;
}

bool cookie_find(const struct http_head *head, const char *name, size_t name_len, const struct cookie *after,
		 struct cookie *out)
{
	const char *from = after != NULL ? after->value + after->value_len : NULL;
	const struct http_field *f = http_head_find(head, HTTP_COOKIE, NULL);
	struct cookie c;

	while (after != NULL && f != NULL && !is_in(f, after))
		f = http_head_find(head, HTTP_COOKIE, f + 1);
	for (; f != NULL; f = http_head_find(head, HTTP_COOKIE, f + 1)) {
		const char *list = from != NULL ? from : f->value;
		size_t len = (size_t)(f->value + f->value_len - list);

		from = NULL;
		while (cookie_next(&list, &len, &c)) {
			if (c.name_len == name_len && memcmp(c.name, name, name_len) == 0) {
				*out = c;
				return true;
			}
		}
	}
	return false;
}
