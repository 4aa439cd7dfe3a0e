#include "guard/cidr_set.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

struct range {
	cidr_v6 first, last;
};

static cidr_v6 load_v6(const uint8_t bytes[16])
{
	cidr_v6 value = 0;

	for (unsigned i = 0; i < 16; i++)
		value = value << 8 | bytes[i];
	return value;
}

static struct range range_of(const struct cidr *c)
{
	unsigned total = c->family == AF_INET ? 32 : 128, host_bits = total - c->bits;
	cidr_v6 value = load_v6(c->bytes), hosts;

	if (c->family == AF_INET)
		value >>= 96;
	hosts = host_bits == 128 ? ~(cidr_v6)0 : ((cidr_v6)1 << host_bits) - 1;
	return (struct range){ value, value | hosts };
}

static int by_first(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

/* Sorts, and joins what overlaps or touches.  How many are left. */
static size_t ranges_join(struct range *r, size_t count)
{
	size_t kept = 0;

	if (count == 0)
		return 0;
	qsort(r, count, sizeof(*r), by_first);
	for (size_t i = 1; i < count; i++) {
		if (r[kept].last == ~(cidr_v6)0)
			break; /* nothing lies behind it */
		if (r[i].first > r[kept].last + 1)
			r[++kept] = r[i];
		else if (r[i].last > r[kept].last)
			r[kept].last = r[i].last;
	}
	return kept + 1;
}

static size_t ranges_gather(struct range *out, const struct cidr_list *lists, size_t count, int family)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < lists[i].count; j++)
			if (lists[i].at[j].family == family)
				out[n++] = range_of(&lists[i].at[j]);
	return ranges_join(out, n);
}

static bool v4_store(struct cidr_set *s, const struct range *r, size_t count)
{
	s->v4_first = calloc(count, 2 * sizeof(uint32_t));
	if (s->v4_first == NULL)
		return count == 0;
	s->v4_last = s->v4_first + count;
	s->v4_count = count;
	for (size_t i = 0; i < count; i++) {
		s->v4_first[i] = (uint32_t)r[i].first;
		s->v4_last[i] = (uint32_t)r[i].last;
	}
	return true;
}

static bool v6_store(struct cidr_set *s, const struct range *r, size_t count)
{
	s->v6_first = count == 0 ? NULL : aligned_alloc(16, count * 2 * sizeof(cidr_v6));
	if (s->v6_first == NULL)
		return count == 0;
	s->v6_last = s->v6_first + count;
	s->v6_count = count;
	for (size_t i = 0; i < count; i++) {
		s->v6_first[i] = r[i].first;
		s->v6_last[i] = r[i].last;
	}
	return true;
}

bool cidr_set_init(struct cidr_set *s, const struct cidr_list *lists, size_t count)
{
	struct range *ranges;
	size_t total = 0;
	bool is_good;

	*s = (struct cidr_set){ 0 };
	for (size_t i = 0; i < count; i++)
		total += lists[i].count;
	if (total == 0)
		return true;
	ranges = calloc(total, sizeof(*ranges));
	if (ranges == NULL)
		return false;
	is_good = v4_store(s, ranges, ranges_gather(ranges, lists, count, AF_INET)) &&
		  v6_store(s, ranges, ranges_gather(ranges, lists, count, AF_INET6));
	free(ranges);
	if (!is_good)
		cidr_set_done(s);
	return is_good;
}

void cidr_set_done(struct cidr_set *s)
{
	free(s->v4_first);
	free(s->v6_first);
	*s = (struct cidr_set){ 0 };
}

static bool v4_has(const struct cidr_set *s, uint32_t ip)
{
	const uint32_t *at = s->v4_first;
	size_t left = s->v4_count;

	if (left == 0 || ip < *at)
		return false;
	while (left > 1) {
		size_t half = left / 2;

		at += at[half] <= ip ? half : 0;
		left -= half;
	}
	return ip <= s->v4_last[at - s->v4_first];
}

static bool v6_has(const struct cidr_set *s, cidr_v6 ip)
{
	const cidr_v6 *at = s->v6_first;
	size_t left = s->v6_count;

	if (left == 0 || ip < *at)
		return false;
	while (left > 1) {
		size_t half = left / 2;

		at += at[half] <= ip ? half : 0;
		left -= half;
	}
	return ip <= s->v6_last[at - s->v6_first];
}

bool cidr_set_has(const struct cidr_set *s, const struct addr *a)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	const uint8_t *bytes;
	uint64_t high, low;

	if (a->len == 0)
		return false;
	if (a->sa.sa_family == AF_INET)
		return v4_has(s, ntohl(a->in.sin_addr.s_addr));
	if (a->sa.sa_family != AF_INET6)
		return false;
	bytes = a->in6.sin6_addr.s6_addr;
	memcpy(&high, bytes, 8);
	memcpy(&low, bytes + 8, 8);
	if (memcmp(bytes, mapped, sizeof(mapped)) == 0)
		return v4_has(s, (uint32_t)be64toh(low));
	return v6_has(s, (cidr_v6)be64toh(high) << 64 | be64toh(low));
}
