/* The memory of a snapshot: everything in it is freed at once.
 *
 * A chain of blocks, and the compiled expressions that live in them.  Bounded, so that no file (or alias in
 * one) can take the whole machine: past the bound it behaves as out of memory.  Not for sharing between
 * threads. */
#ifndef CONFIG_MEMORY_H
#define CONFIG_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#define CONFIG_MEMORY_MAX_BYTES ((size_t)512 << 20)

struct regex;
struct config_memory;

/* Gives (config_memory_free), or NULL. */
struct config_memory *config_memory_new(void);
void config_memory_free(struct config_memory *m); /* accepts NULL */

/* Zeroed; NULL when there is none, and from then on config_memory_has_failed() is true. */
void *config_memory_alloc(struct config_memory *m, size_t size);
void *config_memory_array(struct config_memory *m, size_t count, size_t size);
/* A copy with a NUL after it. */
char *config_memory_text(struct config_memory *m, const char *text, size_t len);
/* Takes the expression; false (and it is freed) when there is no memory. */
bool config_memory_take_regex(struct config_memory *m, struct regex *r);
bool config_memory_has_failed(const struct config_memory *m);

#endif
