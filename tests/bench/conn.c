/* See conn.h. */
#define _GNU_SOURCE
#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static SSL_SESSION *newest; /* the last ticket; TLS 1.3 servers take one more than once */
static bool is_resuming;

static int session_keep(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	if (newest != NULL)
		SSL_SESSION_free(newest);
	newest = session;
	return 1; /* the reference is ours */
}

SSL_CTX *conn_tls_new(void)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

	if (tls == NULL)
		return NULL;
	SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
	SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256");
	SSL_CTX_set1_groups_list(tls, "X25519:P-256");
	SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(tls, 1); /* one read(2) a record, not two */
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(tls, session_keep);
	return tls;
}

void conn_tls_resume(bool on)
{
	is_resuming = on;
}

static void conn_watch(struct conn *c, int epoll_fd, void *data, bool wants_write)
{
	struct epoll_event e = { .events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = data };

	if (c->events == e.events)
		return;
	epoll_ctl(epoll_fd, c->events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &e);
	c->events = e.events;
}

int conn_open(struct conn *c, int epoll_fd, uint16_t port, SSL_CTX *tls, void *data)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int on = 1;

	memset(c, 0, sizeof(*c));
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS)
		return -errno;
	if (tls != NULL) {
		c->ssl = SSL_new(tls);
		if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
			return -ENOMEM;
		SSL_set_connect_state(c->ssl);
		if (is_resuming && newest != NULL) {
			/* A copy: OpenSSL uses a TLS 1.3 session once and marks it, while others connect with
			 * it. */
			SSL_SESSION *session = SSL_SESSION_dup(newest);

			SSL_set_session(c->ssl, session);
			SSL_SESSION_free(session);
		}
	}
	conn_watch(c, epoll_fd, data, false);
	return 0;
}

void conn_close(struct conn *c)
{
	if (c->fd < 0)
		return;
	if (c->ssl != NULL) {
		/* Else OpenSSL holds the session for broken and will not resume it. */
		SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		SSL_free(c->ssl);
		c->ssl = NULL;
	}
	close(c->fd);
	c->fd = -1;
	free(c->out);
	c->out = NULL;
	c->out_len = 0;
}

/* What a failed SSL call means as a number. */
static ssize_t tls_error(struct conn *c, int res)
{
	int why = SSL_get_error(c->ssl, res);
	int saved = errno;

	ERR_clear_error();
	if (why == SSL_ERROR_WANT_WRITE)
		c->wants_write = true;
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return -EAGAIN;
	if (why == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (why == SSL_ERROR_SYSCALL && saved != 0)
		return -saved;
	return -EPROTO;
}

ssize_t conn_read(struct conn *c, uint8_t *out, size_t len)
{
	ssize_t n;

	if (c->ssl == NULL) {
		n = recv(c->fd, out, len, 0);
		return n < 0 ? -errno : n;
	}
	n = SSL_read(c->ssl, out, (int)len);
	return n > 0 ? n : tls_error(c, (int)n);
}

bool conn_has_pending(const struct conn *c)
{
	return c->ssl != NULL && SSL_has_pending(c->ssl) == 1;
}

static ssize_t conn_try(struct conn *c, const uint8_t *bytes, size_t len)
{
	ssize_t n;

	c->wants_write = false;
	if (c->ssl == NULL) {
		n = send(c->fd, bytes, len, MSG_NOSIGNAL);
		if (n < (ssize_t)len)
			c->wants_write = true;
		return n < 0 ? -errno : n;
	}
	n = SSL_write(c->ssl, bytes, (int)len);
	return n > 0 ? n : tls_error(c, (int)n);
}

ssize_t conn_write(struct conn *c, int epoll_fd, void *data, const uint8_t *bytes, size_t len)
{
	ssize_t n = conn_try(c, bytes, len);

	if (n >= 0 || n == -EAGAIN)
		conn_watch(c, epoll_fd, data, n > 0 || c->wants_write);
	return n;
}

int conn_send(struct conn *c, int epoll_fd, void *data, const uint8_t *bytes, size_t len)
{
	uint8_t *kept;

	if (c->out_len == 0) {
		/* TLS takes a record at a time. */
		while (len > 0) {
			ssize_t n = conn_try(c, bytes, len);

			if (n == -EAGAIN)
				break;
			if (n <= 0)
				return n == 0 ? -EPIPE : (int)n;
			bytes += n;
			len -= (size_t)n;
		}
		conn_watch(c, epoll_fd, data, len > 0 && c->wants_write);
		if (len == 0)
			return 0;
	}
	kept = realloc(c->out, c->out_len + len);
	if (kept == NULL)
		return -ENOMEM;
	memcpy(kept + c->out_len, bytes, len);
	c->out = kept;
	c->out_len += len;
	return 0;
}

int conn_flush(struct conn *c, int epoll_fd, void *data)
{
	while (c->out_len > 0) {
		ssize_t n = conn_try(c, c->out, c->out_len);

		if (n == -EAGAIN)
			break;
		if (n <= 0)
			return n == 0 ? -EPIPE : (int)n;
		c->out_len -= (size_t)n;
		memmove(c->out, c->out + n, c->out_len);
	}
	conn_watch(c, epoll_fd, data, c->out_len > 0 && c->wants_write);
	return 0;
}
