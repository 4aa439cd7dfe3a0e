/* wire/proxy_protocol: the bytes are the start of a connection.
 *
 * Always: cut anywhere, the same result; what lies behind the header does not matter; a header written again,
 * in both versions, says what was read. */
#include "wire/proxy_protocol.h"

#include "must.h"

#include <string.h>

static int parse_grown(const uint8_t *in, size_t len, size_t max_len, struct pp_header *out)
{
	int got = 0;

	for (size_t n = 0; n <= len && got == 0; n++)
		got = pp_parse(in, n, max_len, out);
	return got;
}

static void addresses_compare(const struct pp_header *a, const struct pp_header *b)
{
	size_t ip_len = a->family == PP_FAMILY_INET ? 4 : 16;

	MUST(a->family == b->family && a->transport == b->transport && a->is_local == b->is_local);
	if (a->is_local)
		return;
	if (a->family == PP_FAMILY_UNIX) {
		MUST(memcmp(a->src_path, b->src_path, PP_UNIX_PATH_LEN) == 0);
		MUST(memcmp(a->dst_path, b->dst_path, PP_UNIX_PATH_LEN) == 0);
		return;
	}
	MUST(memcmp(a->src_ip, b->src_ip, ip_len) == 0 && memcmp(a->dst_ip, b->dst_ip, ip_len) == 0);
	MUST(a->src_port == b->src_port && a->dst_port == b->dst_port);
}

static void tlvs_walk(const uint8_t *tlvs, size_t len, const uint8_t *end)
{
	struct pp_tlv tlv;
	struct pp_ssl ssl;
	int got;

	while ((got = pp_tlv_next(&tlvs, &len, &tlv)) == 1) {
		MUST(tlv.value + tlv.len <= end);
		if (tlv.type == PP_TLV_SSL && pp_ssl_parse(&tlv, &ssl) == 0)
			MUST(ssl.tlvs + ssl.tlvs_len == tlv.value + tlv.len);
	}
	MUST(got == 0);
}

static void write_again(const struct pp_header *h)
{
	uint8_t out[1024], line[PP_V1_MAX];
	const struct pp_tlv tlv = { PP_TLV_ALPN, 2, (const uint8_t *)"h2" };
	struct pp_header again;
	int len = pp_write_v2(out, sizeof(out), h, &tlv, 1, true);

	MUST(len >= PP_V2_PREFIX_LEN);
	MUST(pp_parse(out, (size_t)len, PP_V2_MAX, &again) == len);
	addresses_compare(h, &again);
	len = pp_write_v1(line, sizeof(line), h);
	MUST(len > 0);
	MUST(pp_parse(line, (size_t)len, 0, &again) == len);
	if (!again.is_local)
		addresses_compare(h, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pp_header h, grown;
	size_t max_len;
	int got;

	if (size < 1)
		return 0;
	max_len = 16 + (size_t)data[0] * 4;
	data++;
	size--;
	got = pp_parse(data, size, max_len, &h);
	MUST(got <= (int)size && got > -PP_ERR_COUNT);
	MUST(parse_grown(data, size, max_len, &grown) == got);
	if (got <= 0)
		return 0;
	MUST(pp_parse(data, (size_t)got, max_len, &grown) == got);
	MUST(h.version == 1 ? got <= PP_V1_MAX : (size_t)got <= max_len);
	addresses_compare(&h, &grown);
	tlvs_walk(h.tlvs, h.tlvs_len, data + got);
	write_again(&h);
	return 0;
}
