#include "proxy/auth_refresh.h"

#include "base/clock.h"
#include "proxy/listener.h"
#include "proxy/live_token.h"
#include "proxy/request_key.h"
#include "proxy/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH	    "/.holdfast/auth"
#define SLICE_LOOKS 1024u
#define CHECKS_MAX  16u /* signatures looked at for one request */

struct auth_refresh {
	struct mail mail;
	struct list link; /* of home->refreshes */
	struct worker *home;
	struct worker *at; /* where the mail is */
	struct exchange *x; /* NULL: the client is gone */
	struct token_renewal renewal;
	char *listener; /* its name */
	uint32_t cursor;
	uint32_t only_place, only_serial; /* CONNECTION_NONE: all */
	unsigned only_worker;
	uint64_t count;
};

static bool can_refresh(const struct route_config *route)
{
	return route->auth.jwt != NULL && route->auth.refresh;
}

bool auth_refresh_is_meant(const struct request *r)
{
	if (r->path_len != sizeof(PATH) - 1 || memcmp(r->path, PATH, sizeof(PATH) - 1) != 0)
		return false;
	for (size_t i = 0; i < r->listener->routes_count; i++)
		if (can_refresh(&r->listener->routes[i]))
			return true;
	return false;
}

static void refresh_free(struct auth_refresh *a)
{
	list_remove(&a->link);
	free(a->listener);
	free(a);
}

void auth_refreshes_free(struct worker *w)
{
	list_for_each_safe(node, next, &w->refreshes)
		refresh_free(container_of(node, struct auth_refresh, link));
}

/* ---- the client ---- */

static void gone(struct exchange *x, enum reason why)
{
	struct auth_refresh *a = x->handler_user;

	(void)why;
	x->handler = NULL;
	a->x = NULL; /* the mail comes home all the same */
}

static const struct exchange_handler handler = {
	.body = exchange_ignore_body,
	.end = exchange_ignore_end,
	.room = exchange_ignore_room,
	.gone = gone,
};

static void answer(struct exchange *x, uint64_t count)
{
	static const struct http_field fields[] = {
		{ "content-type", "application/json", 16, 12, HTTP_CONTENT_TYPE },
		{ "cache-control", "no-store", 8, 13, HTTP_OTHER },
	};
	char text[64];
	int len = snprintf(text, sizeof(text), "{\"renewed\": %llu}\n", (unsigned long long)count);
	struct response_head head = { .status = count > 0 ? 200 : 404, .own = fields, .own_count = 2,
				      .framing = RESPONSE_LENGTH, .length = (uint64_t)len };

	x->handler = NULL;
	x->client_ops->head(x, &head);
	x->client_ops->body(x, ring_copy(&x->worker->ring, text, (uint32_t)len));
	x->client_ops->end(x, NULL, 0);
}

/* ---- the round of the workers ---- */

static bool one_renew(struct auth_refresh *a, struct connection *c)
{
	struct connection_info info = { .listener = "" };

	if (c->face->renew == NULL)
		return false;
	c->face->describe(c->object, &info); /* scopes have the listener's name in them, but say so plainly */
	return strcmp(info.listener, a->listener) == 0 && c->face->renew(c->object, &a->renewal);
}

/* true: this worker has been looked through. */
static bool slice_visit(struct auth_refresh *a)
{
	struct connections *open = &a->at->open;
	struct connection *c;

	if (a->only_place != CONNECTION_NONE) {
		c = connections_find(open, a->only_place, a->only_serial);
		a->count += c != NULL && one_renew(a, c);
		return true;
	}
	for (unsigned i = 0; i < SLICE_LOOKS; i++) {
		c = connections_next(open, &a->cursor);
		if (c == NULL)
			return true;
		a->count += one_renew(a, c);
	}
	return false;
}

static void arrived(struct mail *mail);

static void come_home(struct mail *mail)
{
	struct auth_refresh *a = container_of(mail, struct auth_refresh, mail);

	if (a->x != NULL)
		answer(a->x, a->count);
	refresh_free(a);
}

static void post(struct auth_refresh *a, struct worker *to, void (*run)(struct mail *))
{
	struct worker *from = a->at;

	a->at = to;
	a->mail.run = run;
	ring_post(&from->ring, &to->ring, &a->mail);
}

static void arrived(struct mail *mail)
{
	struct auth_refresh *a = container_of(mail, struct auth_refresh, mail);
	bool is_over = slice_visit(a);
	struct worker *next = is_over ? a->at + 1 : a->at;

	if (is_over)
		a->cursor = 0;
	if (is_over && (a->only_place != CONNECTION_NONE || next == a->home->all + a->home->all_count))
		post(a, a->home, come_home);
	else
		post(a, next, arrived);
}

/* ---- the request ---- */

/* What the token is good for; REASON_NONE: `out` has at least one route. */
static enum reason token_check(const struct exchange *x, const struct request *r, struct token_renewal *out)
{
	const struct guard *g = x->view->snapshot->guard;
	enum reason why = REASON_TOKEN_MISSING;
	char room[JWT_MAX_LEN];
	unsigned checks = 0;

	for (size_t i = 0; i < r->listener->routes_count && out->count < RENEWAL_ROUTES_MAX && checks < CHECKS_MAX; i++) {
		const struct route_config *route = &r->listener->routes[i];
		const struct guard_request q = { .listener = x->listener->index, .route = i, .client = &r->client_addr,
						 .is_forwarded = r->is_forwarded };
		struct jwt token;
		const char *text;
		enum reason said;
		size_t len;

		if (!can_refresh(route) || guard_address(g, &q) != REASON_NONE || !exchange_origin_passes(route, r->head) ||
		    !token_find_new(route->auth.jwt, r, room, sizeof(room), &text, &len))
			continue;
		checks++;
		said = jwt_check(guard_route_of(g, &q)->jwt, text, len, clock_wall_ns() / 1000000000, &token);
		if (said == REASON_NONE) {
			out->names = token.names;
			out->scopes[out->count] = guard_route_of(g, &q)->scope;
			out->until_s[out->count++] = token.until_s;
			jwt_done(&token);
		}
		why = said;
	}
	return out->count > 0 ? REASON_NONE : why;
}

/* ?connection=ID; false: it is no id. */
static bool target_read(struct auth_refresh *a, const struct request *r)
{
	static char name[] = "connection";
	const struct request_key key = { REQUEST_KEY_QUERY, name };
	char room[CONNECTION_ID_MAX], text[CONNECTION_ID_MAX];
	const char *id;
	size_t len;
	int used = 0;

	if (!request_key_find(&key, r, room, sizeof(room), &id, &len))
		return true;
	if (len >= sizeof(text))
		return false;
	memcpy(text, id, len);
	text[len] = '\0';
	return sscanf(text, "%u-%u-%u%n", &a->only_worker, &a->only_place, &a->only_serial, &used) == 3 &&
	       (size_t)used == len && a->only_worker < a->home->all_count && a->only_place != CONNECTION_NONE;
}

static struct auth_refresh *refresh_new(struct exchange *x, const struct token_renewal *renewal)
{
	struct auth_refresh *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->listener = strdup(x->listener->config->name);
	a->home = a->at = x->worker;
	a->x = x;
	a->renewal = *renewal;
	list_append(&x->worker->refreshes, &a->link);
	return a;
}

static void start(struct exchange *x, const struct request *r, const struct token_renewal *renewal)
{
	struct auth_refresh *a = refresh_new(x, renewal);

	if (a == NULL || a->listener == NULL || !target_read(a, r)) {
		bool is_memory = a == NULL || a->listener == NULL;

		if (a != NULL)
			refresh_free(a);
		exchange_refuse(x, is_memory ? REASON_NO_MEMORY : REASON_BAD_REQUEST);
		return;
	}
	x->handler = &handler;
	x->handler_user = a;
	post(a, &a->home->all[a->only_place != CONNECTION_NONE ? a->only_worker : 0], arrived);
}

void auth_refresh_start(struct exchange *x, struct request *r)
{
	static const struct http_field allow = { "allow", "POST", 4, 5, HTTP_ALLOW };
	const struct guard_request q = { .listener = x->listener->index, .client = &r->client_addr,
					 .is_forwarded = r->is_forwarded };
	struct token_renewal renewal = { .count = 0 };
	struct guard_rate told;
	enum reason why;

	x->route = NULL; /* whatever would have matched has no say in it */
	if (x->method != HTTP_METHOD_POST) {
		exchange_refuse_with(x, REASON_BAD_REQUEST, 405, &allow, 1);
		return;
	}
	why = guard_request_rate(x->view->snapshot->guard, &q, x->worker->ring.now_ms * 1000000, &told);
	if (why != REASON_NONE) {
		exchange_refuse_rate(x, why, &told);
		return;
	}
	why = token_check(x, r, &renewal);
	if (why != REASON_NONE)
		exchange_refuse_token(x, why);
	else
		start(x, r, &renewal);
}
