#include "proxy/token.h"

#include "proxy/request_key.h"

#include <string.h>

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

/* The last three parts between dots, the first of which begins as each JSON object in base64url does; 0: it is none. */
static size_t jwt_len_in(const struct ws_token *t)
{
	const char *second = memrchr(t->at, '.', t->len);
	const char *first = second != NULL ? memrchr(t->at, '.', (size_t)(second - t->at)) : NULL;
	const char *begin = first != NULL ? memrchr(t->at, '.', (size_t)(first - t->at)) : NULL;

	begin = begin != NULL ? begin + 1 : t->at;
	if (first == NULL || first - begin < 2 || memcmp(begin, "ey", 2) != 0)
		return 0;
	return (size_t)(t->at + t->len - begin);
}

static bool is_marker(const struct ws_token *t)
{
	static const char *const words[] = { "bearer", "jwt", "access_token", "authorization" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (http_text_is(t->at, t->len, words[i], strlen(words[i])))
			return true;
	return false;
}

bool token_offer_find(const struct http_head *head, struct token_offer *out)
{
	const struct http_field *f = http_head_find(head, HTTP_SEC_WEBSOCKET_PROTOCOL, NULL);
	struct ws_token before = { NULL, 0 };

	for (; f != NULL; f = http_head_find(head, HTTP_SEC_WEBSOCKET_PROTOCOL, f + 1)) {
		const char *list = f->value;
		size_t len = f->value_len, found;
		struct ws_token name;

		while (ws_token_next(&list, &len, &name) > 0) {
			found = jwt_len_in(&name);
			if (found > 0) {
				*out = (struct token_offer){ name, before, name.at + name.len - found, found };
				return true;
			}
			before = is_marker(&name) ? name : (struct ws_token){ NULL, 0 };
		}
	}
	return false;
}

static bool source_find(const struct token_source *s, const struct request *r, char *scratch, size_t cap, const char **token,
			size_t *len)
{
	const struct request_key key = { s->kind == TOKEN_FROM_COOKIE ? REQUEST_KEY_COOKIE : REQUEST_KEY_QUERY, s->name };

	if (s->kind == TOKEN_FROM_HEADER)
		return header_find(r, token, len);
	if (s->kind == TOKEN_FROM_SUBPROTOCOL) {
		struct token_offer offer;

		if (!r->head->has_upgrade || !token_offer_find(r->head, &offer))
			return false;
		*token = offer.token;
		*len = offer.token_len;
		return true;
	}
	return request_key_find(&key, r, scratch, cap, token, len);
}

bool token_find(const struct jwt_config *c, const struct request *r, char *scratch, size_t cap, const char **token, size_t *len)
{
	for (size_t i = 0; i < c->from_count; i++)
		if (source_find(&c->from[i], r, scratch, cap, token, len))
			return true;
	return false;
}

bool token_find_new(const struct jwt_config *c, const struct request *r, char *scratch, size_t cap, const char **token,
		    size_t *len)
{
	return header_find(r, token, len) || token_find(c, r, scratch, cap, token, len);
}
