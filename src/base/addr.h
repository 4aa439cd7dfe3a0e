/* Socket addresses: IPv4, IPv6 and UNIX, parsed, printed, compared, hashed.
 *
 * `struct addr` is a flat value.  Text forms: "10.0.0.1:80", "[::1]:80", "unix:/run/x.sock"; "*:80" is "[::]:80",
 * "unix:@name" the abstract socket. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ADDR_TEXT_MAX 128 /* bytes, with the NUL; the longest is unix: and 107 bytes of path */

struct addr {
	socklen_t len; /* 0: no address */
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
};

/* An address and a port, or a UNIX path; no names are resolved.  0, or -EINVAL. */
int addr_parse(struct addr *out, const char *text);

/* Prints the whole address with its port ("-" where there is none); always NUL-terminated; returns the length in bytes. */
size_t addr_print(const struct addr *a, char out[ADDR_TEXT_MAX]);

/* Prints the host alone, without brackets and port ("unix:" for a UNIX peer, mapped IPv4 as IPv4). */
size_t addr_print_host(const struct addr *a, char out[ADDR_TEXT_MAX]);

/* An IPv4 address that came over an IPv6 socket (::ffff:10.0.0.1, RFC 4291 2.5.5.2) becomes IPv4; others stay. */
void addr_unmap(struct addr *a);

/* The port in host order; 0 for UNIX. */
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
/* Family, host, port and zone, or the path; a mapped address is not equal to its IPv4 form: addr_unmap() first. */
bool addr_is_equal(const struct addr *a, const struct addr *b);
uint64_t addr_hash(const struct addr *a, uint64_t seed);

#endif
