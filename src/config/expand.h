/* The environment in values: ${NAME} and ${NAME:-default}.
 *
 * "$${" is a plain "${".  What has no brace ($host, $1) is left alone: it belongs to header values and
 * rewrites. */
#ifndef CONFIG_EXPAND_H
#define CONFIG_EXPAND_H

#include <stdbool.h>
#include <stddef.h>

#include "config/memory.h"

#define EXPAND_MAX_BYTES ((size_t)1 << 20)

/* Gives `text` itself when there is nothing to do, or a copy in `memory`; NULL with a message in `error`. */
char *expand_text(char *text, struct config_memory *memory, char *error, size_t error_len);

#endif
