/* Outliers: endpoints that fail in practice are put aside for a while.
 *
 * So many failures in a row, of whatever kind, eject; each ejection lasts longer than the one before, and never are more
 * ejected than `outlier.max_ejected` says.  What counts: connects that fail, connections that end before a response,
 * answers that are none or 5xx, handshakes that are answered wrongly, WebSockets that die in their first second.
 * Called by: proxy, in any worker.  No lock but for the ejection itself. */
#ifndef CLUSTER_OUTLIER_H
#define CLUSTER_OUTLIER_H

#include "base/reasons.h"
#include "cluster/endpoint.h"

void outlier_failed(struct endpoint *e, enum reason why);
/* The same of a response with such a status. */
void outlier_failed_status(struct endpoint *e, unsigned status);
/* A WebSocket ended without a Close in its first second. */
void outlier_died(struct endpoint *e);

/* A response; a connection of a tcp listener; a WebSocket that did not die. */
void outlier_succeeded(struct endpoint *e);
/* A handshake alone, which says little where they die afterwards. */
void outlier_upgraded(struct endpoint *e);

#endif
