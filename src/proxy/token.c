#include "proxy/token.h"

#include "proxy/request_key.h"

/* Authorization: Bearer TOKEN (RFC 6750 2.1), the scheme in any case (RFC 9110 11.1); exactly one field. */
static bool header_find(const struct request *r, const char **token, size_t *len)
{
	const struct http_field *f = http_head_find(r->head, HTTP_AUTHORIZATION, NULL);

	if (f == NULL || http_head_find(r->head, HTTP_AUTHORIZATION, f + 1) != NULL)
		return false;
	if (f->value_len < 8 || !http_text_is_literal(f->value, 7, "bearer "))
		return false;
	*token = f->value + 7;
	*len = f->value_len - 7;
	while (*len > 0 && **token == ' ') {
		++*token;
		--*len;
	}
	return *len > 0;
}

static bool source_find(const struct token_source *s, const struct request *r, char *scratch, size_t cap, const char **token,
			size_t *len)
{
	const struct request_key key = { s->kind == TOKEN_FROM_COOKIE ? REQUEST_KEY_COOKIE : REQUEST_KEY_QUERY, s->name };

	if (s->kind == TOKEN_FROM_HEADER)
		return header_find(r, token, len);
	if (s->kind == TOKEN_FROM_SUBPROTOCOL)
		return false;
	return request_key_find(&key, r, scratch, cap, token, len);
}

bool token_find(const struct jwt_config *c, const struct request *r, char *scratch, size_t cap, const char **token, size_t *len)
{
	for (size_t i = 0; i < c->from_count; i++)
		if (source_find(&c->from[i], r, scratch, cap, token, len))
			return true;
	return false;
}
