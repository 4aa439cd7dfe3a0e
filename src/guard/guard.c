#include "guard/guard.h"

#include "base/hash.h"
#include "base/list.h"
#include "guard/deny_file.h"

#include <stdlib.h>
#include <string.h>

/* ---- made from a configuration ---- */

/* A scope is what it counts and for whom: the same over reloads, as long as the names are. */
static uint64_t scope_of(const char *what, const char *listener, const char *route)
{
	uint64_t scope = hash64(what, strlen(what), 0);

	scope = hash64(listener, strlen(listener), scope);
	return hash64(route, strlen(route), scope);
}

static bool per_ip_make(struct guard_per_ip *p, const struct per_ip_limits *c, const char *listener,
			const struct config *config)
{
	/* A trusted proxy's connections carry many clients: those are told apart by their requests. */
	const struct cidr_list exempt[] = { { c->exempt, c->exempt_count },
					    { config->trusted_proxies, config->trusted_proxies_count } };

	p->rules.connections = c->connections;
	p->rules.rate = bucket_rate_of(c->connection_rate_per_s, c->connection_burst);
	p->requests = bucket_rate_of(c->request_rate_per_s, c->request_burst);
	p->ipv6_prefix = c->ipv6_prefix;
	p->scope = scope_of("per_ip", listener, "");
	p->is_on = c->connections > 0 || p->rules.rate.interval_ns > 0;
	return cidr_set_init(&p->exempt, exempt, ARRAY_LEN(exempt));
}

static bool access_make(struct guard_access *a, struct cidr_list allow, struct cidr_list deny)
{
	return cidr_set_init(&a->allow, &allow, 1) && cidr_set_init(&a->deny, &deny, 1);
}

static bool route_make(struct guard_route *r, const struct guard *g, const struct listener_config *l,
		       const struct route_config *c, struct config_errors *errors)
{
	if (c->auth.jwt != NULL)
		r->jwt = jwt_rules_new(c->auth.jwt, g->revocations, errors);
	if (c->auth.jwt != NULL && r->jwt == NULL)
		return false;
	r->requests = bucket_rate_of(c->limits.request_rate_per_s, c->limits.request_burst);
	r->messages.messages = meter_rate_of(c->limits.message_rate_per_s, c->limits.message_burst);
	r->messages.bytes = meter_rate_of(c->limits.byte_rate_per_s, 0);
	r->scope = scope_of("route", l->name, c->name);
	return access_make(&r->access, (struct cidr_list){ c->access.allow, c->access.allow_count },
			   (struct cidr_list){ c->access.deny, c->access.deny_count });
}

static bool listener_make(struct guard_listener *l, const struct guard *g, const struct config *config,
			  const struct listener_config *c, struct config_errors *errors)
{
	l->routes = calloc(c->routes_count + 1, sizeof(*l->routes));
	if (l->routes == NULL)
		return false;
	l->routes_count = c->routes_count;
	for (size_t i = 0; i < c->routes_count; i++)
		if (!route_make(&l->routes[i], g, c, &c->routes[i], errors))
			return false;
	return access_make(&l->access, (struct cidr_list){ c->access.allow, c->access.allow_count },
			   (struct cidr_list){ c->access.deny, c->access.deny_count }) &&
	       per_ip_make(&l->per_ip, &c->limits.per_ip, c->name, config);
}

static bool listeners_make(struct guard *g, const struct config *config, struct config_errors *errors)
{
	g->listeners = calloc(config->listeners_count + 1, sizeof(*g->listeners));
	if (g->listeners == NULL)
		return false;
	g->listeners_count = config->listeners_count;
	for (size_t i = 0; i < config->listeners_count; i++)
		if (!listener_make(&g->listeners[i], g, config, &config->listeners[i], errors))
			return false;
	return true;
}

/* false: errors were added, or memory is out. */
static bool deny_make(struct guard *g, const struct limits_config *c, struct config_errors *errors)
{
	struct cidr_list lists[2] = { { c->deny, c->deny_count } };
	struct cidr *from_file = NULL;
	bool is_good;

	if (c->deny_file != NULL && !deny_file_read(c->deny_file, &from_file, &lists[1].count, errors))
		return false;
	lists[1].at = from_file;
	is_good = cidr_set_init(&g->deny, lists, ARRAY_LEN(lists));
	free(from_file);
	return is_good;
}

struct guard *guard_new(const struct config *config, struct limit_table *table, struct revocations *revocations,
			struct config_errors *errors)
{
	struct guard *g = calloc(1, sizeof(*g));
	const struct cidr_list trusted = { config->trusted_proxies, config->trusted_proxies_count };
	size_t before = errors->errors_count;

	if (g != NULL) {
		atomic_init(&g->refcount, 1);
		g->table = table;
		g->revocations = revocations;
		if (deny_make(g, &config->limits, errors) && cidr_set_init(&g->trusted, &trusted, 1) &&
		    per_ip_make(&g->per_ip, &config->limits.per_ip, "", config) && listeners_make(g, config, errors))
			return g;
	}
	if (errors->errors_count == before)
		config_errors_add(errors, config->file, 0, 0, false, "out of memory");
	guard_free(g);
	return NULL;
}

static void access_done(struct guard_access *a)
{
	cidr_set_done(&a->allow);
	cidr_set_done(&a->deny);
}

struct guard *guard_ref(struct guard *g)
{
	atomic_fetch_add_explicit(&g->refcount, 1, memory_order_relaxed);
	return g;
}

void guard_free(struct guard *g)
{
	if (g == NULL || atomic_fetch_sub_explicit(&g->refcount, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < g->listeners_count; i++) {
		struct guard_listener *l = &g->listeners[i];

		for (size_t j = 0; j < l->routes_count; j++) {
			access_done(&l->routes[j].access);
			jwt_rules_free(l->routes[j].jwt);
		}
		free(l->routes);
		access_done(&l->access);
		cidr_set_done(&l->per_ip.exempt);
	}
	free(g->listeners);
	cidr_set_done(&g->deny);
	cidr_set_done(&g->trusted);
	cidr_set_done(&g->per_ip.exempt);
	free(g);
}

/* ---- asked ---- */

/* The bytes that stand for an address, IPv6 by prefix; 0: a UNIX socket's, which nobody is told apart by. */
static size_t address_bytes(const struct addr *a, uint32_t ipv6_prefix, uint8_t out[17])
{
	struct addr plain;
	size_t whole = ipv6_prefix / 8;

	if (a->len == 0 || (a->sa.sa_family != AF_INET && a->sa.sa_family != AF_INET6))
		return 0;
	if (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
		plain = *a;
		addr_unmap(&plain);
		a = &plain;
	}
	memset(out, 0, 17);
	if (a->sa.sa_family == AF_INET) {
		out[0] = 4;
		memcpy(out + 1, &a->in.sin_addr, 4);
		return 5;
	}
	out[0] = 6;
	memcpy(out + 1, a->in6.sin6_addr.s6_addr, whole);
	if (ipv6_prefix % 8 != 0)
		out[1 + whole] = (uint8_t)(a->in6.sin6_addr.s6_addr[whole] & (0xff00 >> ipv6_prefix % 8));
	return 17;
}

/* The peer of a UNIX socket is in no network; who may open that socket, its file says. */
static bool access_refuses(const struct guard_access *a, const struct addr *who)
{
	if (who->len == 0 || who->sa.sa_family == AF_UNIX)
		return false;
	return cidr_set_has(&a->deny, who) || (!cidr_set_is_empty(&a->allow) && !cidr_set_has(&a->allow, who));
}

/* Whose clients are looked at one by one: a listener's allow list need not name the proxy as well. */
static bool is_trusted(const struct guard *g, const struct addr *peer)
{
	return cidr_set_has(&g->trusted, peer);
}

static enum reason per_ip_connection(const struct guard *g, const struct guard_per_ip *p, const struct addr *peer,
				     uint64_t now_ns, uint32_t *held)
{
	static const enum reason reasons[] = {
		[LIMIT_OK] = REASON_NONE,
		[LIMIT_CONNECTIONS] = REASON_PER_IP_CONNECTIONS,
		[LIMIT_RATE] = REASON_PER_IP_CONNECTION_RATE,
	};
	struct limit_key key;
	uint8_t bytes[17];
	size_t len;

	if (!p->is_on)
		return REASON_NONE;
	len = address_bytes(peer, p->ipv6_prefix, bytes);
	if (len == 0 || cidr_set_has(&p->exempt, peer))
		return REASON_NONE;
	key = limit_key_of(g->table, p->scope, bytes, len);
	return reasons[limit_connection(g->table, &key, &p->rules, now_ns, held)];
}

enum reason guard_connection(const struct guard *g, size_t listener, const struct addr *peer, uint64_t now_ns,
			     struct guard_hold *hold)
{
	const struct guard_access *access = &g->listeners[listener].access;

	*hold = (struct guard_hold){ 0, 0 };
	if (cidr_set_has(&g->deny, peer))
		return REASON_DENIED;
	if (access_refuses(access, peer) && !is_trusted(g, peer))
		return REASON_ACCESS;
	return guard_forwarded(g, listener, peer, now_ns, hold);
}

enum reason guard_forwarded(const struct guard *g, size_t listener, const struct addr *client, uint64_t now_ns,
			    struct guard_hold *hold)
{
	enum reason why;

	*hold = (struct guard_hold){ 0, 0 };
	why = per_ip_connection(g, &g->per_ip, client, now_ns, &hold->process);
	if (why == REASON_NONE)
		why = per_ip_connection(g, &g->listeners[listener].per_ip, client, now_ns, &hold->listener);
	if (why == REASON_NONE)
		return why;
	guard_gone(g->table, *hold, now_ns);
	*hold = (struct guard_hold){ 0, 0 };
	return why;
}

void guard_gone(struct limit_table *t, struct guard_hold hold, uint64_t now_ns)
{
	limit_connection_gone(t, hold.process, now_ns);
	limit_connection_gone(t, hold.listener, now_ns);
}

enum reason guard_address(const struct guard *g, const struct guard_request *r)
{
	const struct guard_listener *l = &g->listeners[r->listener];

	if (r->is_forwarded && cidr_set_has(&g->deny, r->client))
		return REASON_DENIED;
	if (r->is_forwarded && access_refuses(&l->access, r->client))
		return REASON_ACCESS;
	return access_refuses(&guard_route_of(g, r)->access, r->client) ? REASON_ACCESS : REASON_NONE;
}

static bool take(const struct guard *g, uint64_t scope, const struct bucket_rate *rate, const void *key, size_t key_len,
		 uint64_t now_ns, struct guard_rate *told)
{
	struct limit_key k = limit_key_of(g->table, scope, key, key_len);
	uint64_t wait_ns = 0;

	if (limit_take(g->table, &k, rate, now_ns, &wait_ns))
		return true;
	*told = (struct guard_rate){ rate->burst, rate->burst_ns, wait_ns };
	return false;
}

static bool per_ip_request(const struct guard *g, const struct guard_per_ip *p, const struct addr *client, uint64_t now_ns,
			   struct guard_rate *told)
{
	uint8_t bytes[17];
	size_t len;

	if (p->requests.interval_ns == 0)
		return true;
	len = address_bytes(client, p->ipv6_prefix, bytes);
	if (len == 0 || cidr_set_has(&p->exempt, client))
		return true;
	/* another entry than the one of its connections */
	return take(g, p->scope + 1, &p->requests, bytes, len, now_ns, told);
}

enum reason guard_request_rate(const struct guard *g, const struct guard_request *r, uint64_t now_ns,
			       struct guard_rate *told)
{
	if (!per_ip_request(g, &g->per_ip, r->client, now_ns, told) ||
	    !per_ip_request(g, &g->listeners[r->listener].per_ip, r->client, now_ns, told))
		return REASON_PER_IP_REQUEST_RATE;
	return REASON_NONE;
}

enum reason guard_route_rate(const struct guard *g, const struct guard_request *r, const void *key, size_t key_len,
			     uint64_t now_ns, struct guard_rate *told)
{
	const struct guard_route *route = guard_route_of(g, r);

	if (route->requests.interval_ns == 0 || key_len == 0 || take(g, route->scope, &route->requests, key, key_len, now_ns, told))
		return REASON_NONE;
	return REASON_REQUEST_RATE;
}

struct limit_key guard_message_key(const struct guard *g, const struct guard_request *r, const void *key, size_t key_len)
{
	return limit_key_of(g->table, guard_route_of(g, r)->scope + 1, key, key_len); /* not that of its requests */
}

size_t guard_address_key(const struct guard *g, const struct guard_request *r, uint8_t out[17])
{
	return address_bytes(r->client, g->per_ip.ipv6_prefix, out);
}
