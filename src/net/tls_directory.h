/* A directory of certificates: NAME.pem or NAME.crt beside NAME.key, in the order of their names.
 *
 * Called by: proxy/snapshot, while a configuration is loaded. */
#ifndef NET_TLS_DIRECTORY_H
#define NET_TLS_DIRECTORY_H

#include "net/tls_context.h"

#define TLS_DIRECTORY_MAX 10000u /* certificates */

struct tls_directory {
	struct tls_certificate_files *files; /* paths on the heap */
	size_t count;
};

/* false: `error` says why, and nothing is given.  A certificate without its key is an error; a key alone is not. */
bool tls_directory_read(struct tls_directory *d, const char *path, char *error, size_t error_len);
void tls_directory_done(struct tls_directory *d); /* accepts zeroes */

#endif
