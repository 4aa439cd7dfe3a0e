/* Requests that a route wants nothing of (access.deny_if): patterns over path, query and header fields.
 *
 * Called by: proxy/exchange. */
#ifndef PROXY_DENY_RULES_H
#define PROXY_DENY_RULES_H

#include "proxy/request.h"

/* REASON_DENY_RULE: all that one of the rules names matches.  REASON_REGEX_LIMIT: a pattern gave up, and what it would have
 * said is not known. */
enum reason deny_rules_check(const struct request *r);

#endif
