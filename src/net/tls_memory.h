/* Where OpenSSL's large buffers come from.
 *
 * It takes 16 to 22 KB for each record that is read or written and for each handshake, and gives them back soon; what
 * stays with a connection are small pieces.  On one heap the two are mixed: after 3,000 handshakes at once 44 KB for
 * each connection stayed with the process, though only 13 KB were in use.  So the large ones live by themselves, in
 * blocks that the next connection of the thread finds still in the processor's cache; those too many are given back to
 * the kernel.
 * Called by: main.  Locks: one, when a thread has too many or no blocks. */
#ifndef NET_TLS_MEMORY_H
#define NET_TLS_MEMORY_H

#include <stdbool.h>

/* Once, before anything else of OpenSSL is called; false: too late, out of address space, or built with a sanitizer, and
 * all goes to malloc() as before. */
bool tls_memory_init(void);

/* Blocks that the calling thread has taken and not given back: for tests. */
long tls_memory_used(void);

#endif
