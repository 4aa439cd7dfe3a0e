/* What is known of a stream, for those who look at it and do not move its bytes. */
#include "net/socket.h"
#include "net/stream.h"
#include "net/stream_inside.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

bool stream_is_quiet(const struct duplex *d)
{
	const struct stream *s = stream_of(d);
	uint8_t byte;

	if (s->has_more || !s->is_unsure)
		return !s->has_more;
	return recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

bool stream_set_guest(struct duplex *d, uint64_t guest)
{
	assert(guest != 0);
	if (!stream_is(d) || stream_of(d)->guest != 0)
		return false;
	stream_of(d)->guest = guest;
	return true;
}

bool stream_is_tls(const struct duplex *d)
{
	return stream_of(d)->tls != NULL;
}

bool stream_is_bulk(const struct duplex *d)
{
	return stream_of(d)->is_large;
}

void stream_tls_info(const struct duplex *d, struct tls_info *out)
{
	const struct stream *s = stream_of(d);

	if (s->tls != NULL)
		tls_info(s->tls, out);
	else
		*out = (struct tls_info){ .version = "", .cipher = "", .sni = "", .alpn = "" };
}

void stream_error_text(const struct duplex *d, char *out, size_t cap)
{
	const struct stream *s = stream_of(d);

	if (s->tls != NULL && s->error == 0)
		tls_error_text(s->tls, out, cap);
	else
		snprintf(out, cap, "%s", s->error != 0 ? strerror(s->error) : "");
}

void stream_local(const struct duplex *d, struct addr *out)
{
	socket_local(stream_of(d)->fd, out);
}

struct ring *stream_ring(const struct duplex *d)
{
	return ring_of(stream_of(d));
}
