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
	PROXY_PINGS_IN = PROXY_SLOW_CLIENT + 4, /* relayed, from clients */
	PROXY_PINGS_OUT,
	PROXY_PONGS_IN,
	PROXY_PONGS_OUT,
	PROXY_CLOSES, /* by code, see proxy_close_count */
	PROXY_RTT_BUCKETS = PROXY_CLOSES + 17, /* twelve, and the count */
	PROXY_COUNTERS_END = PROXY_RTT_BUCKETS + 13
};

/* How long a client took to answer a ping. */
void proxy_rtt_count(uint32_t us);

/* A WebSocket has ended with this code; 0: without one. */
void proxy_close_count(uint16_t code);

/* Once, at start. */
void proxy_counters_setup(void);

#endif
