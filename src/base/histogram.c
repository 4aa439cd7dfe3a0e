#include "base/histogram.h"

const uint64_t histogram_bounds_us[HISTOGRAM_BOUNDS] = {
	100,	250,	500,	1000,	 2500,	  5000,	   10000,   25000,
	50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

const struct histogram_row histogram_rows[HISTOGRAM_COUNT] = {
	[HISTOGRAM_CONNECT] = { "connect_duration_seconds", "Time to connect to an endpoint, TLS included.", NULL, false },
	[HISTOGRAM_RESPONSE] = { "response_duration_seconds", "Time from a request's head to its response's.", NULL, false },
	[HISTOGRAM_HANDSHAKE] = { "handshake_duration_seconds", "Time from a WebSocket's request to its 101.", NULL, false },
	[HISTOGRAM_FIRST_MESSAGE] = { "websocket_first_message_seconds",
				      "Time from a WebSocket's request to its endpoint's first message.", NULL, false },
	[HISTOGRAM_PING_RTT] = { "websocket_ping_rtt_seconds", "How long clients took to answer a ping.", NULL, false },
	[HISTOGRAM_MESSAGE_IN] = { "websocket_message_size_bytes", "Payload of messages, as on the wire.", "direction=\"in\"", true },
	[HISTOGRAM_MESSAGE_OUT] = { "websocket_message_size_bytes", "Payload of messages, as on the wire.", "direction=\"out\"",
				    true },
	[HISTOGRAM_LOOP] = { "event_loop_lag_seconds", "Length of one turn of a worker's loop: what a byte may wait.", NULL, false },
};

void histogram_read(enum histogram h, struct histogram_sum *out)
{
	unsigned first = COUNTERS_HISTOGRAMS + (unsigned)h * HISTOGRAM_CELLS;

	out->count = 0;
	for (unsigned i = 0; i < HISTOGRAM_BOUNDS; i++) {
		out->count += counter_sum(first + i);
		out->upto[i] = out->count;
	}
	out->count += counter_sum(first + HISTOGRAM_BOUNDS);
	out->sum = counter_sum(first + HISTOGRAM_BOUNDS + 1);
}
