/* Values with variables ($host, $remote_addr ...), filled in. */
#ifndef PROXY_TEMPLATE_H
#define PROXY_TEMPLATE_H

#include "base/str.h"
#include "proxy/request.h"

/* Appends.  What a request says is passed on only where it may stand in a field value; else it is left out.
 * $host is the host with its port as it was asked for; $remote_addr is the client (request.client). */
void template_print(struct str *out, const struct template *t, const struct request *r);

#endif
