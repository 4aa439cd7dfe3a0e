#include "proxy/counters.h"

#include <stdio.h>

static const struct counter_row rows[] = {
	{ "http_requests_total", "Requests whose head was read.", NULL, false },
	{ "websocket_connections_total", "WebSocket connections that were opened.", NULL, false },
	{ "websocket_connections", "WebSocket connections that are open.", NULL, true },
	{ "tcp_connections_total", "Connections of tcp listeners that reached an endpoint.", NULL, false },
	{ "tcp_connections", "Connections of tcp listeners that are open.", NULL, true },
	{ "websocket_messages_total", "Messages relayed.", "direction=\"in\",opcode=\"text\"", false },
	{ "websocket_messages_total", "Messages relayed.", "direction=\"in\",opcode=\"binary\"", false },
	{ "websocket_messages_total", "Messages relayed.", "direction=\"out\",opcode=\"text\"", false },
	{ "websocket_messages_total", "Messages relayed.", "direction=\"out\",opcode=\"binary\"", false },
	{ "upstream_retries_total", "Further tries on another endpoint.", NULL, false },
	{ "websocket_pings_total", "Pings of the proxy's own.", "to=\"client\"", false },
	{ "websocket_pings_total", "Pings of the proxy's own.", "to=\"backend\"", false },
	{ "websocket_over_rate_total", "What was done to clients above their rate.", "action=\"delay\"", false },
	{ "websocket_over_rate_total", "What was done to clients above their rate.", "action=\"close\"", false },
	{ "websocket_over_rate_total", "What was done to clients above their rate.", "action=\"drop\"", false },
	{ "slow_client_actions_total", "What was done about slow clients.", "policy=\"pause\"", false },
	{ "slow_client_actions_total", "What was done about slow clients.", "policy=\"close\"", false },
	{ "slow_client_actions_total", "What was done about slow clients.", "policy=\"drop_oldest\"", false },
	{ "slow_client_actions_total", "What was done about slow clients.", "policy=\"latest\"", false },
	{ "websocket_control_frames_total", "Control frames relayed.", "direction=\"in\",opcode=\"ping\"", false },
	{ "websocket_control_frames_total", "Control frames relayed.", "direction=\"out\",opcode=\"ping\"", false },
	{ "websocket_control_frames_total", "Control frames relayed.", "direction=\"in\",opcode=\"pong\"", false },
	{ "websocket_control_frames_total", "Control frames relayed.", "direction=\"out\",opcode=\"pong\"", false },
	{ "handshakes_total", "WebSocket handshakes of clients.", "result=\"accepted\"", false },
	{ "handshakes_total", "WebSocket handshakes of clients.", "result=\"refused\"", false },
	{ "bytes_total", "Bytes from and to clients.", "kind=\"websocket\",direction=\"in\"", false },
	{ "bytes_total", "Bytes from and to clients.", "kind=\"websocket\",direction=\"out\"", false },
	{ "bytes_total", "Bytes from and to clients.", "kind=\"http\",direction=\"in\"", false },
	{ "bytes_total", "Bytes from and to clients.", "kind=\"http\",direction=\"out\"", false },
	{ "bytes_total", "Bytes from and to clients.", "kind=\"tcp\",direction=\"in\"", false },
	{ "bytes_total", "Bytes from and to clients.", "kind=\"tcp\",direction=\"out\"", false },
	{ "websocket_deflate_bytes_total", "Frames that were inflated or compressed on behalf of endpoints.",
	  "direction=\"in\",form=\"compressed\"", false },
	{ "websocket_deflate_bytes_total", "Frames that were inflated or compressed on behalf of endpoints.",
	  "direction=\"in\",form=\"plain\"", false },
	{ "websocket_deflate_bytes_total", "Frames that were inflated or compressed on behalf of endpoints.",
	  "direction=\"out\",form=\"plain\"", false },
	{ "websocket_deflate_bytes_total", "Frames that were inflated or compressed on behalf of endpoints.",
	  "direction=\"out\",form=\"compressed\"", false },
	{ "fallback_sessions_total", "Sessions of the fallback that reached an endpoint.", NULL, false },
	{ "fallback_sessions", "Sessions of the fallback, detached ones too.", NULL, true },
	{ "fallback_attaches_total", "Carriers that were taken on by a session.", NULL, false },
	{ "fallback_carriers_total", "Carriers that came, by kind.", "carrier=\"stream\"", false },
	{ "fallback_carriers_total", "Carriers that came, by kind.", "carrier=\"poll\"", false },
	{ "fallback_carriers_total", "Carriers that came, by kind.", "carrier=\"eventsource\"", false },
	{ "fallback_carriers_total", "Carriers that came, by kind.", "carrier=\"websocket\"", false },
	{ "fallback_carriers_total", "Carriers that came, by kind.", "carrier=\"sockjs\"", false },
};
_Static_assert(sizeof(rows) / sizeof(rows[0]) == PROXY_COUNTERS_END - COUNTERS_PROXY, "a row for each");

enum { CLOSE_3XXX = 16, CLOSE_4XXX, CLOSE_OTHER };

void proxy_count_close(unsigned code, unsigned closed_by)
{
	unsigned index = CLOSE_OTHER;
	unsigned by = closed_by > 0 ? closed_by - 1 : PROXY_CLOSE_INITIATORS - 1;

	if (code == 0) /* without one */
		code = 1006;
	if (code >= 1000 && code <= 1015)
		index = code - 1000;
	else if (code >= 3000 && code <= 3999)
		index = CLOSE_3XXX;
	else if (code >= 4000 && code <= 4999)
		index = CLOSE_4XXX;
	counter_add(COUNTERS_CLOSES + by * PROXY_CLOSE_CODES + index, 1);
}

void proxy_close_code_print(unsigned index, char out[8])
{
	static const char *const words[] = { "3xxx", "4xxx", "other" };

	if (index < CLOSE_3XXX)
		snprintf(out, 8, "%u", 1000 + index % 16);
	else
		snprintf(out, 8, "%s", words[(index - CLOSE_3XXX) % 3]);
}

const char *proxy_close_initiator(unsigned index)
{
	static const char *const words[] = { "client", "backend", "proxy" };

	return words[index % PROXY_CLOSE_INITIATORS];
}

uint64_t proxy_messages(bool is_out)
{
	return is_out ? counter_sum(PROXY_TEXTS_OUT) + counter_sum(PROXY_BINARIES_OUT) :
			counter_sum(PROXY_TEXTS_IN) + counter_sum(PROXY_BINARIES_IN);
}

void proxy_counters_setup(void)
{
	counters_register(COUNTERS_PROXY, rows, sizeof(rows) / sizeof(rows[0]));
}
