/* Endpoints that do not stand in the configuration: read from a file of their own, or found by cluster/. */
#include <stdlib.h>
#include <string.h>

#include "config/check.h"
#include "config/keys.h"
#include "config/load.h"

struct endpoint_list *endpoint_list_new(size_t endpoints_max)
{
	struct endpoint_list *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	atomic_init(&l->refcount, 1);
	l->memory = config_memory_new();
	if (l->memory != NULL)
		l->endpoints = config_memory_array(l->memory, endpoints_max + 1, sizeof(*l->endpoints));
	if (l->endpoints == NULL) {
		endpoint_list_unref(l);
		return NULL;
	}
	return l;
}

struct endpoint_list *endpoint_list_ref(struct endpoint_list *l)
{
	atomic_fetch_add_explicit(&l->refcount, 1, memory_order_relaxed);
	return l;
}

void endpoint_list_unref(struct endpoint_list *l)
{
	if (l == NULL || atomic_fetch_sub_explicit(&l->refcount, 1, memory_order_acq_rel) != 1)
		return;
	config_memory_free(l->memory);
	free(l);
}

bool endpoint_list_add(struct endpoint_list *l, const char *address)
{
	struct endpoint_config e = { .address = config_memory_text(l->memory, address, strlen(address)),
				     .weight = 1 };

	if (!endpoint_config_resolve(&e, l->memory) || config_memory_has_failed(l->memory))
		return false;
	l->endpoints[l->endpoints_count++] = e;
	return true;
}

static bool copy_text(struct config_memory *memory, char **to, const char *from)
{
	*to = from == NULL ? NULL : config_memory_text(memory, from, strlen(from));
	return from == NULL || *to != NULL;
}

bool endpoint_list_copy(struct endpoint_list *l, const struct endpoint_config *from)
{
	struct endpoint_config e = *from;

	if (!copy_text(l->memory, &e.address, from->address) || !copy_text(l->memory, &e.host, from->host) ||
	    !copy_text(l->memory, &e.zone, from->zone))
		return false;
	l->endpoints[l->endpoints_count++] = e;
	return true;
}

static bool endpoint_is_equal(const struct endpoint_config *a, const struct endpoint_config *b)
{
	return strcmp(a->address, b->address) == 0 && a->weight == b->weight &&
	       a->max_connections == b->max_connections && a->backup == b->backup &&
	       strcmp(a->zone != NULL ? a->zone : "", b->zone != NULL ? b->zone : "") == 0 &&
	       a->addr_literal.len == b->addr_literal.len &&
	       (a->addr_literal.len == 0 || addr_is_equal(&a->addr_literal, &b->addr_literal));
}

bool endpoint_list_is_equal(const struct endpoint_list *a, const struct endpoint_list *b)
{
	if (a == NULL || b == NULL || a->endpoints_count != b->endpoints_count)
		return a == b;
	for (size_t i = 0; i < a->endpoints_count; i++)
		if (!endpoint_is_equal(&a->endpoints[i], &b->endpoints[i]))
			return false;
	return true;
}

/* A list by itself is the one key of a mapping. */
static void load_root(struct loader *l, struct endpoint_list *list, struct node *root)
{
	struct node key = { .kind = NODE_SCALAR,
			    .is_complete = true,
			    .line = root->line,
			    .column = root->column,
			    .text = (char[]){ "endpoints" },
			    .text_len = 9 };
	struct node_entry entry = { &key, root };
	struct node map = { .kind = NODE_MAPPING,
			    .is_complete = true,
			    .line = root->line,
			    .column = root->column,
			    .count = 1,
			    .entries = &entry };
	struct node *n = root->kind == NODE_MAPPING ? root : &map;

	load_mapping(l, endpoint_list_keys, n, list, "the file");
	if (!config_memory_has_failed(l->memory))
		check_endpoint_list(l, list, node_get(n, "endpoints"));
}

/* What there is of `l` goes into the list; gives it, or NULL where anything was wrong. */
static struct endpoint_list *list_read(struct loader *l, const char *bytes, size_t len)
{
	size_t errors_before = l->errors->errors_count;
	struct endpoint_list *list = endpoint_list_new(0);
	struct node *root;

	l->tree_memory = config_memory_new();
	if (list != NULL && l->tree_memory != NULL) {
		l->memory = list->memory;
		root = tree_parse(l->file, bytes, len, l->tree_memory, l->errors);
		if (root != NULL)
			load_root(l, list, root);
	}
	if (list == NULL || l->tree_memory == NULL || config_memory_has_failed(list->memory) ||
	    config_memory_has_failed(l->tree_memory))
		config_errors_add(l->errors, l->file, 0, 0, false, "out of memory: the list is too large");
	config_memory_free(l->tree_memory);
	config_errors_sort(l->errors);
	if (l->errors->errors_count > errors_before) {
		endpoint_list_unref(list);
		return NULL;
	}
	return list;
}

struct endpoint_list *endpoint_list_load_bytes(const char *name, const char *bytes, size_t len,
					       struct config_errors *errors)
{
	struct loader l = { .file = name, .errors = errors };

	return list_read(&l, bytes, len);
}

struct endpoint_list *endpoint_list_load(const char *path, struct config_errors *errors)
{
	struct endpoint_list *list = NULL;
	char *bytes = NULL;
	size_t len = 0;

	if (config_file_read(path, &bytes, &len, errors))
		list = endpoint_list_load_bytes(path, bytes, len, errors);
	free(bytes);
	return list;
}
