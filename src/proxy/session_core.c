#include "proxy/session_core.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* The model test includes this file, and breaks one rule at a time to see that it would be noticed. */
#ifndef SESSION_MUTANT
#define SESSION_MUTANT(rule) false
#endif

/* ---- logs ---- */

struct message *message_new(enum message_kind kind, uint32_t len)
{
	struct message *m = malloc(sizeof(*m) + len);

	if (m == NULL)
		return NULL;
	m->next = NULL;
	m->len = len;
	m->kind = (uint8_t)kind;
	return m;
}

static void log_push(struct message_log *l, struct message *m)
{
	m->next = NULL;
	if (l->last != NULL)
		l->last->next = m;
	else
		l->first = m;
	l->last = m;
	l->count++;
	l->bytes += m->len;
}

static struct message *log_pop(struct message_log *l)
{
	struct message *m = l->first;

	if (m == NULL)
		return NULL;
	l->first = m->next;
	if (l->first == NULL)
		l->last = NULL;
	l->count--;
	l->bytes -= m->len;
	return m;
}

static bool log_is_full(const struct message_log *l, uint64_t window_bytes)
{
	return l->count >= SESSION_WINDOW_MESSAGES || l->bytes >= window_bytes;
}

static void log_done(struct message_log *l)
{
	struct message *m;

	while ((m = log_pop(l)) != NULL)
		free(m);
}

static uint64_t log_memory(const struct message_log *l)
{
	return l->bytes + (uint64_t)l->count * sizeof(struct message);
}

void session_core_init(struct session_core *c, uint64_t window_bytes)
{
	memset(c, 0, sizeof(*c));
	c->window_bytes = window_bytes;
}

void session_core_done(struct session_core *c)
{
	log_done(&c->down);
	log_done(&c->up);
	c->unsent = NULL;
}

uint64_t session_core_memory(const struct session_core *c)
{
	return log_memory(&c->down) + log_memory(&c->up);
}

/* ---- down ---- */

enum core_result session_core_put(struct session_core *c, struct message *m)
{
	if (c->down_closed) {
		free(m);
		return CORE_CLOSED;
	}
	c->down_closed = m->kind == MESSAGE_CLOSE;
	log_push(&c->down, m);
	if (c->unsent == NULL)
		c->unsent = m;
	return CORE_OK;
}

enum core_result session_core_ack(struct session_core *c, uint64_t number)
{
	if (number > c->down_told)
		return CORE_FUTURE;
	while (c->down_acked < number) {
		struct message *m = log_pop(&c->down);

		assert(m != NULL);
		/* Told by an earlier carrier, and not yet sent again on this one. */
		if (m == c->unsent) {
			c->unsent = m->next;
			c->down_sent++;
		}
		c->down_acked++;
		free(m);
	}
	return CORE_OK;
}

enum core_result session_core_attach(struct session_core *c, uint64_t turn, uint64_t got)
{
	enum core_result result;

	if (turn <= c->turn && !SESSION_MUTANT("turn"))
		return CORE_STALE;
	result = session_core_ack(c, got);
	if (result != CORE_OK)
		return result;
	c->turn = turn;
	if (SESSION_MUTANT("replay"))
		return CORE_OK;
	c->unsent = c->down.first;
	c->down_sent = c->down_acked;
	return CORE_OK;
}

const struct message *session_core_next(struct session_core *c, uint64_t *number)
{
	const struct message *m = c->unsent;

	if (m == NULL)
		return NULL;
	c->unsent = m->next;
	*number = ++c->down_sent;
	if (c->down_told < c->down_sent)
		c->down_told = c->down_sent;
	return m;
}

bool session_core_is_full(const struct session_core *c)
{
	return log_is_full(&c->down, c->window_bytes);
}

/* ---- up ---- */

static enum core_result take_check(const struct session_core *c, uint64_t number)
{
	if (number <= c->up_got && !SESSION_MUTANT("once"))
		return CORE_DUPLICATE;
	if (c->up_closed)
		return CORE_CLOSED;
	if (number > c->up_got + 1 && !SESSION_MUTANT("gap"))
		return CORE_GAP;
	return log_is_full(&c->up, c->window_bytes) ? CORE_FULL : CORE_OK;
}

bool session_core_is_up_full(const struct session_core *c)
{
	return log_is_full(&c->up, c->window_bytes);
}

enum core_result session_core_take(struct session_core *c, uint64_t number, struct message *m)
{
	enum core_result result = take_check(c, number);

	if (result != CORE_OK) {
		free(m);
		return result;
	}
	c->up_got++;
	c->up_closed = m->kind == MESSAGE_CLOSE;
	log_push(&c->up, m);
	return CORE_OK;
}

struct message *session_core_deliver(struct session_core *c)
{
	struct message *m = log_pop(&c->up);

	if (m != NULL)
		c->up_done++;
	return m;
}
