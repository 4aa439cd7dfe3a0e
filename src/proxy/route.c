#include "proxy/route.h"

#include "wire/uri.h"

#include <stdlib.h>
#include <string.h>

#define DECODED_MAX 1024 /* bytes of an argument on the stack; longer ones are decoded on the heap */

/* All of these return as pattern_match() does: 1, 0, or -1 when a pattern gave up. */

static int host_matches(const struct route_config *route, const struct request *r)
{
	for (size_t i = 0; i < route->host_count; i++) {
		int got = pattern_match(&route->host[i], r->host, r->host_len);

		if (got != 0)
			return got;
	}
	return route->host_count == 0;
}

static int method_matches(const struct route_config *route, const struct http_head *head)
{
	for (size_t i = 0; i < route->methods_count; i++) {
		const char *method = route->methods[i];

		if (strlen(method) == head->method_len && memcmp(method, head->method, head->method_len) == 0)
			return 1;
	}
	return route->methods_count == 0;
}

/* Any of several fields of the name will do. */
static int header_matches(const struct match_config *m, const struct http_head *head)
{
	size_t name_len = strlen(m->name);
	const struct http_field *f = http_head_find_name(head, m->name, name_len, NULL);

	for (; f != NULL; f = http_head_find_name(head, m->name, name_len, f + 1)) {
		int got = pattern_match(&m->value, f->value, f->value_len);

		if (got != 0)
			return got;
	}
	return 0;
}

/* A broken escape makes a value that matches nothing. */
static int argument_matches(const struct pattern *p, const char *value, size_t len)
{
	char decoded[DECODED_MAX], *out = decoded;
	long decoded_len;
	int got = 0;

	if (len == 0 || (memchr(value, '%', len) == NULL && memchr(value, '+', len) == NULL))
		return pattern_match(p, value, len);
	if (len > sizeof(decoded) && p->kind == PATTERN_EXACT && len / 3 > p->text_len)
		return 0; /* too long in any way of writing */
	if (len > sizeof(decoded))
		out = malloc(len);
	if (out == NULL)
		return -1;
	decoded_len = uri_decode(value, len, true, out, len);
	if (decoded_len >= 0)
		got = pattern_match(p, out, (size_t)decoded_len);
	if (out != decoded)
		free(out);
	return got;
}

/* Any of several arguments of the name. */
static int query_matches(const struct match_config *m, const struct http_head *head)
{
	const char *query = head->query, *end = query != NULL ? query + head->query_len : NULL, *value;
	size_t name_len = strlen(m->name), len;

	while (query != NULL && query < end &&
	       uri_query_find(query, (size_t)(end - query), m->name, name_len, &value, &len)) {
		int got = argument_matches(&m->value, value, len);

		if (got != 0)
			return got;
		query = value + len + 1; /* behind the '&' */
	}
	return 0;
}

/* The cheap questions first. */
static int route_matches(const struct route_config *route, const struct request *r)
{
	int got = method_matches(route, r->head);

	if (got == 1)
		got = host_matches(route, r);
	if (got == 1)
		got = pattern_match(&route->path, r->path, r->path_len);
	for (size_t i = 0; got == 1 && i < route->headers_count; i++)
		got = header_matches(&route->headers[i], r->head);
	for (size_t i = 0; got == 1 && i < route->query_count; i++)
		got = query_matches(&route->query[i], r->head);
	return got;
}

enum reason route_find(struct request *r)
{
	const struct listener_config *l = r->listener;

	r->route = NULL;
	for (size_t i = 0; i < l->routes_count; i++) {
		int got = route_matches(&l->routes[i], r);

		if (got < 0)
			return REASON_REGEX_LIMIT;
		if (got > 0) {
			r->route = &l->routes[i];
			return REASON_NONE;
		}
	}
	return REASON_NO_ROUTE;
}

const struct cluster_config *route_target(const struct route_config *route, uint64_t random)
{
	uint64_t at;
	size_t i = 0;

	if (route->targets_count == 1)
		return route->targets[0].cluster;
	at = (random >> 32) * route->targets_weight >> 32; /* uniform below the sum */
	while (i + 1 < route->targets_count && at >= route->targets[i].weight)
		at -= route->targets[i++].weight;
	return route->targets[i].cluster;
}

/* ---- rewriting ---- */

static long path_copy(char *out, size_t cap, const char *path, size_t len)
{
	if (len > cap)
		return -1;
	if (len > 0)
		memcpy(out, path, len);
	return (long)len;
}

static bool is_path(const char *path, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (path[i] <= ' ' || path[i] >= 0x7f || path[i] == '#' || path[i] == '?')
			return false;
	return len > 0 && path[0] == '/';
}

/* `to`, and behind it what followed the prefix: exactly one slash between the two. */
static long prefix_replace(const struct rewrite_config *w, const struct request *r, char *out, size_t cap)
{
	size_t to_len = strlen(w->to), prefix_len = w->path.text_len, rest_len;

	if (prefix_len > 0 && w->path.text[prefix_len - 1] == '/')
		prefix_len--;
	rest_len = r->path_len - prefix_len; /* begins with a slash where there is any */
	if (rest_len > 0 && to_len > 0 && w->to[to_len - 1] == '/')
		to_len--;
	if (to_len + rest_len > cap)
		return -1;
	memcpy(out, w->to, to_len);
	memcpy(out + to_len, r->path + prefix_len, rest_len);
	return (long)(to_len + rest_len);
}

/* 0: does not match, stays. */
static long pattern_replace(const struct rewrite_config *w, const struct request *r, char *out, size_t cap)
{
	long len;

	if (w->path.kind == PATTERN_REGEX) {
		len = regex_replace(w->path.regex, r->path, r->path_len, w->to, out, cap);
		if (len < 0 && regex_match(w->path.regex, r->path, r->path_len) == REGEX_LIMIT)
			return -2;
		return len;
	}
	if (pattern_match(&w->path, r->path, r->path_len) != 1)
		return 0;
	if (w->path.kind == PATTERN_EXACT)
		return path_copy(out, cap, w->to, strlen(w->to));
	return prefix_replace(w, r, out, cap);
}

long route_rewrite(const struct request *r, char *out, size_t cap)
{
	const struct rewrite_config *w = r->route->rewrite;
	long len = 0;

	if (w != NULL && r->path_len > 0 && r->path[0] == '/')
		len = pattern_replace(w, r, out, cap);
	if (len == 0)
		return path_copy(out, cap, r->head->path, r->head->path_len);
	if (len > 0 && !is_path(out, (size_t)len))
		return -2;
	return len;
}
