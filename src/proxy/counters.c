#include "proxy/counters.h"

static const struct counter_row rows[] = {
	{ "http_requests_total", "Requests whose head was read.", NULL, false },
	{ "websocket_connections_total", "WebSocket connections that were opened.", NULL, false },
	{ "websocket_connections", "WebSocket connections that are open.", NULL, true },
	{ "tcp_connections_total", "Connections of tcp listeners that reached an endpoint.", NULL, false },
	{ "tcp_connections", "Connections of tcp listeners that are open.", NULL, true },
	{ "websocket_messages_total", "Messages relayed.", "direction=\"in\"", false },
	{ "websocket_messages_total", "Messages relayed.", "direction=\"out\"", false },
	{ "upstream_retries_total", "Further tries on another endpoint.", NULL, false },
};
_Static_assert(sizeof(rows) / sizeof(rows[0]) == PROXY_COUNTERS_END - COUNTERS_PROXY, "a row for each");

void proxy_counters_setup(void)
{
	counters_register(COUNTERS_PROXY, rows, sizeof(rows) / sizeof(rows[0]));
}
