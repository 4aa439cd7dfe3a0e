/* May it?  What a configuration says of who may come, made ready to be asked.
 *
 * One for each snapshot, read-only once it is made; what is counted lives in the limit table, which outlives snapshots
 * and knows its entries by the names of listeners and routes.  Each question is asked by whoever has the client in hand,
 * and answered by a reason (base/reasons) or REASON_NONE: nothing here allocates, waits, or knows a socket.
 * Called by: proxy/snapshot (makes), proxy/listener and proxy/arrival (connections), proxy/exchange (requests). */
#ifndef GUARD_GUARD_H
#define GUARD_GUARD_H

#include "base/reasons.h"
#include "config/config.h"
#include "config/errors.h"
#include "guard/cidr_set.h"
#include "guard/jwt.h"
#include "guard/limit_table.h"

#include <stdatomic.h>

/* Who may come at all: an empty `allow` is everybody. */
struct guard_access {
	struct cidr_set allow, deny;
};

/* Limits by client address: of the process, or of a listener. */
struct guard_per_ip {
	struct limit_rules rules;      /* connections */
	struct bucket_rate requests;
	struct cidr_set exempt;
	uint64_t scope;
	uint32_t ipv6_prefix;
	bool is_on; /* connections are limited in some way */
};

struct guard_route {
	struct guard_access access;
	struct bucket_rate requests;
	struct limit_meters messages; /* of WebSockets */
	uint64_t scope;
	struct jwt_rules *jwt; /* NULL: no token is asked for */
};

struct guard_listener {
	struct guard_access access;
	struct guard_per_ip per_ip;
	struct guard_route *routes; /* one for each of the listener's */
	size_t routes_count;
};

struct guard {
	struct limit_table *table; /* kept; so are the revocations */
	struct revocations *revocations;
	struct cidr_set deny;
	struct cidr_set trusted; /* proxies: their connections are many clients' */
	struct guard_per_ip per_ip;
	struct guard_listener *listeners; /* one for each of the configuration's */
	size_t listeners_count;
	atomic_uint refcount; /* snapshots of one configuration share it */
};

/* NULL: what is wrong with the files that the configuration names is in `errors`.  Keeps table and revocations. */
struct guard *guard_new(const struct config *config, struct limit_table *table, struct revocations *revocations,
			struct config_errors *errors);
struct guard *guard_ref(struct guard *g);
/* Drops one reference, and with the last one the guard. */
void guard_free(struct guard *g); /* accepts NULL */

/* What a connection holds of the table: of the process's entry and of the listener's. */
struct guard_hold {
	uint32_t process, listener;
};

/* A connection to a listener (by its place in the configuration), before anything is spent on it.  REASON_NONE: it may
 * stay, and *hold is owed to guard_gone(). */
static inline uint64_t guest_of(struct guard_hold h)
{
	return h.process | (uint64_t)h.listener << 32;
}
static inline struct guard_hold guest_hold(uint64_t guest)
{
	return (struct guard_hold){ (uint32_t)guest, (uint32_t)(guest >> 32) };
}

enum reason guard_connection(const struct guard *g, size_t listener, const struct addr *peer, uint64_t now_ns,
			     struct guard_hold *hold);
/* The same for a client behind a trusted proxy, whose WebSocket is a connection of its own: limits only, its lists are
 * guard_address()'s. */
enum reason guard_forwarded(const struct guard *g, size_t listener, const struct addr *client, uint64_t now_ns,
			    struct guard_hold *hold);
void guard_gone(struct limit_table *t, struct guard_hold hold, uint64_t now_ns);

/* Who asks, and for what. */
struct guard_request {
	size_t listener, route;	   /* places in the configuration */
	const struct addr *client; /* whose request it is: not always who is connected */
	bool is_forwarded;	   /* a trusted proxy said so: its address has not been looked at yet */
};

/* What a client that is refused for a rate is told. */
struct guard_rate {
	uint32_t burst;
	uint64_t window_ns; /* in which an empty bucket fills */
	uint64_t wait_ns;
};

/* Addresses: lists of the process and listener for forwarded clients, then the route's. */
enum reason guard_address(const struct guard *g, const struct guard_request *r);
/* Rates by address: of the process, the listener.  `told` is set when it is refused. */
enum reason guard_request_rate(const struct guard *g, const struct guard_request *r, uint64_t now_ns,
			       struct guard_rate *told);
/* The route's own, by the bytes of its key; no bytes, no limit. */
enum reason guard_route_rate(const struct guard *g, const struct guard_request *r, const void *key, size_t key_len,
			     uint64_t now_ns, struct guard_rate *told);
/* The key by which the messages of a WebSocket are counted, from such bytes; of use as long as the route's name is. */
struct limit_key guard_message_key(const struct guard *g, const struct guard_request *r, const void *key, size_t key_len);
static inline bool guard_counts_messages(const struct guard_route *r)
{
	return r->messages.messages.unit_ns > 0 || r->messages.bytes.unit_ns > 0;
}
/* The bytes by which an address is counted by a route; the length. */
size_t guard_address_key(const struct guard *g, const struct guard_request *r, uint8_t out[17]);

static inline const struct guard_route *guard_route_of(const struct guard *g, const struct guard_request *r)
{
	return &g->listeners[r->listener].routes[r->route];
}

#endif
