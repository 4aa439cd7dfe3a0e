/* Networks: parsed, printed, searched. */
#include "config/cidr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool bytes_are_masked(const uint8_t *bytes, unsigned bits, unsigned total)
{
	for (unsigned i = bits; i < total; i++)
		if (bytes[i / 8] & (0x80 >> (i % 8)))
			return false;
	return true;
}

static int prefix_parse(const char *text, unsigned max, unsigned *out)
{
	unsigned value = 0;
	size_t len = strlen(text);

	if (len == 0 || len > 3)
		return -EINVAL;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		value = value * 10 + (unsigned)(*text - '0');
	}
	if (value > max)
		return -EINVAL;
	*out = value;
	return 0;
}

int cidr_parse(struct cidr *out, const char *text)
{
	const char *slash = strchr(text, '/');
	size_t len = slash == NULL ? strlen(text) : (size_t)(slash - text);
	struct cidr c = { 0 };
	char host[INET6_ADDRSTRLEN];
	unsigned bits, max;

	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if (inet_pton(AF_INET, host, c.bytes) == 1)
		c.family = AF_INET;
	else if (inet_pton(AF_INET6, host, c.bytes) == 1)
		c.family = AF_INET6;
	else
		return -EINVAL;
	max = bits = c.family == AF_INET ? 32 : 128;
	if (slash != NULL && prefix_parse(slash + 1, max, &bits) != 0)
		return -EINVAL;
	if (!bytes_are_masked(c.bytes, bits, max))
		return -ERANGE;
	if (c.family == AF_INET6 && bits >= 96 &&
	    memcmp(c.bytes, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		memmove(c.bytes, c.bytes + 12, 4);
		memset(c.bytes + 4, 0, 12);
		c.family = AF_INET;
		bits -= 96;
	}
	c.bits = (uint8_t)bits;
	*out = c;
	return 0;
}

size_t cidr_print(const struct cidr *c, char out[CIDR_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN];
	int len;

	if (inet_ntop(c->family, c->bytes, host, sizeof(host)) == NULL)
		host[0] = '\0';
	len = snprintf(out, CIDR_TEXT_MAX, "%s/%u", host, (unsigned)c->bits);
	return len < 0 ? 0 : (size_t)len;
}

bool cidr_contains(const struct cidr *c, const struct addr *a)
{
	const uint8_t *bytes;
	uint8_t family;
	unsigned whole = c->bits / 8, rest = c->bits % 8;

	if (a->len == 0)
		return false;
	if (a->sa.sa_family == AF_INET) {
		bytes = (const uint8_t *)&a->in.sin_addr;
		family = AF_INET;
	} else if (a->sa.sa_family == AF_INET6) {
		bytes = a->in6.sin6_addr.s6_addr;
		family = AF_INET6;
		if (memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0) {
			bytes += 12;
			family = AF_INET;
		}
	} else {
		return false;
	}
	if (family != c->family || memcmp(bytes, c->bytes, whole) != 0)
		return false;
	return rest == 0 || ((bytes[whole] ^ c->bytes[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

bool cidr_list_contains(const struct cidr *list, size_t count, const struct addr *a)
{
	for (size_t i = 0; i < count; i++)
		if (cidr_contains(&list[i], a))
			return true;
	return false;
}
