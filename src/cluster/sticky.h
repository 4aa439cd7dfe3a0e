/* The value of the affinity cookie: what a client shows to come back to its endpoint.
 *
 * A token is the MAC of cluster and endpoint under a secret: it says nothing about either, nobody makes one without the
 * secret, and it is the same in every process that has it, whatever the order of the file.  A view keeps the tokens of
 * its members and looks one up as it is: what is forged, of another secret, or of an endpoint that has left is not found.
 * Called by: cluster/view, proxy/snapshot (to say early what is wrong with a file). */
#ifndef CLUSTER_STICKY_H
#define CLUSTER_STICKY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STICKY_SECRET_LEN 32
#define STICKY_TOKEN_LEN  22 /* 128 bits as base64url */

/* The secret that a file holds: white space at its end does not count; 16 bytes at least, 4,096 at most.  NULL, or what is
 * wrong with it (a clause, static). */
const char *sticky_secret_read(const char *path, uint8_t out[STICKY_SECRET_LEN]);

void sticky_token(const uint8_t secret[STICKY_SECRET_LEN], const char *cluster, const char *endpoint,
		  char out[STICKY_TOKEN_LEN + 1]);

#endif
