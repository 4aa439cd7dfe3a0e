/* The configuration: files and bytes into snapshots. */
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/check.h"
#include "config/keys.h"
#include "config/load.h"
#include "config/tree.h"

/* --- a snapshot --- */

struct config *config_ref(struct config *c)
{
	atomic_fetch_add_explicit(&c->refcount, 1, memory_order_relaxed);
	return c;
}

void config_unref(struct config *c)
{
	/* What another thread did with the snapshot is over before it is freed here. */
	if (c != NULL && atomic_fetch_sub_explicit(&c->refcount, 1, memory_order_acq_rel) == 1)
		config_memory_free(c->memory);
}

static struct config *config_new(const char *name)
{
	struct config_memory *memory = config_memory_new();
	struct config *c = memory == NULL ? NULL : config_memory_alloc(memory, sizeof(*c));

	if (c == NULL) {
		config_memory_free(memory);
		return NULL;
	}
	c->memory = memory;
	atomic_init(&c->refcount, 1);
	c->file = config_memory_text(memory, name, strlen(name));
	return c;
}

/* --- a load --- */

static void load_root(struct loader *l, struct config *c, struct node *root)
{
	if (root->kind != NODE_MAPPING) {
		load_error(l, root, "a configuration is a mapping, `key: value`, and this is %s",
			   node_kind_text(root));
		return;
	}
	load_defaults(l, root_keys, c);
	load_mapping(l, root_keys, root, c, "the file");
	if (!config_memory_has_failed(c->memory))
		check_config(l, c, root);
}

struct config *config_load_bytes(const char *name, const char *bytes, size_t len,
				 struct config_errors *errors)
{
	size_t errors_before = errors->errors_count;
	struct config *c = config_new(name);
	struct loader l = { .file = name, .errors = errors };
	struct node *root = NULL;

	l.tree_memory = config_memory_new();
	if (c != NULL && l.tree_memory != NULL) {
		l.memory = c->memory;
		root = tree_parse(name, bytes, len, l.tree_memory, errors);
		if (root != NULL)
			load_root(&l, c, root);
	}
	if (c == NULL || l.tree_memory == NULL || config_memory_has_failed(c->memory) ||
	    config_memory_has_failed(l.tree_memory))
		config_errors_add(errors, name, 0, 0, false, "out of memory: the configuration is too large");
	config_memory_free(l.tree_memory);
	config_errors_sort(errors);
	if (errors->errors_count > errors_before) {
		config_unref(c);
		return NULL;
	}
	return c;
}

/* Reads to the end, and one byte past the bound, so that a file that is too large shows. */
static int file_read(int fd, char **bytes, size_t *len)
{
	size_t cap = 65536;
	char *buffer = malloc(cap);

	*len = 0;
	while (buffer != NULL) {
		ssize_t n = read(fd, buffer + *len, cap - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int error = errno;

			free(buffer);
			return -error;
		}
		*len += (size_t)n;
		if (n == 0 || *len > TREE_MAX_BYTES) {
			*bytes = buffer;
			return 0;
		}
		if (*len == cap) {
			char *larger = realloc(buffer, cap * 2);

			if (larger == NULL)
				free(buffer);
			buffer = larger;
			cap *= 2;
		}
	}
	return -ENOMEM;
}

bool config_file_read(const char *path, char **bytes, size_t *len, struct config_errors *errors)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int error = fd < 0 ? -errno : file_read(fd, bytes, len);

	if (fd >= 0)
		close(fd);
	if (error != 0)
		config_errors_add(errors, path, 0, 0, false, "cannot read it: %s", strerror(-error));
	return error == 0;
}

struct config *config_load(const char *path, struct config_errors *errors)
{
	struct config *c;
	char *bytes = NULL;
	size_t len = 0;

	if (!config_file_read(path, &bytes, &len, errors))
		return NULL;
	c = config_load_bytes(path, bytes, len, errors);
	free(bytes);
	return c;
}

/* --- finding --- */

const struct cluster_config *config_find_cluster(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->clusters_count; i++)
		if (strcmp(c->clusters[i].name, name) == 0)
			return &c->clusters[i];
	return NULL;
}

const struct listener_config *config_find_listener(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->listeners_count; i++)
		if (strcmp(c->listeners[i].name, name) == 0)
			return &c->listeners[i];
	return NULL;
}

const struct route_config *config_find_route(const struct listener_config *l, const char *name)
{
	for (size_t i = 0; i < l->routes_count; i++)
		if (strcmp(l->routes[i].name, name) == 0)
			return &l->routes[i];
	return NULL;
}
