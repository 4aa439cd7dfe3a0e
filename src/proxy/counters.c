#include "proxy/counters.h"

#define CLOSES(code)                                                                                           \
	{                                                                                                      \
		"websocket_closes_total", "WebSocket connections that ended, by close code; 1006: without one.", \
			"code=\"" code "\"", false                                                             \
	}

#define RTT(le)                                                                                                \
	{                                                                                                      \
		"websocket_ping_rtt_seconds_bucket", "How long clients took to answer a ping.", "le=\"" le "\"", \
			false                                                                                  \
	}

/* Upper bounds in microseconds, as in the rows; the last has none. */
static const uint32_t rtt_us[] = { 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 5000000 };

static const struct counter_row rows[] = {
	{ "http_requests_total", "Requests whose head was read.", NULL, false },
	{ "websocket_connections_total", "WebSocket connections that were opened.", NULL, false },
	{ "websocket_connections", "WebSocket connections that are open.", NULL, true },
	{ "tcp_connections_total", "Connections of tcp listeners that reached an endpoint.", NULL, false },
	{ "tcp_connections", "Connections of tcp listeners that are open.", NULL, true },
	{ "websocket_messages_total", "Messages relayed.", "direction=\"in\"", false },
	{ "websocket_messages_total", "Messages relayed.", "direction=\"out\"", false },
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
	CLOSES("1000"),
	CLOSES("1001"),
	CLOSES("1002"),
	CLOSES("1003"),
	CLOSES("1005"),
	CLOSES("1006"),
	CLOSES("1007"),
	CLOSES("1008"),
	CLOSES("1009"),
	CLOSES("1010"),
	CLOSES("1011"),
	CLOSES("1012"),
	CLOSES("1013"),
	CLOSES("1014"),
	CLOSES("3xxx"),
	CLOSES("4xxx"),
	CLOSES("other"),
	RTT("0.001"),
	RTT("0.0025"),
	RTT("0.005"),
	RTT("0.01"),
	RTT("0.025"),
	RTT("0.05"),
	RTT("0.1"),
	RTT("0.25"),
	RTT("0.5"),
	RTT("1"),
	RTT("5"),
	RTT("+Inf"),
	{ "websocket_ping_rtt_seconds_count", "Pings that clients answered.", NULL, false },
};
_Static_assert(sizeof(rows) / sizeof(rows[0]) == PROXY_COUNTERS_END - COUNTERS_PROXY, "a row for each");

void proxy_close_count(uint16_t code)
{
	/* as in the rows */
	static const uint16_t codes[] = { 1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014 };
	unsigned count = sizeof(codes) / sizeof(codes[0]), i = 0;

	if (code == 0)
		code = 1006;
	while (i < count && codes[i] != code)
		i++;
	if (i == count && code >= 4000)
		i = count + 1;
	else if (i == count && code < 3000)
		i = count + 2;
	counter_add(PROXY_CLOSES + i, 1);
}

void proxy_rtt_count(uint32_t us)
{
	unsigned count = sizeof(rtt_us) / sizeof(rtt_us[0]);

	for (unsigned i = 0; i < count; i++)
		if (us <= rtt_us[i])
			counter_add(PROXY_RTT_BUCKETS + i, 1);
	counter_add(PROXY_RTT_BUCKETS + count, 1);
	counter_add(PROXY_RTT_BUCKETS + count + 1, 1);
}

void proxy_counters_setup(void)
{
	counters_register(COUNTERS_PROXY, rows, sizeof(rows) / sizeof(rows[0]));
}
