#include "cluster/resolve.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>

static uint32_t answers_copy(const struct addrinfo *answers, uint16_t port, struct addr *addrs)
{
	uint32_t count = 0;

	for (const struct addrinfo *a = answers; a != NULL && count < RESOLVE_MAX_ADDRS; a = a->ai_next) {
		struct addr *to = &addrs[count];

		if ((a->ai_family != AF_INET && a->ai_family != AF_INET6) || a->ai_addrlen > sizeof(to->in6))
			continue;
		to->len = a->ai_addrlen;
		memcpy(&to->sa, a->ai_addr, a->ai_addrlen);
		addr_set_port(to, port);
		count++;
	}
	return count;
}

uint32_t resolve_host(const char *host, uint16_t port, struct addr **out, const char **error)
{
	/* no AI_ADDRCONFIG: it would hide ::1 and 127.0.0.1 on a machine that has no other address of that family */
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *answers = NULL;
	struct addr *addrs;
	uint32_t count;
	int err = getaddrinfo(host, NULL, &hints, &answers);

	if (err != 0) {
		*error = gai_strerror(err);
		return 0;
	}
	addrs = calloc(RESOLVE_MAX_ADDRS, sizeof(*addrs));
	count = addrs == NULL ? 0 : answers_copy(answers, port, addrs);
	freeaddrinfo(answers);
	if (count == 0) {
		*error = addrs == NULL ? "out of memory" : "no address";
		free(addrs);
		return 0;
	}
	*out = addrs;
	return count;
}
