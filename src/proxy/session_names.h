/* Names of sessions that clients choose, over all workers: the nonce of an `open`, the session of SockJS.
 *
 * Two requests with one name may come at once, and to different workers: the first claims it, the others are led to its
 * worker.  Asked when a session opens, or a SockJS request comes; one lock, held for one look-up.
 * Also the name of this process in tokens, made anew at each start: no token outlives its sessions. */
#ifndef PROXY_SESSION_NAMES_H
#define PROXY_SESSION_NAMES_H

#include <stdbool.h>
#include <stdint.h>

struct worker;

/* Once, before workers run. */
bool session_names_setup(void);
const char *session_node(void);

/* A name of the process, from what the client said and what it is said about: not 0. */
uint64_t session_name(const void *text, unsigned len, uint64_t scope);

enum session_claim {
	SESSION_CLAIMED, /* the caller's: it opens the session, or removes the name */
	SESSION_TAKEN,	 /* *owner has it */
	SESSION_NO_ROOM
};
enum session_claim session_names_claim(uint64_t name, unsigned worker, unsigned *owner);
bool session_names_find(uint64_t name, unsigned *owner);
void session_names_remove(uint64_t name);

#endif
