/* The room: who is in it, what was said last, and one message to everybody.
 *
 * One room for all three endpoints, as a real cluster would have one behind them.  What a client sends is text of one of
 * three kinds, "name:NAME", "say:TEXT" and "ping:STAMP"; what it gets is JSON.
 * Called by: demo/visitor. */
#ifndef DEMO_CHAT_H
#define DEMO_CHAT_H

#include "base/slice.h"
#include "net/ring.h"

#include <stdbool.h>
#include <stdint.h>

struct visitor;
struct servers;

#define CHAT_HISTORY  24u
#define CHAT_NAME_MAX 64u   /* bytes */
#define CHAT_TEXT_MAX 4096u /* bytes of what is said; the rest of a message is cut off */
#define CHAT_PER_S    20u   /* more from one client in a second closes it */

struct chat {
	struct servers *servers;
	struct list seats; /* visitor.seat */
	unsigned people;
	uint64_t room; /* at random: numbers of another process's room mean nothing here */
	uint32_t last_id;
	uint32_t last_number; /* of what was said: a client that comes back tells what it has seen by it */
	struct slice history[CHAT_HISTORY]; /* whole frames, a ring by number */
	struct timer tell;		    /* how many are here: once for many who come and go */
};

/* What the room knows of a visitor. */
struct chat_seat {
	struct list link;
	uint32_t id;
	uint32_t said; /* in the present second */
	uint64_t second;
	char name[CHAT_NAME_MAX + 1];
};

void chat_init(struct chat *c, struct servers *servers);
void chat_done(struct chat *c);

/* Greets it, and shows what was said. */
void chat_join(struct chat *c, struct visitor *v);
void chat_leave(struct chat *c, struct visitor *v);
/* A whole text message.  false: it may not stay (too fast). */
bool chat_hear(struct chat *c, struct visitor *v, const char *text, size_t len);

#endif
