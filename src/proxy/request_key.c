#include "proxy/request_key.h"

#include "guard/jwt.h"
#include "wire/cookie.h"
#include "wire/uri.h"

#include <string.h>

struct found {
	const char *at;
	size_t len;
	char *scratch;
	size_t cap;
};

static void find_ip(const struct request_key *k, const struct request *r, struct found *f)
{
	(void)k;
	f->at = r->client;
	f->len = r->client_len;
}

static void find_uri(const struct request_key *k, const struct request *r, struct found *f)
{
	(void)k;
	f->at = r->path;
	f->len = r->path_len;
}

static void find_header(const struct request_key *k, const struct request *r, struct found *f)
{
	const struct http_field *field = http_head_find_name(r->head, k->name, strlen(k->name), NULL);

	if (field == NULL)
		return;
	f->at = field->value;
	f->len = field->value_len;
}

static void find_cookie(const struct request_key *k, const struct request *r, struct found *f)
{
	struct cookie c;

	if (!cookie_find(r->head, k->name, strlen(k->name), NULL, &c))
		return;
	f->at = c.value;
	f->len = c.value_len;
}

static void find_query(const struct request_key *k, const struct request *r, struct found *f)
{
	long decoded;

	if (!uri_query_find(r->head->query, r->head->query_len, k->name, strlen(k->name), &f->at, &f->len))
		f->len = 0;
	if (f->len == 0 || (memchr(f->at, '%', f->len) == NULL && memchr(f->at, '+', f->len) == NULL))
		return;
	decoded = uri_decode(f->at, f->len, true, f->scratch, f->cap);
	if (decoded < 0)
		return;
	f->at = f->scratch;
	f->len = (size_t)decoded;
}

static void find_claim(const struct request_key *k, const struct request *r, struct found *f)
{
	long len = r->token != NULL ? jwt_claim(r->token, k->name, f->scratch, f->cap) : -1;

	if (len <= 0)
		return;
	f->at = f->scratch;
	f->len = (size_t)len;
}

bool request_key_find(const struct request_key *k, const struct request *r, char *scratch, size_t cap, const char **out,
		      size_t *out_len)
{
	static void (*const finders[])(const struct request_key *, const struct request *, struct found *) = {
		[REQUEST_KEY_NONE] = NULL,	    [REQUEST_KEY_IP] = find_ip,		[REQUEST_KEY_URI] = find_uri,
		[REQUEST_KEY_HEADER] = find_header, [REQUEST_KEY_COOKIE] = find_cookie, [REQUEST_KEY_QUERY] = find_query,
		[REQUEST_KEY_CLAIM] = find_claim,
	};
	struct found f = { NULL, 0, scratch, cap };

	if (finders[k->kind] != NULL)
		finders[k->kind](k, r, &f);
	if (f.len == 0)
		return false;
	*out = f.at;
	*out_len = f.len;
	return true;
}
