/* net/resolver: any bytes as the answer of a DNS server; the first says what was asked for.
 *
 * Always: no more answers than there is room for, each whole: an address of its family, or a port and a name that ends. */
#include "net/resolver.h"

#include "must.h"

#include <string.h>

static void check(enum resolver_type type, const struct resolver_answer *a)
{
	switch (type) {
	case RESOLVER_A:
		MUST(a->addr.sa.sa_family == AF_INET && a->addr.len == sizeof(a->addr.in));
		break;
	case RESOLVER_AAAA:
		MUST(a->addr.sa.sa_family == AF_INET6 && a->addr.len == sizeof(a->addr.in6));
		break;
	case RESOLVER_SRV:
		MUST(a->port != 0 && a->target[0] != '\0' && memchr(a->target, '\0', sizeof(a->target)) != NULL);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum resolver_type type = size > 0 ? (enum resolver_type)(data[0] % 3) : RESOLVER_A;
	struct resolver_answer *answers = calloc(RESOLVER_ANSWERS_MAX, sizeof(*answers));
	size_t len = size > 0 ? size - 1 : 0, count;
	/* a copy of its own, so that a byte too far is seen */
	unsigned char *in = malloc(len > 0 ? len : 1);
	uint32_t ttl_s = 77777;

	MUST(answers != NULL && in != NULL);
	if (len > 0)
		memcpy(in, data + 1, len);
	count = resolver_parse(type, in, (int)(len < 65535 ? len : 65535), answers, &ttl_s);
	MUST(count <= RESOLVER_ANSWERS_MAX && ttl_s <= 77777);
	for (size_t i = 0; i < count; i++)
		check(type, &answers[i]);
	free(in);
	free(answers);
	return 0;
}
