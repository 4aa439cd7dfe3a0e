/* The PROXY header that a cluster wants to be told (proxy_protocol: v1 | v2). */
#ifndef PROXY_PREFACE_H
#define PROXY_PREFACE_H

#include "base/addr.h"
#include "config/config.h"

#include <stdint.h>

#define PREFACE_MAX 256

/* Who is connected, and where to.  The length in bytes; 0: the cluster wants none. */
uint32_t preface_write(char out[PREFACE_MAX], const struct cluster_config *c, const struct addr *peer,
		       const struct addr *local);

#endif
