/* A file with one address or network a line; empty lines and what follows a # are nothing.
 *
 * Called by: guard/guard, when a snapshot is made: it may block. */
#ifndef GUARD_DENY_FILE_H
#define GUARD_DENY_FILE_H

#include "config/cidr.h"
#include "config/errors.h"

/* Gives the list (free()), NULL with *count 0 where there is none.  false: lines that are no network, the file cannot be
 * read or has more than 10 million lines; all of it is in `errors` (as many as those take), and nothing is given.  Bits
 * set past the length are an error as in the configuration. */
bool deny_file_read(const char *path, struct cidr **list, size_t *count, struct config_errors *errors);

#endif
