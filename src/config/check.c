/* What the keys mean together: the whole file, and listeners. */
#include "config/check.h"

#include <string.h>

#include "config/suggest.h"
#include "config/values.h"

#define SUGGEST_MAX_NAMES 500 /* more are not gone through for every misspelt reference */

const struct node *check_place(const struct node *n, const char *key)
{
	const struct node *value = node_get(n, key);

	return value != NULL ? value : n;
}

const char *check_label(char out[CHECK_LABEL_MAX], const char *what, const char *name)
{
	if (name == NULL)
		snprintf(out, CHECK_LABEL_MAX, "this %s", what);
	else
		snprintf(out, CHECK_LABEL_MAX, "%s \"%.120s\"", what, name);
	return out;
}

void check_duplicates(struct checker *k, const struct names *names, struct node *list, const char *key,
		      const char *what)
{
	for (size_t i = 1; i < names->count; i++) {
		const struct name_entry *first = &names->sorted[i - 1], *again = &names->sorted[i];

		if (strcmp(first->name, again->name) == 0)
			load_error(k->load, check_place(node_at(list, again->index), key),
				   "%s \"%.120s\" is defined twice: it stands on line %u already", what,
				   again->name, check_place(node_at(list, first->index), key)->line);
	}
}

const struct cluster_config *check_reference(struct checker *k, const char *name, const struct node *at)
{
	const char *names[SUGGEST_MAX_NAMES + 1];
	char hint[200] = "";
	size_t index, count = 0;

	if (name == NULL)
		return NULL;
	index = names_find(&k->clusters, name);
	if (index != NAMES_NONE)
		return &k->config->clusters[index];
	if (k->clusters.count <= SUGGEST_MAX_NAMES && k->load->errors->errors_count < CONFIG_ERRORS_MAX) {
		for (size_t i = 0; i < k->clusters.count; i++)
			names[count++] = k->clusters.sorted[i].name;
		names[count] = NULL;
		suggest_name(name, names, hint, sizeof(hint));
	}
	load_error(k->load, at, "cluster \"%.120s\" is not defined%s: add it under `clusters:`", name, hint);
	return NULL;
}

/* --- listeners --- */

struct bound {
	char *name; /* the address as text */
	struct node *node;
};

static void binds_gather(struct checker *k, struct node *listeners, struct bound *out, size_t *count)
{
	struct config *c = k->config;

	for (size_t i = 0; i < c->listeners_count; i++)
		for (size_t j = 0; j < c->listeners[i].bind_count; j++) {
			const struct addr *a = &c->listeners[i].bind[j];
			char text[ADDR_TEXT_MAX];

			if (a->len == 0 || (a->sa.sa_family != AF_UNIX && addr_port(a) == 0))
				continue;
			addr_print(a, text);
			out[*count].name = config_memory_text(k->load->tree_memory, text, strlen(text));
			out[*count].node = node_at(node_get(node_at(listeners, i), "bind"), j);
			(*count)++;
		}
}

/* The same address twice, in one listener or in two. */
static void check_binds(struct checker *k, struct node *listeners)
{
	struct names names;
	struct bound *all;
	size_t total = 0, count = 0;

	for (size_t i = 0; i < k->config->listeners_count; i++)
		total += k->config->listeners[i].bind_count;
	all = config_memory_array(k->load->tree_memory, total, sizeof(*all));
	if (all == NULL)
		return;
	binds_gather(k, listeners, all, &count);
	if (!names_init(&names, all, count, sizeof(*all), offsetof(struct bound, name))) {
		load_error(k->load, NULL, "out of memory");
		return;
	}
	for (size_t i = 1; i < names.count; i++)
		if (strcmp(names.sorted[i - 1].name, names.sorted[i].name) == 0)
			load_error(k->load, all[names.sorted[i].index].node,
				   "address \"%s\" is bound twice: line %u has it already",
				   names.sorted[i].name, all[names.sorted[i - 1].index].node->line);
	names_done(&names);
}

static void check_tls(struct checker *k, const struct listener_tls *tls, struct node *n)
{
	if (tls == NULL)
		return;
	if (tls->certificates_count == 0 && tls->certificate_dir == NULL)
		load_error(k->load, check_place(n, "certificates"),
			   "no certificates: add at least one `{ cert: FILE, key: FILE }`");
	if (tls->client_auth != NULL && tls->client_auth->mode != CLIENT_AUTH_OFF &&
	    tls->client_auth->ca == NULL)
		load_error(k->load, check_place(n, "client_auth"),
			   "clients' certificates cannot be checked without \"ca\": name a file with their "
			   "roots");
}

static void check_http(struct checker *k, struct listener_config *l, struct node *n)
{
	char label[CHECK_LABEL_MAX];

	if (l->routes_count == 0)
		load_error(k->load, check_place(n, "routes"), "%s has no routes: add `routes:`",
			   check_label(label, "listener", l->name));
	check_routes(k, l, n);
}

static void sni_resolve(struct checker *k, struct sni_route *s, struct node *map)
{
	struct value_input in = { .memory = k->load->memory, .text = s->name };

	if (s->name == NULL)
		return;
	in.len = strlen(s->name);
	pattern_parse_host(&in, &s->host);
	s->resolved = check_reference(k, s->cluster, node_get(map, s->name));
}

static void check_tcp(struct checker *k, struct listener_config *l, struct node *n)
{
	char label[CHECK_LABEL_MAX];

	if (node_get(n, "cluster") == NULL && node_get(n, "sni") == NULL)
		load_error(k->load, n, "%s leads nowhere: add `cluster:`",
			   check_label(label, "listener", l->name));
	if (l->tls != NULL && l->sni_count > 0)
		load_error(k->load, node_get(n, "sni"),
			   "\"sni\" passes TLS on unopened, and \"tls\" ends it here: leave one of them out");
	if (l->tls != NULL && node_get(node_get(n, "tls"), "alpn") == NULL)
		l->tls->alpn_count = 0; /* what is inside is not known to be HTTP */
	l->cluster_resolved = check_reference(k, l->cluster, node_get(n, "cluster"));
	for (size_t i = 0; i < l->sni_count; i++)
		sni_resolve(k, &l->sni[i], node_get(n, "sni"));
}

static void check_listener(struct checker *k, struct listener_config *l, struct node *n)
{
	char label[CHECK_LABEL_MAX];

	if (n->kind != NODE_MAPPING)
		return; /* said already */
	if (l->bind_count == 0 && node_get(n, "bind") != NULL)
		load_error(k->load, node_get(n, "bind"), "%s has no address: add one to `bind:`",
			   check_label(label, "listener", l->name));
	if (l->proxy_protocol == PROXY_PROTOCOL_IN_OFF && l->proxy_protocol_from_count > 0)
		load_warning(k->load, node_get(n, "proxy_protocol_from"),
			     "proxy_protocol_from has no effect while proxy_protocol is off");
	check_tls(k, l->tls, node_get(n, "tls"));
	if (l->protocol == LISTENER_HTTP)
		check_http(k, l, n);
	else
		check_tcp(k, l, n);
}

/* --- the whole --- */

static void check_clusters(struct checker *k, struct node *list)
{
	struct config *c = k->config;

	check_duplicates(k, &k->clusters, list, "name", "cluster");
	for (size_t i = 0; i < c->clusters_count; i++) {
		c->clusters[i].index = i;
		check_cluster(k, &c->clusters[i], node_at(list, i));
	}
}

static void check_listeners(struct checker *k, struct node *list)
{
	struct config *c = k->config;
	struct names names;

	if (c->listeners_count == 0 && list != NULL && (list->kind == NODE_SEQUENCE || node_is_null(list)))
		load_error(k->load, list, "there are no listeners: nothing would be served");
	if (!names_init(&names, c->listeners, c->listeners_count, sizeof(*c->listeners),
			offsetof(struct listener_config, name))) {
		load_error(k->load, NULL, "out of memory");
		return;
	}
	check_duplicates(k, &names, list, "name", "listener");
	names_done(&names);
	check_binds(k, list);
	for (size_t i = 0; i < c->listeners_count; i++)
		check_listener(k, &c->listeners[i], node_at(list, i));
}

void check_config(struct loader *l, struct config *c, struct node *root)
{
	struct checker k = { .load = l, .config = c };

	if (!names_init(&k.clusters, c->clusters, c->clusters_count, sizeof(*c->clusters),
			offsetof(struct cluster_config, name))) {
		load_error(l, NULL, "out of memory");
		return;
	}
	check_clusters(&k, node_get(root, "clusters"));
	check_listeners(&k, node_get(root, "listeners"));
	names_done(&k.clusters);
}
