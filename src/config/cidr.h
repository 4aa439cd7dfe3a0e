/* Networks: an address and how many of its leading bits count.
 *
 * "10.0.0.0/8", "2001:db8::/32", or a bare address (all bits).  An IPv4-mapped IPv6 address is the IPv4
 * address that it carries, in lists and in look-ups.  Lists are searched one by one: long ones belong into
 * guard's trie. */
#ifndef CONFIG_CIDR_H
#define CONFIG_CIDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define CIDR_TEXT_MAX 64 /* bytes, with the NUL */

struct cidr {
	uint8_t bytes[16]; /* network order; IPv4 in the first 4; bits past `bits` are zero */
	uint8_t family;	   /* AF_INET or AF_INET6 */
	uint8_t bits;
};

/* 0, or -EINVAL: no address or a length out of range; -ERANGE: bits set past the length ("10.0.0.1/8"). */
int cidr_parse(struct cidr *out, const char *text);
size_t cidr_print(const struct cidr *c, char out[CIDR_TEXT_MAX]);
/* A UNIX address is in no network. */
bool cidr_contains(const struct cidr *c, const struct addr *a);
bool cidr_list_contains(const struct cidr *list, size_t count, const struct addr *a);

#endif
