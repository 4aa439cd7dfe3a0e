/* OpenSSL's errors in words.
 *
 * OpenSSL leaves errors in a queue of the thread, where the next call of anybody would take them for its own: every
 * door of net/ empties it on its way in and out.
 * Called by: net/tls*. */
#ifndef NET_TLS_ERROR_H
#define NET_TLS_ERROR_H

#include <stdbool.h>
#include <stddef.h>

/* Empties the thread's queue; costs next to nothing where it is empty. */
void tls_error_clear(void);

/* The first of the thread's errors (the cause; later ones are its consequences), or 0; empties the queue. */
unsigned long tls_error_take(void);

/* "wrong version number".  `verify` is the connection's X509_V_*, said where verification is what failed. */
void tls_error_print(unsigned long error, long verify, char *out, size_t cap);

/* Whether the error is that the peer sent a fatal alert. */
bool tls_error_is_peer_alert(unsigned long error);

/* Where the construction of a context says what went wrong. */
struct tls_fault {
	char *text;
	size_t cap;
	const char *bad_file; /* the option that was at fault, or NULL */
};

/* Says "FILE: CAUSE" (file may be NULL, then "CAUSE"); returns false, so that a function may return it.  Empties the
 * queue. */
bool tls_fault_say(struct tls_fault *f, const char *file, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same with OpenSSL's own cause behind it: "FILE: WHAT: CAUSE". */
bool tls_fault_openssl(struct tls_fault *f, const char *file, const char *what);

#endif
