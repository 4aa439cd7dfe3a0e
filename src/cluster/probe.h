/* Probes: what is said to an endpoint to find out whether it is well, and how its answer is judged.
 *
 * No socket and no clock: bytes in, a verdict out, and the same one however the answer is cut.  What comes is kept up to
 * PROBE_KEPT_MAX; a longer head is bad, of a longer body its beginning is judged.
 * Called by: cluster/health. */
#ifndef CLUSTER_PROBE_H
#define CLUSTER_PROBE_H

#include "config/config.h"
#include "wire/http1_body.h"
#include "wire/http1_parse.h"

#define PROBE_KEPT_MAX	  16384u
#define PROBE_REQUEST_MAX 8192u
#define PROBE_WHY_MAX	  96

enum probe_verdict { PROBE_GOOD, PROBE_BAD, PROBE_MORE };

struct probe {
	const struct health_config *config;
	enum health_type type;
	char why[PROBE_WHY_MAX]; /* of a verdict */
	uint8_t out[PROBE_REQUEST_MAX]; /* what is to be sent: first_len bytes when it is open, ... */
	uint32_t out_len;
	uint32_t out_sent; /* the caller's: how much of it has left */
	uint8_t in[PROBE_KEPT_MAX];
	uint32_t in_len;
	/* http */
	struct http1_scan scan;
	struct http1_body body;
	uint32_t body_at, body_len; /* what is decoded of it, in `in` */
	bool head_seen;
	/* websocket */
	uint32_t request_len; /* of `out`: the handshake */
	uint64_t skip;	      /* bytes of a frame that nobody wants */
	uint8_t ping[8];
	bool is_open;
};

/* `host` is what stands in the Host field where the configuration says nothing.  false: it would not fit.  What is in
 * out is to be sent once the connection is open, and after each probe_feed() what has come to it. */
bool probe_init(struct probe *p, const struct health_config *config, const char *host);
void probe_done(struct probe *p);

/* The connection is open. */
enum probe_verdict probe_open(struct probe *p);
/* The next bytes of the answer (borrowed). */
enum probe_verdict probe_feed(struct probe *p, const uint8_t *in, size_t len);
/* The endpoint sends no more. */
enum probe_verdict probe_eof(struct probe *p);
/* What it waits for, in words. */
const char *probe_waits_for(const struct probe *p);

enum probe_verdict probe_say(struct probe *p, enum probe_verdict verdict, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The types; rooms of their own. */
struct probe_type {
	const char *waits_for; /* once it is connected */
	bool (*init)(struct probe *p, const char *host);
	/* NULL: open is good. */
	enum probe_verdict (*feed)(struct probe *p, const uint8_t *in, size_t len);
	enum probe_verdict (*eof)(struct probe *p);
};
extern const struct probe_type probe_http;
extern const struct probe_type probe_websocket;

/* For the types: the request line, Host and the configured fields; -1 where it would not fit. */
long probe_head_begin(struct probe *p, const char *method, const char *host);
/* Forgets the first `len` of what is kept. */
void probe_drop(struct probe *p, size_t len);
/* The response's head out of what is kept, interim ones passed over: its length (it stays in `in`), 0 while it is not
 * whole, or -1: it is malformed, which has been said. */
int probe_head_read(struct probe *p, struct http_head *head, struct http_field *fields, uint32_t fields_cap);
/* Keeps bytes; false: they are too many, and `taken` of them were kept. */
bool probe_keep(struct probe *p, const uint8_t *in, size_t len, size_t *taken);

#endif
