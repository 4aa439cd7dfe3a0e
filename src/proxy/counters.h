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
	PROXY_TEXTS_IN, /* messages from clients, */
	PROXY_BINARIES_IN,
	PROXY_TEXTS_OUT, /* and to them */
	PROXY_BINARIES_OUT,
	PROXY_RETRIES,
	PROXY_PINGS_CLIENT, /* sent by the proxy */
	PROXY_PINGS_BACKEND,
	PROXY_OVER_RATE, /* + enum over_rate */
	PROXY_SLOW_CLIENT = PROXY_OVER_RATE + 3, /* + enum slow_client */
	PROXY_PINGS_IN = PROXY_SLOW_CLIENT + 4, /* relayed, from clients */
	PROXY_PINGS_OUT,
	PROXY_PONGS_IN,
	PROXY_PONGS_OUT,
	PROXY_HANDSHAKES_DONE,	  /* WebSocket handshakes */
	PROXY_HANDSHAKES_REFUSED,
	PROXY_BYTES_WS_IN, /* from clients, payload and framing of WebSockets while they live */
	PROXY_BYTES_WS_OUT,
	PROXY_BYTES_HTTP_IN,
	PROXY_BYTES_HTTP_OUT,
	PROXY_BYTES_TCP_IN,
	PROXY_BYTES_TCP_OUT,
	PROXY_INFLATED_IN, /* frames of clients before they were inflated on behalf of an endpoint, */
	PROXY_INFLATED_OUT, /* and behind */
	PROXY_DEFLATED_IN,
	PROXY_DEFLATED_OUT,
	PROXY_SESSIONS, /* of the fallback, that reached an endpoint */
	PROXY_SESSIONS_OPEN,
	PROXY_SESSION_ATTACHES,
	PROXY_CARRIERS, /* + kind: stream, poll, eventsource, websocket, sockjs */
	PROXY_COUNTERS_END = PROXY_CARRIERS + 5
};

/* WebSocket closes: cells by code and by who began it, from COUNTERS_CLOSES on. */
#define PROXY_CLOSE_CODES      19u /* 1000..1015 (1006: without one), 3xxx, 4xxx, others */
#define PROXY_CLOSE_INITIATORS 3u
void proxy_count_close(unsigned code, unsigned closed_by); /* enum closed_by */
void proxy_close_code_print(unsigned index, char out[8]);
const char *proxy_close_initiator(unsigned index);

/* Messages of both kinds that were relayed. */
uint64_t proxy_messages(bool is_out);

/* Once, at start. */
void proxy_counters_setup(void);

#endif
