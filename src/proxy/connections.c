#include "proxy/connections.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void connections_init(struct connections *t, unsigned worker)
{
	*t = (struct connections){ .worker = worker };
}

void connections_done(struct connections *t)
{
	for (uint32_t i = 0; i < t->pages_count; i++)
		free(t->pages[i]);
	free(t->pages);
	connections_init(t, t->worker);
}

/* Places count from 1. */
static struct connection *at(const struct connections *t, uint32_t place)
{
	return &t->pages[(place - 1) / CONNECTIONS_A_PAGE][(place - 1) % CONNECTIONS_A_PAGE];
}

/* ---- places ---- */

static bool page_add(struct connections *t)
{
	struct connection *page = calloc(CONNECTIONS_A_PAGE, sizeof(*page));
	struct connection **pages = realloc(t->pages, (t->pages_count + 1) * sizeof(struct connection *));

	if (pages != NULL)
		t->pages = pages;
	if (page == NULL || pages == NULL) {
		free(page);
		return false;
	}
	t->pages[t->pages_count++] = page;
	/* the lowest place is taken first */
	for (uint32_t i = CONNECTIONS_A_PAGE; i-- > 0;) {
		page[i].next_free = t->free_first;
		t->free_first = (t->pages_count - 1) * CONNECTIONS_A_PAGE + i + 1;
	}
	return true;
}

static void set_peer(struct connection *c, const struct addr *peer)
{
	c->family = 0;
	c->port = 0;
	if (peer == NULL || peer->len == 0)
		return;
	c->family = (uint8_t)peer->sa.sa_family;
	c->port = addr_port(peer);
	if (c->family == AF_INET)
		memcpy(c->ip, &peer->in.sin_addr, 4);
	else if (c->family == AF_INET6)
		memcpy(c->ip, &peer->in6.sin6_addr, 16);
}

uint32_t connections_add(struct connections *t, const struct connection_face *face, void *object, const struct addr *peer,
			 uint64_t now_ms)
{
	uint32_t place = t->free_first;
	struct connection *c;

	if (place == CONNECTION_NONE && !page_add(t))
		return CONNECTION_NONE;
	place = t->free_first;
	c = at(t, place);
	t->free_first = c->next_free;
	t->used++;
	c->face = face;
	c->object = object;
	c->began_ms = now_ms;
	c->serial++;
	set_peer(c, peer);
	return place;
}

void connections_move(struct connections *t, uint32_t place, const struct connection_face *face, void *object)
{
	if (place == CONNECTION_NONE)
		return;
	assert(at(t, place)->face != NULL);
	at(t, place)->face = face;
	at(t, place)->object = object;
}

void connections_remove(struct connections *t, uint32_t place)
{
	struct connection *c;

	if (place == CONNECTION_NONE)
		return;
	c = at(t, place);
	assert(c->face != NULL);
	c->face = NULL;
	c->next_free = t->free_first;
	t->free_first = place;
	t->used--;
}

void connections_set_client(struct connections *t, uint32_t place, const char *text)
{
	struct connection *c;
	uint8_t ip[16];

	if (place == CONNECTION_NONE)
		return;
	c = at(t, place);
	if (inet_pton(AF_INET, text, ip) == 1)
		c->family = AF_INET;
	else if (inet_pton(AF_INET6, text, ip) == 1)
		c->family = AF_INET6;
	else
		return;
	memcpy(c->ip, ip, c->family == AF_INET ? 4 : 16);
	c->port = 0;
}

bool connections_client(const struct connections *t, uint32_t place, struct addr *out)
{
	const struct connection *c = place != CONNECTION_NONE ? at(t, place) : NULL;

	*out = (struct addr){ 0 };
	if (c == NULL || (c->family != AF_INET && c->family != AF_INET6))
		return false;
	out->sa.sa_family = c->family;
	if (c->family == AF_INET)
		memcpy(&out->in.sin_addr, c->ip, 4);
	else
		memcpy(&out->in6.sin6_addr, c->ip, 16);
	out->len = c->family == AF_INET ? sizeof(out->in) : sizeof(out->in6);
	return true;
}

/* ---- for who asks ---- */

struct connection *connections_next(const struct connections *t, uint32_t *cursor)
{
	uint32_t end = t->pages_count * CONNECTIONS_A_PAGE;

	while (*cursor < end) {
		struct connection *c = at(t, ++*cursor);

		if (c->face != NULL)
			return c;
	}
	return NULL;
}

struct connection *connections_find(const struct connections *t, uint32_t place, uint32_t serial)
{
	struct connection *c;

	if (place == CONNECTION_NONE || place > t->pages_count * CONNECTIONS_A_PAGE)
		return NULL;
	c = at(t, place);
	return c->face != NULL && c->serial == serial ? c : NULL;
}

bool connections_print_id(const struct connections *t, uint32_t place, char out[CONNECTION_ID_MAX])
{
	if (place == CONNECTION_NONE)
		return false;
	snprintf(out, CONNECTION_ID_MAX, "%u-%u-%u", t->worker, place, at(t, place)->serial);
	return true;
}

void connection_describe(const struct connections *t, uint32_t place, uint64_t now_ms, struct connection_info *out)
{
	const struct connection *c;

	memset(out, 0, sizeof(*out));
	snprintf(out->id, sizeof(out->id), "-");
	snprintf(out->client, sizeof(out->client), "-");
	if (!connections_print_id(t, place, out->id))
		return;
	c = at(t, place);
	if (c->family == AF_INET || c->family == AF_INET6)
		inet_ntop(c->family, c->ip, out->client, sizeof(out->client));
	else
		snprintf(out->client, sizeof(out->client), "%s", c->family == AF_UNIX ? "unix:" : "-");
	out->client_port = c->port;
	out->kind = c->face->kind;
	out->age_ms = now_ms > c->began_ms ? now_ms - c->began_ms : 0;
	c->face->describe(c->object, out);
}
