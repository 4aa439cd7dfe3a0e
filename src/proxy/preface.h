/* The PROXY header that a cluster wants to be told (proxy_protocol: v1 | v2).
 *
 * Version 2 also says what TLS told: the name that was asked for (PP2_TYPE_AUTHORITY), the protocol that was agreed on (ALPN),
 * and, where TLS ends here, its version (PP2_TYPE_SSL). */
#ifndef PROXY_PREFACE_H
#define PROXY_PREFACE_H

#include "base/addr.h"
#include "config/config.h"

#include <stdint.h>

#define PREFACE_MAX 768u /* IPv6, a name of 255 bytes, a protocol of 255, TLS */

/* Of the cluster's making, on the heap: most clusters want none. */
struct preface {
	void *bytes; /* NULL: none */
	uint32_t len;
};

struct preface_from {
	const struct addr *peer;
	const struct addr *local;
	/* NULL or "": not known */
	const char *sni;
	const char *alpn;
	const char *tls_version; /* the client's TLS ends here */
	bool has_certificate;	 /* the client's, and it was verified */
};

/* Who is connected, and where to.  false: out of memory. */
bool preface_make(struct preface *p, const struct cluster_config *c, const struct preface_from *from);
void preface_done(struct preface *p);

#endif
