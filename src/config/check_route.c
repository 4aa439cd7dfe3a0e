/* What the keys of a route mean together. */
#include <stdio.h>
#include <string.h>

#include "config/check.h"

/* --- names --- */

/* "route-3" for the third, where it has no name of its own. */
static void route_name(struct checker *k, struct route_config *r, size_t place)
{
	char text[32];
	int len;

	if (r->name != NULL)
		return;
	len = snprintf(text, sizeof(text), "route-%zu", place);
	r->name = config_memory_text(k->load->memory, text, (size_t)len);
}

static void routes_name(struct checker *k, struct listener_config *l, struct node *list)
{
	struct names names;

	for (size_t i = 0; i < l->routes_count; i++)
		route_name(k, &l->routes[i], i + 1);
	if (!names_init(&names, l->routes, l->routes_count, sizeof(*l->routes),
			offsetof(struct route_config, name))) {
		load_error(k->load, NULL, "out of memory");
		return;
	}
	check_duplicates(k, &names, list, "name", "route");
	names_done(&names);
}

/* --- where it leads --- */

static void target_add(struct route_config *r, const struct cluster_config *cluster, uint32_t weight)
{
	if (cluster == NULL)
		return;
	r->targets[r->targets_count++] = (struct route_target){ cluster, weight };
	r->targets_weight += weight;
}

static void route_resolve(struct checker *k, struct route_config *r, struct node *n)
{
	struct node *list = node_get(n, "clusters");

	r->targets = config_memory_array(k->load->memory, r->clusters_count + 1, sizeof(*r->targets));
	if (r->targets == NULL)
		return;
	if (r->cluster != NULL)
		target_add(r, check_reference(k, r->cluster, node_get(n, "cluster")), 1);
	for (size_t i = 0; i < r->clusters_count; i++) {
		const struct weighted_cluster *w = &r->clusters[i];

		target_add(r, check_reference(k, w->name, check_place(node_at(list, i), "name")), w->weight);
	}
}

/* Exactly one way out. */
static void check_target(struct checker *k, const struct route_config *r, struct node *n)
{
	unsigned ways = (node_get(n, "cluster") != NULL) + (node_get(n, "clusters") != NULL) +
			(node_get(n, "respond") != NULL);
	char label[CHECK_LABEL_MAX];
	uint64_t sum = 0;

	check_label(label, "route", r->name);
	if (ways == 0)
		load_error(k->load, n, "%s leads nowhere: add `cluster:`, `clusters:` or `respond:`", label);
	if (ways > 1)
		load_error(k->load, n,
			   "%s has more than one of \"cluster\", \"clusters\" and \"respond\": keep one",
			   label);
	if (node_get(n, "clusters") == NULL)
		return;
	for (size_t i = 0; i < r->clusters_count; i++)
		sum += r->clusters[i].weight;
	if (sum == 0)
		load_error(k->load, node_get(n, "clusters"),
			   "the weights add up to 0: nothing would be served");
	if (sum > UINT32_MAX)
		load_error(k->load, node_get(n, "clusters"),
			   "the weights add up to more than 4294967295: use smaller ones");
}

/* --- policies --- */

static void check_jwt(struct checker *k, const struct route_config *r, struct node *n)
{
	struct node *jwt = node_get(node_get(n, "auth"), "jwt");

	if (r->auth.jwt == NULL || jwt == NULL)
		return;
	if ((node_get(jwt, "keys") != NULL) == (node_get(jwt, "secret_file") != NULL))
		load_error(k->load, jwt, "jwt takes one of \"keys\" (a JWKS file) and \"secret_file\"");
	if (r->auth.jwt->algorithms_count == 0)
		load_error(k->load, check_place(jwt, "algorithms"),
			   "without algorithms no token would be good: name one");
}

static void check_rewrite(struct checker *k, const struct route_config *r, struct node *n)
{
	const struct rewrite_config *w = r->rewrite;

	if (w != NULL && w->to != NULL && w->to[0] == '$' && w->path.kind != PATTERN_REGEX)
		load_error(k->load, node_get(node_get(n, "rewrite"), "to"),
			   "groups such as $1 come from a regular expression: write `path: \"~ REGEX\"`");
}

/* A rule that names nothing would refuse everybody. */
static void check_deny_if(struct checker *k, const struct route_config *r, struct node *n)
{
	struct node *list = node_get(node_get(n, "access"), "deny_if");

	for (size_t i = 0; i < r->access.deny_if_count; i++) {
		const struct deny_rule *d = &r->access.deny_if[i];
		struct node *rule = node_at(list, i);

		if (rule->kind == NODE_MAPPING && node_get(rule, "path") == NULL && node_get(rule, "query") == NULL &&
		    d->headers_count == 0)
			load_error(k->load, rule, "this rule would refuse everything: name a path, a query or headers");
	}
}

static bool matches_all(const struct route_config *r)
{
	return r->host_count == 0 && r->methods_count == 0 && r->headers_count == 0 && r->query_count == 0 &&
	       r->path.kind == PATTERN_PREFIX && r->path.text != NULL && strcmp(r->path.text, "/") == 0;
}

static void check_route(struct checker *k, struct route_config *r, struct node *n)
{
	if (n->kind != NODE_MAPPING)
		return; /* said already */
	check_target(k, r, n);
	route_resolve(k, r, n);
	check_jwt(k, r, n);
	check_deny_if(k, r, n);
	check_rewrite(k, r, n);
}

/* A route behind one that matches everything; only in a file that is right else, since a pattern with an
 * error in it would look as if it were absent. */
static void warn_unreachable(struct checker *k, const struct listener_config *l, struct node *list)
{
	char label[CHECK_LABEL_MAX];

	for (size_t i = 1; i < l->routes_count && k->load->errors->errors_count == 0; i++)
		if (matches_all(&l->routes[i - 1])) {
			load_warning(k->load, node_at(list, i),
				     "%s is never reached: \"%.120s\" before it matches everything",
				     check_label(label, "route", l->routes[i].name), l->routes[i - 1].name);
			return;
		}
}

void check_routes(struct checker *k, struct listener_config *l, struct node *n)
{
	struct node *list = node_get(n, "routes");

	routes_name(k, l, list);
	for (size_t i = 0; i < l->routes_count; i++)
		check_route(k, &l->routes[i], node_at(list, i));
	warn_unreachable(k, l, list);
}
