/* DNS without blocking: c-ares, its sockets polled by a ring.  The only door to ares.h.
 *
 * Answers come in the ring's thread, never within resolver_ask().  TTLs are told, nothing is cached.
 * Called by: control/discovery, control/hostnames. */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include "base/addr.h"
#include "net/ring.h"

#define RESOLVER_SOCKETS_MAX 32u
#define RESOLVER_ANSWERS_MAX 1024u /* of one answer; what is more is left out */
#define RESOLVER_NAME_MAX    256u

enum resolver_type { RESOLVER_A, RESOLVER_AAAA, RESOLVER_SRV };

struct resolver_answer {
	struct addr addr; /* of A and AAAA; port 0 */
	uint16_t priority, weight, port; /* of SRV */
	char target[RESOLVER_NAME_MAX];
};

struct resolver_result {
	const char *error; /* NULL: there are answers */
	const struct resolver_answer *answers; /* borrowed for the call */
	size_t answers_count;
	uint32_t ttl_s; /* the least of them */
};

struct resolver;
typedef void resolver_done_fn(void *user, const struct resolver_result *);

struct resolver_slot {
	struct op op;
	struct resolver *resolver;
	int fd; /* -1: free */
	bool wants_read, wants_write;
	bool is_armed;
	bool is_over; /* c-ares has closed it: free once its poll has ended */
};

struct resolver {
	struct ring *ring;
	void *channel; /* ares_channel; NULL: not begun */
	struct timer timer;
	struct resolver_slot slots[RESOLVER_SOCKETS_MAX];
	bool is_stopping;
};

/* `servers`: none is what the system has.  false: c-ares cannot. */
bool resolver_init(struct resolver *r, struct ring *ring, const struct addr *servers, size_t count);
/* What is asked is told that it is over; the ring may end afterwards, and only then may the memory go. */
void resolver_stop(struct resolver *r);

/* Asks for all addresses of a host, as other programs would: the hosts file first, both families, search domains. */
void resolver_ask_host(struct resolver *r, const char *name, resolver_done_fn *done, void *user);

/* What an answer's bytes say (any bytes): at most RESOLVER_ANSWERS_MAX into `out`; *ttl_s falls to the least.  For fuzzing. */
size_t resolver_parse(enum resolver_type type, const unsigned char *in, int len, struct resolver_answer *out,
		      uint32_t *ttl_s);

/* Asks for a name; `done` comes once, also at the end. */
void resolver_ask(struct resolver *r, const char *name, enum resolver_type type, resolver_done_fn *done, void *user);

#endif
