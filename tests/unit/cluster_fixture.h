/* Clusters for tests, made without a file: "a", "b", ... with literal addresses and given weights. */
#ifndef TESTS_CLUSTER_FIXTURE_H
#define TESTS_CLUSTER_FIXTURE_H

#include "cluster/cluster.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXTURE_MAX 4096

struct fixture {
	struct cluster_config config;
	struct endpoint_config endpoints[FIXTURE_MAX];
	char names[FIXTURE_MAX][16];
};

/* An endpoint "eN" at 10.x.x.x; the caller changes what it wants to be otherwise. */
static inline struct endpoint_config *fixture_add(struct fixture *f, unsigned n, uint32_t weight)
{
	size_t i = f->config.endpoints_count++;
	struct endpoint_config *e = &f->endpoints[i];
	char text[32];

	assert(i < FIXTURE_MAX);
	snprintf(f->names[i], sizeof(f->names[i]), "e%u", n);
	snprintf(text, sizeof(text), "10.0.%u.%u:80", n / 250, n % 250 + 1);
	*e = (struct endpoint_config){
		.address = f->names[i], .weight = weight, .host = f->names[i], .port = 80
	};
	addr_parse(&e->addr_literal, text);
	return e;
}

/* `count` endpoints e0, e1, ... of weight 1, or of those of `weights`.  free() frees it. */
static inline struct fixture *fixture_new(const char *balance, unsigned count, const uint32_t *weights)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert(f != NULL);
	f->config.name = (char *)(uintptr_t) "test";
	f->config.balance = (char *)(uintptr_t)balance;
	f->config.endpoints = f->endpoints;
	for (unsigned i = 0; i < count; i++)
		fixture_add(f, i, weights == NULL ? 1 : weights[i]);
	return f;
}

/* Picks once; keeps the place and the reference.  NULL where the result is another than PICK_OK. */
static inline struct endpoint *pick_one(struct cluster_view *v, uint64_t hash)
{
	struct pick p = { .hash = hash };
	struct endpoint *e = NULL;

	return cluster_pick(v, &p, &e) == PICK_OK ? e : NULL;
}

static inline void pick_over(struct endpoint *e)
{
	endpoint_release(e);
	endpoint_unref(e);
}

/* Which member of the view it is. */
static inline uint32_t index_of(const struct cluster_view *v, const struct endpoint *e)
{
	return (uint32_t)(cluster_view_member(v, e) - v->members);
}

#endif
