/* Names of endpoints to addresses.  Blocks as long as the system's resolver does: control thread only. */
#ifndef CLUSTER_RESOLVE_H
#define CLUSTER_RESOLVE_H

#include "base/addr.h"

#include <stdint.h>

#define RESOLVE_MAX_ADDRS 32

/* All addresses of `host` with that port, in the resolver's order: their count, and the array (the caller frees it).
 * 0: none, and `*error` (static) says why; nothing is written to `*out`. */
uint32_t resolve_host(const char *host, uint16_t port, struct addr **out, const char **error);

#endif
