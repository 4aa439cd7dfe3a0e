/* What proxy/ counts: rows of the metrics. */
#ifndef PROXY_COUNTERS_H
#define PROXY_COUNTERS_H

#include "base/counters.h"

enum {
	PROXY_REQUESTS = COUNTERS_PROXY,
	PROXY_WEBSOCKETS,	   /* opened */
	PROXY_WEBSOCKETS_OPEN,	   /* now */
	PROXY_TCP_CONNECTIONS,
	PROXY_TCP_OPEN,
	PROXY_MESSAGES_IN, /* from clients */
	PROXY_MESSAGES_OUT,
	PROXY_RETRIES,
	PROXY_PINGS_CLIENT, /* sent by the proxy */
	PROXY_PINGS_BACKEND,
	PROXY_OVER_RATE, /* + enum over_rate */
	PROXY_SLOW_CLIENT = PROXY_OVER_RATE + 3, /* + enum slow_client */
	PROXY_RTT_BUCKETS = PROXY_SLOW_CLIENT + 4, /* twelve, and the count */
	PROXY_COUNTERS_END = PROXY_RTT_BUCKETS + 13
};

/* How long a client took to answer a ping. */
void proxy_rtt_count(uint32_t us);

/* Once, at start. */
void proxy_counters_setup(void);

#endif
