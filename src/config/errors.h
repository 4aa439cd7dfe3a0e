/* The errors of a load: collected with their places, sorted, each once.
 *
 * Called by every room of config/ while a file is read; the public side is in config/config.h. */
#ifndef CONFIG_ERRORS_H
#define CONFIG_ERRORS_H

#include <stdbool.h>

#include "config/config.h"

#define CONFIG_ERRORS_MAX 500 /* beyond, they are counted and no longer kept */

/* Line and column from 1, or 0 for the file as a whole.  When there is no memory for the text the error still
 * counts. */
void config_errors_add(struct config_errors *e, const char *file, unsigned line, unsigned column,
		       bool is_warning, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* By position, and what aliases made appear twice is there once. */
void config_errors_sort(struct config_errors *e);

#endif
