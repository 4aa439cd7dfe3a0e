/* net/tls, a server's connection: two octets of settings, then what a client may send.
 *
 * Setting 1, lowest bit 0: the rest is fed as it is.  1: OpenSSL's own client (bit 1: TLS 1.2) does a handshake, says
 * something, changes its keys and leaves; the rest are changes to what it sends, three octets each: where (in 1/256 of
 * the flight), how (cut off, doubled, or an octet changed), by what.
 * Setting 2: how the bytes are cut.
 *
 * Always: all is used or the connection has failed; what has failed stays so and is silent; output is bounded by the
 * input; nothing is left in OpenSSL's queue of errors. */
#include "net/tls.h"
#include "net/tls_context.h"

#include "must.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#define WIRE_MAX    65536u
#define CHANGES_MAX 16u

struct wire {
	uint8_t bytes[WIRE_MAX];
	size_t len;
};

static struct wire to_client;
static size_t sent_total, fed_total, opened_total;

static void emit(void *user, const uint8_t *bytes, size_t len)
{
	struct wire *w = user;

	sent_total += len;
	/* a flight with one small certificate, and for each record of the client's at most one small answer */
	MUST(sent_total <= 4096 + 8 * fed_total);
	MUST(len <= sizeof(w->bytes) - w->len);
	memcpy(w->bytes + w->len, bytes, len);
	w->len += len;
}

static const struct tls_sink sink = { .emit = emit, .user = &to_client };

static struct tls *server_new(void)
{
	static const char *const name = "fuzz.test";
	static struct tls_context *context;
	static struct tls_tickets *tickets;

	if (context == NULL) {
		tickets = tls_tickets_new(0);
		context = tls_context_new_self_signed(&name, 1, tickets);
		MUST(context != NULL);
	}
	to_client.len = 0;
	sent_total = fed_total = opened_total = 0;
	return tls_new_server(context);
}

/* One piece; false once the connection is over. */
static bool feed_piece(struct tls *t, const uint8_t *bytes, size_t len, size_t cap)
{
	static uint8_t out[4096];
	struct tls_input in = { .at = bytes, .len = len };
	size_t before;
	char text[128];
	long n;

	fed_total += len;
	while ((n = tls_open(t, &in, out, cap, sink)) > 0) {
		MUST((size_t)n <= cap);
		opened_total += (size_t)n;
		MUST(opened_total <= fed_total);
		MUST(ERR_peek_error() == 0);
		fed_total += 40; /* what is echoed grows by a header and a tag */
		MUST(tls_seal(t, out, (size_t)n, sink) == 0);
	}
	MUST(ERR_peek_error() == 0);
	MUST(in.at + in.len == bytes + len);
	tls_error_text(t, text, sizeof(text));
	MUST(text[0] != '\0');
	if (n == TLS_MORE) {
		MUST(in.len == 0);
		return true;
	}
	if (n == TLS_CLOSED)
		MUST(in.len == 0);
	before = sent_total;
	MUST(tls_open(t, &in, out, cap, sink) == n);
	if (n != TLS_CLOSED) {
		MUST(tls_seal(t, out, 1, sink) == TLS_ERROR);
		tls_close_notify(t, sink);
	}
	MUST(sent_total == before);
	return false;
}

static bool feed(struct tls *t, const uint8_t *bytes, size_t len, uint8_t cut)
{
	size_t step = cut == 0 ? (len > 0 ? len : 1) : cut;

	for (size_t at = 0; at < len; at += step) {
		if (!feed_piece(t, bytes + at, len - at < step ? len - at : step, cut % 2 ? 7 : 4096))
			return false;
	}
	return true;
}

struct changes {
	const uint8_t *at;
	size_t count;
};

/* Applies the next change, where there is one. */
static size_t change(struct changes *c, uint8_t *flight, size_t len)
{
	size_t where;
	uint8_t how, what;

	if (c->count == 0 || len == 0)
		return len;
	where = c->at[0] * len / 256;
	how = c->at[1];
	what = c->at[2];
	c->at += 3;
	c->count--;
	switch (how % 4) {
	case 0:
		break; /* this flight stays */
	case 1:
		return where;
	case 2:
		memmove(flight + len, flight + where, len - where);
		return len + (len - where);
	default:
		flight[where] ^= what;
	}
	return len;
}

static SSL *client_new(int version)
{
	static SSL_CTX *contexts[2];
	SSL_CTX **ctx = &contexts[version == TLS1_3_VERSION];
	SSL *ssl;

	if (*ctx == NULL) {
		*ctx = SSL_CTX_new(TLS_client_method());
		MUST(*ctx != NULL);
		SSL_CTX_set_min_proto_version(*ctx, version);
		SSL_CTX_set_max_proto_version(*ctx, version);
	}
	ssl = SSL_new(*ctx);
	MUST(ssl != NULL);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	SSL_set_connect_state(ssl);
	return ssl;
}

/* What the client has to say at this step. */
static void client_step(SSL *client, unsigned step)
{
	char bytes[256];
	size_t got;

	SSL_do_handshake(client);
	if (SSL_is_init_finished(client)) {
		while (SSL_read_ex(client, bytes, sizeof(bytes), &got) == 1)
			;
		if (step % 3 == 0)
			SSL_key_update(client,
				       step % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
		if (step == 7)
			SSL_shutdown(client);
		else
			SSL_write(client, "hello, is anybody there?", 24);
	}
	ERR_clear_error();
}

static void handshake(struct tls *t, SSL *client, struct changes c, uint8_t cut)
{
	static uint8_t flight[2 * WIRE_MAX];

	for (unsigned step = 0; step < 8; step++) {
		char *bytes;
		long len;

		client_step(client, step);
		len = BIO_get_mem_data(SSL_get_wbio(client), &bytes);
		MUST(len >= 0 && (size_t)len <= WIRE_MAX);
		memcpy(flight, bytes, (size_t)len);
		BIO_reset(SSL_get_wbio(client));
		if (!feed(t, flight, change(&c, flight, (size_t)len), cut))
			return;
		BIO_write(SSL_get_rbio(client), to_client.bytes, (int)to_client.len);
		to_client.len = 0;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls *t;

	if (size < 2 || size > WIRE_MAX / 2)
		return 0;
	t = server_new();
	MUST(t != NULL);
	if (data[0] & 1) {
		struct changes c = { .at = data + 2, .count = (size - 2) / 3 };
		SSL *client = client_new(data[0] & 2 ? TLS1_2_VERSION : TLS1_3_VERSION);

		if (c.count > CHANGES_MAX)
			c.count = CHANGES_MAX;
		handshake(t, client, c, data[1]);
		SSL_free(client);
		ERR_clear_error();
	} else {
		feed(t, data + 2, size - 2, data[1]);
	}
	tls_close_notify(t, sink);
	tls_free(t);
	MUST(ERR_peek_error() == 0);
	return 0;
}
