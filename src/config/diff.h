/* What differs between two configurations: what a reload changes, key by key.
 *
 * Both are compared as -T prints them, defaults included; items are found again by their name or address.
 * Called by: control (POST /reload, GET /config/diff). */
#ifndef CONFIG_DIFF_H
#define CONFIG_DIFF_H

#include "config/config.h"

/* `path` is like "clusters.chat.health.interval"; `from` and `to` are values as they stand in the file, "" for a whole
 * mapping or list; NULL: it was not there, it is not there any more. */
typedef void config_diff_fn(void *user, const char *path, const char *from, const char *to);

/* 0, or -ENOMEM: then some may have been told. */
int config_diff(const struct config *a, const struct config *b, config_diff_fn *visit, void *user);

#endif
