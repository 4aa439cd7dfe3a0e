/* One client connection of the load generator: a socket in an epoll set, plain or under TLS 1.3.
 *
 * The same calls serve both.  Reading is always watched; writing only while something waits to be sent.
 * Called by: load.c.  Knows nothing of HTTP or WebSocket. */
#ifndef BENCH_CONN_H
#define BENCH_CONN_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct conn {
	int fd;          /* -1 when closed */
	uint32_t events; /* what epoll watches */
	bool wants_write;
	SSL *ssl;     /* NULL: plain */
	uint8_t *out; /* what the socket did not take yet */
	size_t out_len;
};

/* A TLS 1.3 client context: AES-128-GCM, X25519 or P-256; certificates are not verified (nothing leaves
 * loopback). */
SSL_CTX *conn_tls_new(void);

/* Makes the connection resume the newest session that any connection was given. */
void conn_tls_resume(bool on);

/* Starts a connection to 127.0.0.1:port; `data` comes back in epoll_event.data.ptr.  tls may be NULL.
 * Returns 0 or a negative errno. */
int conn_open(struct conn *c, int epoll_fd, uint16_t port, SSL_CTX *tls, void *data);

/* Accepts a connection that is closed already. */
void conn_close(struct conn *c);

/* Bytes read, 0 at the end of input, -EAGAIN, or another negative errno. */
ssize_t conn_read(struct conn *c, uint8_t *out, size_t len);

/* TLS holds bytes that epoll does not know of: read again. */
bool conn_has_pending(const struct conn *c);

/* Sends all, keeping a copy of what the socket does not take now.  Returns 0 or a negative errno. */
int conn_send(struct conn *c, int epoll_fd, void *data, const uint8_t *bytes, size_t len);

/* Sends a part and keeps nothing; -EAGAIN where nothing goes, and then writing is watched. */
ssize_t conn_write(struct conn *c, int epoll_fd, void *data, const uint8_t *bytes, size_t len);

/* Sends what conn_send() kept.  Returns 0 (all or a part went) or a negative errno. */
int conn_flush(struct conn *c, int epoll_fd, void *data);

#endif
