/* The keys that session tickets are sealed with (RFC 5077 4, RFC 8446 4.6.1).
 *
 * Made at random and never written to a disk (or shared with other proxies by a file); a process that is upgraded hands them
 * to the next one in memory.  All contexts and all workers share one set, so that a client may come back to
 * any of them, also after a reload.  Each key seals for one period and still opens for two more; then it is wiped.  A
 * ticket that was opened with an old key is answered with a new one.
 * Called by: main makes and frees them, net/tls_context gives them to OpenSSL.  Locks: one, held while a key is copied. */
#ifndef NET_TLS_TICKETS_H
#define NET_TLS_TICKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_tickets;

/* A new key every rotate_s seconds (0: never).  NULL: out of memory.  Contexts hold the keys by a count of their own:
 * tls_tickets_free() only ends the caller's use. */
struct tls_tickets *tls_tickets_new(uint32_t rotate_s);
void tls_tickets_free(struct tls_tickets *t); /* accepts NULL */
struct tls_tickets *tls_tickets_ref(struct tls_tickets *t);

/* Takes the keys of a file from now on, and rotates no more; 80 bytes each: name, HMAC key, AES key (nginx's order).  The
 * first seals, the others (2 at most) open.  false: `error` says why, and nothing has changed. */
bool tls_tickets_load(struct tls_tickets *t, const char *path, char *error, size_t error_len);
/* Random keys again, if they came from a file. */
void tls_tickets_unload(struct tls_tickets *t);

/* Begins a new period at once.  Rotation needs no call: it happens when a ticket is sealed or opened. */
void tls_tickets_rotate(struct tls_tickets *t);

/* What the next process needs to open and seal the same tickets.  Secret: wipe it. */
struct tls_tickets_state {
	uint64_t age_ms; /* of the period under way */
	uint8_t keys[3][80]; /* by age in periods; name, cipher key, MAC key */
	uint8_t is_set[3];
};
void tls_tickets_save(struct tls_tickets *t, struct tls_tickets_state *out);
/* Goes on with these keys; the period under way began as long ago as they say. */
void tls_tickets_restore(struct tls_tickets *t, const struct tls_tickets_state *state);

/* For OpenSSL's callback: prepares the two contexts to seal a ticket (sealing: writes name and iv), or to open the one
 * that `name` is the key of.  Returns 1; 2: opened, and the client should get a new one; 0: no such key; -1: failed. */
struct evp_cipher_ctx_st;
struct evp_mac_ctx_st;
int tls_tickets_prepare(struct tls_tickets *t, int sealing, uint8_t name[16], uint8_t *iv,
			struct evp_cipher_ctx_st *cipher, struct evp_mac_ctx_st *mac);

#endif
