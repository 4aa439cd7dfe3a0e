/* What the keys of a cluster mean together. */
#include <string.h>

#include "config/check.h"
#include "config/values.h"

/* --- endpoints --- */

bool endpoint_config_resolve(struct endpoint_config *e, struct config_memory *memory)
{
	uint32_t port = 0;

	if (e->address == NULL)
		return false;
	e->host = config_memory_alloc(memory, strlen(e->address) + 1);
	if (e->host == NULL || !endpoint_split(e->address, e->host, &port))
		return false;
	e->port = (uint16_t)port;
	if (addr_parse(&e->addr_literal, e->address) != 0)
		e->addr_literal.len = 0;
	return true;
}

static bool has_weight(const struct cluster_config *c)
{
	for (size_t i = 0; i < c->endpoints_count; i++)
		if (c->endpoints[i].weight > 0)
			return true;
	return c->endpoints_count == 0;
}

static void check_endpoints(struct checker *k, struct cluster_config *c, struct node *n)
{
	struct node *list = node_get(n, "endpoints");
	char label[CHECK_LABEL_MAX];
	struct names names;

	if (c->endpoints_count == 0 && c->discover == NULL &&
	    (list == NULL || node_is_null(list) || list->kind == NODE_SEQUENCE))
		load_error(k->load, n, "%s has no endpoints: add `endpoints:` or `discover:`",
			   check_label(label, "cluster", c->name));
	c->own_zone = k->config->zone;
	for (size_t i = 0; i < c->endpoints_count; i++)
		endpoint_config_resolve(&c->endpoints[i], k->load->memory);
	if (!has_weight(c))
		load_warning(k->load, list, "every endpoint of %s has weight 0: it gets no connections",
			     check_label(label, "cluster", c->name));
	if (!names_init(&names, c->endpoints, c->endpoints_count, sizeof(*c->endpoints),
			offsetof(struct endpoint_config, address))) {
		load_error(k->load, NULL, "out of memory");
		return;
	}
	check_duplicates(k, &names, list, "address", "endpoint");
	names_done(&names);
}

void check_endpoint_list(struct loader *l, struct endpoint_list *list, struct node *n)
{
	struct checker k = { .load = l };
	struct names names;

	for (size_t i = 0; i < list->endpoints_count; i++)
		endpoint_config_resolve(&list->endpoints[i], l->memory);
	if (!names_init(&names, list->endpoints, list->endpoints_count, sizeof(*list->endpoints),
			offsetof(struct endpoint_config, address))) {
		load_error(l, NULL, "out of memory");
		return;
	}
	check_duplicates(&k, &names, n, "address", "endpoint");
	names_done(&names);
}

/* of a cookie, whose whole text stays below what browsers and this program take */
#define COOKIE_TEXT_MAX 1024u

/* --- tls, affinity, discovery --- */

static void check_cluster_tls(struct checker *k, const struct cluster_config *c, struct node *n)
{
	const struct cluster_tls *tls = c->tls;
	struct node *endpoints = node_get(n, "endpoints");

	if (tls == NULL)
		return;
	if ((node_get(node_get(n, "tls"), "client_cert") == NULL) !=
	    (node_get(node_get(n, "tls"), "client_key") == NULL))
		load_error(k->load, node_get(n, "tls"),
			   "a certificate and its key belong together: give both \"client_cert\" and "
			   "\"client_key\"");
	for (size_t i = 0; tls->verify && tls->sni == NULL && i < c->endpoints_count; i++)
		if (c->endpoints[i].addr_literal.len > 0 &&
		    c->endpoints[i].addr_literal.sa.sa_family == AF_UNIX)
			load_error(k->load, node_at(endpoints, i),
				   "a UNIX socket has no name that its certificate could be checked for: set "
				   "`tls.sni`");
}

static void check_affinity(struct checker *k, const struct affinity_config *a, struct node *n)
{
	const struct affinity_cookie *cookie = a->cookie;

	if (cookie != NULL && cookie->name != NULL && cookie->path != NULL &&
	    strlen(cookie->name) + strlen(cookie->path) > COOKIE_TEXT_MAX)
		load_error(k->load, node_get(n, "cookie"), "name and path of a cookie may have %u bytes together",
			   COOKIE_TEXT_MAX);
	if (cookie != NULL && cookie->same_site == SAME_SITE_NONE && !cookie->secure)
		load_error(k->load, check_place(node_get(n, "cookie"), "same_site"),
			   "browsers drop cookies with same_site: none that are not secure: set `secure: "
			   "true`");
}

static void check_discover(struct checker *k, const struct discover_config *d, struct node *n)
{
	bool has_dns = node_get(n, "dns") != NULL, has_file = node_get(n, "endpoints_file") != NULL;

	if (d == NULL)
		return;
	if (has_dns == has_file)
		load_error(k->load, n, "discover takes one of \"dns\" and \"endpoints_file\"");
	if (has_dns && d->type != DISCOVER_SRV && d->port == 0)
		load_error(k->load, n, "addresses from DNS have no port: add `port:`, or use `type: srv`");
}

static void check_balance(struct checker *k, const struct cluster_config *c, struct node *n)
{
	if (c->balance != NULL && strcmp(c->balance, "consistent_hash") != 0 && c->hash_on.kind != REQUEST_KEY_NONE)
		load_warning(k->load, check_place(n, "hash_on"), "hash_on is for `balance: consistent_hash`: with %.40s it "
			     "is not looked at", c->balance);
	if (c->balance != NULL && strcmp(c->balance, "consistent_hash") == 0 &&
	    node_get(n, "hash_on") == NULL)
		load_error(k->load, check_place(n, "balance"),
			   "consistent_hash needs \"hash_on\": ip, uri, header:NAME, cookie:NAME, query:NAME "
			   "or claim:NAME");
}

static void check_pace(struct checker *k, const struct cluster_config *c, struct node *n)
{
	if (c->slow_start_rate_per_s > 0 && c->slow_start_ms == 0)
		load_error(k->load, check_place(n, "slow_start_rate"),
			   "slow_start_rate holds while an endpoint starts slowly: add `slow_start:`");
}

void check_cluster(struct checker *k, struct cluster_config *c, struct node *n)
{
	if (n->kind != NODE_MAPPING)
		return; /* said already */
	check_endpoints(k, c, n);
	check_balance(k, c, n);
	check_pace(k, c, n);
	check_cluster_tls(k, c, n);
	check_affinity(k, &c->affinity, node_get(n, "affinity"));
	check_discover(k, c->discover, node_get(n, "discover"));
}
