/* A certificate of our own making, for the embedded demo: nothing is written to disk.
 *
 * Called by: net/tls_context_server. */
#ifndef NET_TLS_SELF_SIGNED_H
#define NET_TLS_SELF_SIGNED_H

#include "net/tls_files.h"

/* P-256, valid for 30 days, for DNS names and addresses.  false: out of memory, or a name that is none; `out` is then
 * empty. */
bool tls_identity_self_sign(struct tls_identity *out, const char *const *names, size_t count);

#endif
