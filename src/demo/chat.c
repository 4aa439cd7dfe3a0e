#include "demo/chat.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/str.h"
#include "demo/servers.h"
#include "demo/visitor.h"

#include <string.h>

#define TELL_MS	 50u
#define JSON_MAX 65536u /* escapes may make six bytes of one */

/* ---- sending ---- */

/* Takes the string's bytes; empty where it did not fit. */
static struct slice frame_of(struct str *s)
{
	struct slice frame = s->is_cut ? SLICE_EMPTY : visitor_frame(WS_OP_TEXT, s->at, s->len);

	str_done(s);
	return frame;
}

/* One block for all.  Takes the slice. */
static void send_all(struct chat *c, struct slice frame)
{
	if (frame.len == 0)
		return;
	list_for_each (node, &c->seats)
		visitor_send(container_of(node, struct visitor, seat.link), slice_ref(frame));
	slice_unref(frame);
}

static void put_text(struct str *s, const char *key, const char *text, size_t len)
{
	str_cstr(s, ",\"");
	str_cstr(s, key);
	str_cstr(s, "\":");
	str_json(s, text, len);
}

static void put_number(struct str *s, const char *key, uint64_t number)
{
	str_cstr(s, ",\"");
	str_cstr(s, key);
	str_cstr(s, "\":");
	str_dec(s, number);
}

/* ---- who is here ---- */

static void put_people(struct str *s, const struct chat *c)
{
	put_number(s, "people", c->people);
	str_cstr(s, ",\"endpoints\":[");
	for (size_t i = 0; i < SERVERS_COUNT; i++) {
		const struct server *server = &c->servers->at[i];

		str_cstr(s, i == 0 ? "{\"name\":" : ",{\"name\":");
		str_json(s, server->name, strlen(server->name));
		put_text(s, "address", server->address, strlen(server->address));
		put_number(s, "people", server->people);
		str_char(s, '}');
	}
	str_char(s, ']');
}

static void on_tell(struct timer *t)
{
	struct chat *c = container_of(t, struct chat, tell);
	struct str s;

	str_init_heap(&s, JSON_MAX);
	str_cstr(&s, "{\"type\":\"people\"");
	put_people(&s, c);
	str_char(&s, '}');
	send_all(c, frame_of(&s));
}

static void tell_soon(struct chat *c)
{
	if (!timer_is_armed(&c->tell))
		ring_timer_arm(&c->servers->ring, &c->tell, TELL_MS);
}

void chat_init(struct chat *c, struct servers *servers)
{
	c->servers = servers;
	c->room = random_fast() >> 11; /* a number that JavaScript can hold */
	list_init(&c->seats);
	timer_init(&c->tell, on_tell);
}

void chat_done(struct chat *c)
{
	for (size_t i = 0; i < CHAT_HISTORY; i++)
		slice_unref(c->history[i]);
}

static struct slice welcome(struct chat *c, const struct visitor *v)
{
	const struct server *server = v->server;
	struct str s;

	str_init_heap(&s, JSON_MAX);
	str_cstr(&s, "{\"type\":\"welcome\"");
	put_number(&s, "room", c->room);
	put_number(&s, "id", v->seat.id);
	put_text(&s, "endpoint", server->name, strlen(server->name));
	put_text(&s, "address", server->address, strlen(server->address));
	put_people(&s, c);
	str_char(&s, '}');
	return frame_of(&s);
}

void chat_join(struct chat *c, struct visitor *v)
{
	struct slice first;

	v->seat.id = ++c->last_id;
	memcpy(v->seat.name, "somebody", sizeof("somebody"));
	list_append(&c->seats, &v->seat.link);
	c->people++;
	v->server->people++;
	first = welcome(c, v);
	if (first.len > 0)
		visitor_send(v, first);
	for (uint32_t i = 0; i < CHAT_HISTORY; i++) {
		struct slice said = c->history[(c->last_number + 1 + i) % CHAT_HISTORY];

		if (said.len > 0)
			visitor_send(v, slice_ref(said));
	}
	tell_soon(c);
}

void chat_leave(struct chat *c, struct visitor *v)
{
	list_remove(&v->seat.link);
	c->people--;
	v->server->people--;
	tell_soon(c);
}

/* ---- what they say ---- */

static bool is_too_fast(struct chat *c, struct chat_seat *seat)
{
	uint64_t second = c->servers->ring.now_ms / 1000;

	if (seat->second != second) {
		seat->second = second;
		seat->said = 0;
	}
	return ++seat->said > CHAT_PER_S;
}

/* A part of UTF-8 text that ends between two characters. */
static size_t cut(const char *text, size_t len, size_t max)
{
	if (len <= max)
		return len;
	while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
		max--;
	return max;
}

static void hear_name(struct chat *c, struct visitor *v, const char *text, size_t len)
{
	(void)c;
	len = cut(text, len, CHAT_NAME_MAX);
	if (len == 0 || memchr(text, '\0', len) != NULL)
		return;
	memcpy(v->seat.name, text, len);
	v->seat.name[len] = '\0';
}

static void hear_say(struct chat *c, struct visitor *v, const char *text, size_t len)
{
	struct slice *place, frame;
	struct str s;

	str_init_heap(&s, JSON_MAX);
	str_cstr(&s, "{\"type\":\"said\"");
	put_number(&s, "number", c->last_number + 1);
	put_number(&s, "id", v->seat.id);
	put_text(&s, "name", v->seat.name, strlen(v->seat.name));
	put_text(&s, "endpoint", v->server->name, strlen(v->server->name));
	put_number(&s, "time", clock_wall_ns() / 1000000);
	put_text(&s, "text", text, cut(text, len, CHAT_TEXT_MAX));
	str_char(&s, '}');
	frame = frame_of(&s);
	if (frame.len == 0)
		return;
	place = &c->history[++c->last_number % CHAT_HISTORY];
	slice_unref(*place);
	*place = slice_ref(frame);
	send_all(c, frame);
}

static void hear_ping(struct chat *c, struct visitor *v, const char *text, size_t len)
{
	struct slice frame;
	struct str s;

	(void)c;
	str_init_heap(&s, JSON_MAX);
	str_cstr(&s, "{\"type\":\"pong\"");
	put_text(&s, "stamp", text, cut(text, len, CHAT_NAME_MAX));
	str_char(&s, '}');
	frame = frame_of(&s);
	if (frame.len > 0)
		visitor_send(v, frame);
}

bool chat_hear(struct chat *c, struct visitor *v, const char *text, size_t len)
{
	static const struct {
		const char *word;
		void (*hear)(struct chat *c, struct visitor *v, const char *text, size_t len);
	} rows[] = { { "name:", hear_name }, { "say:", hear_say }, { "ping:", hear_ping } };

	if (is_too_fast(c, &v->seat))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t word_len = strlen(rows[i].word);

		if (len < word_len || memcmp(text, rows[i].word, word_len) != 0)
			continue;
		rows[i].hear(c, v, text + word_len, len - word_len);
		break;
	}
	return true;
}
