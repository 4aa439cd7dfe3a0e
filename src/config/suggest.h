/* "Did you mean": what somebody wanted who wrote a word that is not ours.
 *
 * Near misses by edit distance; the words of other balancers from a table; and keys that exist, elsewhere. */
#ifndef CONFIG_SUGGEST_H
#define CONFIG_SUGGEST_H

#include <stddef.h>

#include "config/key.h"

/* Writes `: did you mean "x"?` (or where the key belongs) for an unknown key of the mapping `keys`, or "". */
void suggest_key(const char *word, const struct key *keys, char *out, size_t size);
/* Writes ` (did you mean "x"?)` for a word of a closed set, or "". */
void suggest_word(const char *word, const struct key_word *words, char *out, size_t size);
/* The same for a NULL-ended list of names. */
void suggest_name(const char *word, const char *const *names, char *out, size_t size);
/* Which of two candidates is nearer: the distance between words (insert, delete, replace, swap neighbours),
 * or a large number where they have nothing in common. */
unsigned suggest_distance(const char *a, const char *b);
/* Whether a distance is small enough for a word of this length to be a slip of the pen. */
int suggest_is_near(unsigned distance, const char *word);

#endif
