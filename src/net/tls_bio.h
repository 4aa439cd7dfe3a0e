/* What OpenSSL takes for its socket: a BIO that reads the bytes of the call under way and writes into its sink.
 *
 * There is one for each thread, which all connections of the thread share: what it reads and writes is told to it at
 * the start of each call, so that a connection owns no BIO (which saves it two kilobytes).
 * Called by: net/tls. */
#ifndef NET_TLS_BIO_H
#define NET_TLS_BIO_H

#include "net/tls.h"

#include <openssl/bio.h>

/* One call into OpenSSL; lives on the stack of who makes it. */
struct tls_io {
	struct tls_input in; /* what is left of it after the call */
	struct tls_sink sink;
	struct tls *connection;
	struct tls_io *
		outer; /* a call is under way that this one interrupts: a sink that closes another connection */
};

/* Between the two, OpenSSL may be called for io->connection, and for no other. */
void tls_io_enter(struct tls_io *io);
void tls_io_leave(struct tls_io *io);

/* The connection that OpenSSL is being called for: for its callbacks.  NULL: none. */
struct tls *tls_io_connection(void);

/* The thread's BIO, with a reference for the caller.  NULL: out of memory. */
BIO *tls_io_bio(void);

#endif
