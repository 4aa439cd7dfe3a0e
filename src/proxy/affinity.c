#include "proxy/affinity.h"

#include "base/hash.h"
#include "base/random.h"
#include "proxy/request_key.h"
#include "proxy/route.h"
#include "wire/cookie.h"

#include <string.h>

/* ---- the cookie ---- */

static const struct cluster_member *member_of_cookie(const struct snapshot_cluster *c, const struct http_head *head)
{
	const struct affinity_cookie *config = c->view->config->affinity.cookie;
	const struct cluster_member *m = NULL;
	struct cookie cookie, *after = NULL;

	if (config == NULL || !http_head_has(head, HTTP_COOKIE))
		return NULL;
	/* there may be several: of another path, of another domain */
	while (m == NULL && cookie_find(head, config->name, strlen(config->name), after, &cookie)) {
		m = cluster_view_by_token(c->view, cookie.value, cookie.value_len);
		after = &cookie;
	}
	return m;
}

static const struct snapshot_cluster *cluster_of(struct affinity *a, const struct snapshot *s, const struct request *r)
{
	const struct route_config *route = r->route;

	for (size_t i = 0; i < route->targets_count; i++) {
		const struct snapshot_cluster *c = &s->clusters[route->targets[i].cluster->index];

		if (route->targets[i].weight == 0)
			continue;
		a->wanted = member_of_cookie(c, r->head);
		a->has_cookie = a->wanted != NULL;
		if (a->has_cookie)
			return c;
	}
	return &s->clusters[route_target(route, random_fast())->index];
}

bool affinity_cookie_write(struct str *out, const struct affinity_cookie *c, const struct cluster_member *m)
{
	static const char *const same_site[] = {
		[SAME_SITE_UNSET] = "",
		[SAME_SITE_LAX] = "; SameSite=Lax",
		[SAME_SITE_STRICT] = "; SameSite=Strict",
		[SAME_SITE_NONE] = "; SameSite=None",
	};

	if (c == NULL || m == NULL || m->token[0] == '\0')
		return false;
	str_cstr(out, c->name);
	str_char(out, '=');
	str_cstr(out, m->token);
	str_cstr(out, "; Path=");
	str_cstr(out, c->path);
	if (c->ttl_ms > 0) {
		str_cstr(out, "; Max-Age=");
		str_dec(out, (c->ttl_ms + 999) / 1000);
	}
	if (c->secure)
		str_cstr(out, "; Secure");
	if (c->http_only)
		str_cstr(out, "; HttpOnly");
	str_cstr(out, same_site[c->same_site]);
	return !out->is_cut;
}

/* ---- keys ---- */

static uint64_t hash_of(const struct cluster_config *c, const struct request *r)
{
	char scratch[REQUEST_KEY_SCRATCH];
	const char *at;
	size_t len;

	if (c->hash_on.kind == REQUEST_KEY_NONE || strcmp(c->balance, "consistent_hash") != 0)
		return hash64(r->client, r->client_len, 0);
	/* who shows no key is spread: all of them on one endpoint would be a pile */
	return request_key_find(&c->hash_on, r, scratch, sizeof(scratch), &at, &len) ? hash64(at, len, 0) :
										       random_fast();
}

static void session_find(struct affinity *a, const struct request *r, uint64_t now_ms)
{
	const struct affinity_learn *learn = a->cluster->view->config->affinity.learn;
	char scratch[REQUEST_KEY_SCRATCH];
	const char *at;
	size_t len;

	if (learn == NULL)
		return;
	a->has_session = request_key_find(&learn->match, r, scratch, sizeof(scratch), &at, &len);
	if (a->has_session && a->wanted == NULL && len <= AFFINITY_SESSION_MAX)
		a->wanted = cluster_session_find(a->cluster->view, at, len, now_ms);
}

void affinity_find(struct affinity *a, const struct snapshot *s, const struct request *r, uint64_t now_ms)
{
	*a = (struct affinity){ 0 };
	a->cluster = cluster_of(a, s, r);
	session_find(a, r, now_ms);
	a->hash = hash_of(a->cluster->view->config, r);
}

/* ---- sessions in a body ---- */

static size_t skip_blanks(const char *text, size_t at, size_t len)
{
	while (at < len && (text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n'))
		at++;
	return at;
}

/* Behind the key: a colon and a string that is whole. */
static bool string_read(const char *text, size_t at, size_t len, const char **out, size_t *out_len)
{
	size_t from;

	at = skip_blanks(text, at, len);
	if (at == len || text[at] != ':')
		return false;
	at = skip_blanks(text, at + 1, len);
	if (at == len || text[at] != '"')
		return false;
	from = ++at;
	while (at < len && text[at] != '"' && text[at] != '\\' && (unsigned char)text[at] >= ' ')
		at++;
	if (at == len || text[at] != '"' || at == from || at - from > AFFINITY_SESSION_MAX)
		return false;
	*out = text + from;
	*out_len = at - from;
	return true;
}

bool affinity_session_scan(const uint8_t *body, size_t len, const char *key, const char **out, size_t *out_len)
{
	const char *text = (const char *)body;
	size_t key_len = strlen(key);

	for (size_t at = 0; at + key_len + 2 <= len; at++) {
		const char *quote = memchr(text + at, '"', len - at);

		if (quote == NULL)
			return false;
		at = (size_t)(quote - text);
		if (at + key_len + 2 <= len && memcmp(quote + 1, key, key_len) == 0 && quote[1 + key_len] == '"' &&
		    string_read(text, at + key_len + 2, len, out, out_len))
			return true;
	}
	return false;
}
