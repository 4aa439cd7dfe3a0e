/* TLS inside a stream: what came is opened and delivered, what the engine says leaves through the queue. */
#include "net/stream.h"

#include "net/stream_inside.h"
#include "net/tls_context.h"

#include <assert.h>

/* While something is opened, the bump block holds what was opened: what has to leave meanwhile goes to the heap. */
static void emit_copy(void *user, const uint8_t *bytes, size_t len)
{
	struct slice out = slice_copy(bytes, len);

	if (out.buf != NULL)
		stream_queue(user, out);
	else
		((struct stream *)user)->is_send_dead = true;
}

void stream_emit(void *user, const uint8_t *bytes, size_t len)
{
	struct stream *s = user;
	struct slice out = ring_copy(ring_of(s), bytes, (uint32_t)len);

	if (out.buf != NULL)
		stream_queue(s, out);
	else
		s->is_send_dead = true;
}

/* Somebody has typed http:// and the port of https: the one thing that is said without TLS. */
static const char told_plain_http[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 47\r\n"
				      "Connection: close\r\n\r\nThis port speaks HTTPS: the URL needs https://\r\n";

static void tls_failed(struct stream *s, long result)
{
	enum reason why = result == TLS_PEER_ALERT ? REASON_TLS_ALERT : REASON_TLS_ERROR;

	if (!s->is_backend && s->state == STREAM_HANDSHAKE && tls_is_plain_http(s->tls))
		stream_queue(s, slice_static(told_plain_http, sizeof(told_plain_http) - 1));
	if (s->is_backend)
		why = s->state == STREAM_HANDSHAKE ? REASON_BACKEND_TLS : REASON_BACKEND_RESET;
	if (s->duplex.queued > 0) { /* the alert should reach the peer */
		bool has_user = s->state < STREAM_FINISHING;

		s->duplex.ops->finish(&s->duplex);
		if (has_user)
			s->duplex.events->on_closed(&s->duplex, why);
		return;
	}
	stream_fail(s, why);
}

void stream_tls_bytes(struct stream *s, struct slice slice)
{
	struct ring *r = ring_of(s);
	struct tls_sink sink = { emit_copy, s };
	struct tls_input in = { slice.at, slice.len };
	bool has_more = s->has_more; /* in the socket */

	while (s->state == STREAM_HANDSHAKE || s->state == STREAM_OPEN) {
		uint32_t need = in.len > RING_BUMP_SIZE ? RING_BUMP_SIZE : in.len < 256 ? 256 : (uint32_t)in.len;
		uint8_t *room = ring_bump(r, need);
		long got;

		if (room == NULL) {
			stream_fail(s, REASON_NO_MEMORY);
			return;
		}
		got = tls_open(s->tls, &in, room, ring_bump_room(r), sink);
		if (got < 0 && got != TLS_CLOSED) {
			tls_failed(s, got);
			return;
		}
		if (got > 0) {
			struct slice plain = ring_bump_take(r, (uint32_t)got);

			if (s->state == STREAM_HANDSHAKE)
				stream_opened(s);
			s->has_more = has_more || in.len > 0 || tls_has_more(s->tls);
			if (s->state == STREAM_OPEN)
				s->duplex.events->on_bytes(&s->duplex, plain);
			slice_unref(plain);
			continue;
		}
		if (s->state == STREAM_HANDSHAKE && tls_is_established(s->tls))
			stream_opened(s);
		if (got == TLS_CLOSED && s->state != STREAM_CLOSED && !s->has_eof)
			stream_eof(s);
		return;
	}
}

bool stream_start_tls(struct duplex *d, struct tls_context *ctx, struct slice first, uint64_t timeout_ms)
{
	struct stream *s = stream_of(d);

	assert(s->state == STREAM_OPEN && s->tls == NULL);
	s->tls = tls_new_server(ctx);
	if (s->tls == NULL)
		return false;
	s->state = STREAM_HANDSHAKE;
	if (timeout_ms > 0)
		ring_timer_arm(ring_of(s), &s->timer, timeout_ms);
	stream_receive_later(s);
	if (first.len > 0)
		stream_tls_bytes(s, first);
	return true;
}

long stream_tls_peer(const struct duplex *d, const char *word, char *out, size_t cap)
{
	const struct stream *s = stream_of(d);

	return s->tls != NULL ? tls_peer_print(s->tls, word, out, cap) : -1;
}
