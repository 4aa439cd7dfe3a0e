/* The PROXY protocol, versions 1 and 2 (haproxy.org, "The PROXY protocol", sections 2.1 and 2.2). */
#include "wire/proxy_protocol.h"

#include "wire/chars.h"

#include <string.h>

static const uint8_t v1_signature[6] = { 'P', 'R', 'O', 'X', 'Y', ' ' };
static const uint8_t v2_signature[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
					  0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };

enum { UNIQUE_ID_MAX = 128, SSL_PREFIX_LEN = 5, TLV_PREFIX_LEN = 3 };

static uint16_t be16_get(const uint8_t *in)
{
	return (uint16_t)(in[0] << 8 | in[1]);
}

static uint32_t be32_get(const uint8_t *in)
{
	return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

static void be16_put(uint8_t *out, size_t value)
{
	out[0] = (uint8_t)(value >> 8);
	out[1] = (uint8_t)value;
}

static void be32_put(uint8_t *out, uint32_t value)
{
	be16_put(out, value >> 16);
	be16_put(out + 2, value & 0xffff);
}

/* ---- addresses as text (version 1) ---- */

/* A decimal number without leading zeros; false if it is none or over `max`. */
static bool number_parse(const char *in, size_t len, unsigned max, unsigned *out)
{
	unsigned value = 0;

	if (len == 0 || len > 5 || (len > 1 && in[0] == '0'))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (in[i] < '0' || in[i] > '9')
			return false;
		value = value * 10 + (unsigned)(in[i] - '0');
	}
	*out = value;
	return value <= max;
}

static bool ipv4_parse(const char *in, size_t len, uint8_t out[4])
{
	for (unsigned i = 0; i < 4; i++) {
		const char *dot = i < 3 ? memchr(in, '.', len) : in + len;
		unsigned value;

		if (dot == NULL || !number_parse(in, (size_t)(dot - in), 255, &value))
			return false;
		out[i] = (uint8_t)value;
		if (i < 3) {
			len -= (size_t)(dot + 1 - in);
			in = dot + 1;
		}
	}
	return true;
}

/* RFC 4291 2.2: groups of up to four digits, one "::", and at the end perhaps an IPv4 address. */
static bool ipv6_parse(const char *in, size_t len, uint8_t out[16])
{
	const char *end = in + len;
	uint8_t bytes[16];
	size_t count = 0, gap = SIZE_MAX;

	if (len >= 2 && in[0] == ':' && in[1] == ':') {
		gap = 0;
		in += 2;
	}
	while (in < end && count < sizeof(bytes)) {
		const char *colon = memchr(in, ':', (size_t)(end - in));
		const char *stop = colon != NULL ? colon : end;
		unsigned value = 0;

		if (colon == NULL && memchr(in, '.', (size_t)(end - in)) != NULL) {
			if (count > 12 || !ipv4_parse(in, (size_t)(end - in), bytes + count))
				return false;
			count += 4;
			in = end;
			break;
		}
		if (stop == in || stop - in > 4)
			return false;
		for (; in < stop; in++) {
			int digit = char_hex((uint8_t)*in);

			if (digit < 0)
				return false;
			value = value << 4 | (unsigned)digit;
		}
		be16_put(bytes + count, value);
		count += 2;
		if (colon == NULL)
			break;
		in++;
		if (in == end)
			return false;
		if (*in == ':') {
			if (gap != SIZE_MAX)
				return false;
			gap = count;
			in++;
		}
	}
	if (in != end || (gap == SIZE_MAX ? count != sizeof(bytes) : count >= sizeof(bytes)))
		return false;
	if (gap != SIZE_MAX) {
		size_t tail = count - gap;

		memmove(bytes + sizeof(bytes) - tail, bytes + gap, tail);
		memset(bytes + gap, 0, sizeof(bytes) - count);
	}
	memcpy(out, bytes, sizeof(bytes));
	return true;
}

static size_t number_print(unsigned value, char *out)
{
	char digits[5];
	size_t count = 0;

	do {
		digits[count++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	for (size_t i = 0; i < count; i++)
		out[i] = digits[count - 1 - i];
	return count;
}

/* At most 39 bytes.  Nothing is shortened by "::": one form less to get wrong. */
static size_t ip_print(unsigned family, const uint8_t *ip, char *out)
{
	static const char digits[16] = { "0123456789abcdef" };
	size_t at = 0;

	if (family == PP_FAMILY_INET) {
		for (unsigned i = 0; i < 4; i++) {
			if (i > 0)
				out[at++] = '.';
			at += number_print(ip[i], out + at);
		}
		return at;
	}
	for (unsigned i = 0; i < 8; i++) {
		unsigned group = be16_get(ip + (size_t)2 * i);

		if (i > 0)
			out[at++] = ':';
		if (group >> 12)
			out[at++] = digits[group >> 12];
		if (group >> 8)
			out[at++] = digits[group >> 8 & 15];
		if (group >> 4)
			out[at++] = digits[group >> 4 & 15];
		out[at++] = digits[group & 15];
	}
	return at;
}

/* ---- CRC32C ---- */

static uint32_t crc32c_add(uint32_t crc, const uint8_t *in, size_t len)
{
	/* Four bits at a time, polynomial 0x82f63b78: a header is short. */
	static const uint32_t table[16] = { 0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
					    0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
					    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
					    0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75 };

	for (size_t i = 0; i < len; i++) {
		crc ^= in[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return crc;
}

/* Over a whole header, with the four bytes at `field` read as zero. */
static uint32_t crc32c_of(const uint8_t *in, size_t len, size_t field)
{
	static const uint8_t zero[4];
	uint32_t crc = crc32c_add(UINT32_MAX, in, field);

	crc = crc32c_add(crc, zero, sizeof(zero));
	return ~crc32c_add(crc, in + field + 4, len - field - 4);
}

/* ---- TLVs ---- */

int pp_tlv_next(const uint8_t **tlvs, size_t *len, struct pp_tlv *out)
{
	const uint8_t *at = *tlvs;
	size_t value_len;

	if (*len == 0)
		return 0;
	if (*len < TLV_PREFIX_LEN)
		return -PP_ERR_TLV;
	value_len = be16_get(at + 1);
	if (value_len > *len - TLV_PREFIX_LEN)
		return -PP_ERR_TLV;
	*out = (struct pp_tlv){ .type = at[0], .len = (uint16_t)value_len, .value = at + TLV_PREFIX_LEN };
	*tlvs = at + TLV_PREFIX_LEN + value_len;
	*len -= TLV_PREFIX_LEN + value_len;
	return 1;
}

int pp_tlv_find(const uint8_t *tlvs, size_t len, uint8_t type, struct pp_tlv *out)
{
	struct pp_tlv tlv;

	while (pp_tlv_next(&tlvs, &len, &tlv) == 1) {
		if (tlv.type == type) {
			*out = tlv;
			return 1;
		}
	}
	return 0;
}

static bool tlvs_are_whole(const uint8_t *tlvs, size_t len)
{
	struct pp_tlv tlv;
	int got;

	do {
		got = pp_tlv_next(&tlvs, &len, &tlv);
	} while (got == 1);
	return got == 0;
}

int pp_ssl_parse(const struct pp_tlv *tlv, struct pp_ssl *out)
{
	if (tlv->len < SSL_PREFIX_LEN ||
	    !tlvs_are_whole(tlv->value + SSL_PREFIX_LEN, tlv->len - (size_t)SSL_PREFIX_LEN))
		return -PP_ERR_TLV;
	out->client = tlv->value[0];
	out->verify = be32_get(tlv->value + 1);
	out->tlvs = tlv->value + SSL_PREFIX_LEN;
	out->tlvs_len = tlv->len - (size_t)SSL_PREFIX_LEN;
	return 0;
}

/* All of them: bounds, known types, the checksum. */
static int tlvs_check(const uint8_t *in, size_t header_len, const uint8_t *tlvs, size_t tlvs_len)
{
	bool has_crc = false;
	struct pp_tlv tlv;
	struct pp_ssl ssl;
	int got;

	while ((got = pp_tlv_next(&tlvs, &tlvs_len, &tlv)) == 1) {
		if (tlv.type == PP_TLV_SSL && pp_ssl_parse(&tlv, &ssl) < 0)
			return -PP_ERR_TLV;
		if (tlv.type == PP_TLV_UNIQUE_ID && tlv.len > UNIQUE_ID_MAX)
			return -PP_ERR_TLV;
		if (tlv.type != PP_TLV_CRC32C)
			continue;
		if (has_crc || tlv.len != 4)
			return -PP_ERR_TLV;
		has_crc = true;
		if (crc32c_of(in, header_len, (size_t)(tlv.value - in)) != be32_get(tlv.value))
			return -PP_ERR_CRC;
	}
	return got;
}

/* ---- reading ---- */

/* The next field of a version 1 line, up to a space or the end. */
static bool field_next(const char **line, size_t *len, const char **field, size_t *field_len)
{
	const char *space = memchr(*line, ' ', *len);

	*field = *line;
	*field_len = space != NULL ? (size_t)(space - *line) : *len;
	*line += *field_len + (space != NULL);
	*len -= *field_len + (space != NULL);
	/* Nothing may follow the last field, not even a space. */
	return *field_len > 0 && (space == NULL || *len > 0);
}

static int v1_fields_parse(const char *line, size_t len, struct pp_header *h)
{
	bool (*ip_parse)(const char *, size_t, uint8_t *);
	const char *field[5];
	size_t field_len[5];
	unsigned port[2];

	if (len >= 7 && memcmp(line, "UNKNOWN", 7) == 0 && (len == 7 || line[7] == ' ')) {
		h->is_local = true; /* whatever else the line says (2.1) */
		return 0;
	}
	for (unsigned i = 0; i < 5; i++) {
		if (!field_next(&line, &len, &field[i], &field_len[i]))
			return -PP_ERR_SYNTAX;
	}
	if (len > 0 || field_len[0] != 4 || memcmp(field[0], "TCP", 3) != 0)
		return -PP_ERR_SYNTAX;
	if (field[0][3] == '4') {
		h->family = PP_FAMILY_INET;
		ip_parse = ipv4_parse;
	} else if (field[0][3] == '6') {
		h->family = PP_FAMILY_INET6;
		ip_parse = ipv6_parse;
	} else {
		return -PP_ERR_SYNTAX;
	}
	h->transport = PP_TRANSPORT_STREAM;
	if (!ip_parse(field[1], field_len[1], h->src_ip) || !ip_parse(field[2], field_len[2], h->dst_ip) ||
	    !number_parse(field[3], field_len[3], UINT16_MAX, &port[0]) ||
	    !number_parse(field[4], field_len[4], UINT16_MAX, &port[1]))
		return -PP_ERR_ADDRESS;
	h->src_port = (uint16_t)port[0];
	h->dst_port = (uint16_t)port[1];
	return 0;
}

static int v1_parse(const uint8_t *in, size_t len, struct pp_header *out)
{
	const uint8_t *lf = memchr(in, '\n', len < PP_V1_MAX ? len : PP_V1_MAX);
	struct pp_header h = { .version = 1 };
	size_t line_len;
	int error;

	if (lf == NULL)
		return len < PP_V1_MAX ? 0 : -PP_ERR_TOO_LONG;
	line_len = (size_t)(lf - in);
	if (in[line_len - 1] != '\r')
		return -PP_ERR_SYNTAX;
	error = v1_fields_parse((const char *)in + sizeof(v1_signature), line_len - 1 - sizeof(v1_signature),
				&h);
	if (error < 0)
		return error;
	*out = h;
	return (int)line_len + 1;
}

/* Bytes of an address block. */
static size_t addresses_len(unsigned family)
{
	static const size_t sizes[] = { [PP_FAMILY_NONE] = 0,
					[PP_FAMILY_INET] = 12,
					[PP_FAMILY_INET6] = 36,
					[PP_FAMILY_UNIX] = (size_t)2 * PP_UNIX_PATH_LEN };
	return sizes[family];
}

static void v2_addresses_get(const uint8_t *in, struct pp_header *h)
{
	size_t ip_len = h->family == PP_FAMILY_INET ? 4 : 16;

	if (h->family == PP_FAMILY_UNIX) {
		h->src_path = in;
		h->dst_path = in + PP_UNIX_PATH_LEN;
		return;
	}
	memcpy(h->src_ip, in, ip_len);
	memcpy(h->dst_ip, in + ip_len, ip_len);
	h->src_port = be16_get(in + 2 * ip_len);
	h->dst_port = be16_get(in + 2 * ip_len + 2);
}

static int v2_parse(const uint8_t *in, size_t len, size_t max_len, struct pp_header *out)
{
	struct pp_header h = { .version = 2 };
	size_t size, skip;
	unsigned family, transport;
	int error;

	if (len > 12 && in[12] != 0x20 && in[12] != 0x21)
		return -PP_ERR_VERSION;
	if (len < PP_V2_PREFIX_LEN)
		return 0;
	family = in[13] >> 4;
	transport = in[13] & 15;
	if (family > PP_FAMILY_UNIX || transport > PP_TRANSPORT_DGRAM)
		return -PP_ERR_ADDRESS;
	size = PP_V2_PREFIX_LEN + (size_t)be16_get(in + 14);
	if (size > max_len)
		return -PP_ERR_TOO_LONG;
	/* LOCAL, or nothing said: what follows is skipped (2.2). */
	h.is_local = in[12] == 0x20 || family == PP_FAMILY_NONE || transport == PP_TRANSPORT_NONE;
	skip = PP_V2_PREFIX_LEN + addresses_len(family);
	if (!h.is_local && size < skip)
		return -PP_ERR_ADDRESS;
	if (len < size)
		return 0;
	if (!h.is_local) {
		h.family = (uint8_t)family;
		h.transport = (uint8_t)transport;
		h.tlvs = in + skip;
		h.tlvs_len = size - skip;
		v2_addresses_get(in + PP_V2_PREFIX_LEN, &h);
		error = tlvs_check(in, size, h.tlvs, h.tlvs_len);
		if (error < 0)
			return error;
	}
	*out = h;
	return (int)size;
}

/* Do the bytes at hand agree with the signature? */
static bool begins(const uint8_t *in, size_t len, const uint8_t *signature, size_t signature_len)
{
	return memcmp(in, signature, len < signature_len ? len : signature_len) == 0;
}

int pp_parse(const uint8_t *in, size_t len, size_t max_len, struct pp_header *out)
{
	if (len == 0)
		return 0;
	if (begins(in, len, v2_signature, sizeof(v2_signature)))
		return v2_parse(in, len, max_len, out);
	if (begins(in, len, v1_signature, sizeof(v1_signature)))
		return len < sizeof(v1_signature) ? 0 : v1_parse(in, len, out);
	return -PP_ERR_SIGNATURE;
}

/* ---- writing ---- */

static size_t text_put(char *out, const char *text)
{
	size_t len = strlen(text);

	memcpy(out, text, len);
	return len;
}

int pp_write_v1(uint8_t *out, size_t cap, const struct pp_header *h)
{
	char line[PP_V1_MAX];
	size_t len = text_put(line, "PROXY ");
	bool is_ip = h->family == PP_FAMILY_INET || h->family == PP_FAMILY_INET6;

	if (h->is_local || !is_ip || h->transport != PP_TRANSPORT_STREAM) {
		len += text_put(line + len, "UNKNOWN");
	} else {
		len += text_put(line + len, h->family == PP_FAMILY_INET ? "TCP4 " : "TCP6 ");
		len += ip_print(h->family, h->src_ip, line + len);
		line[len++] = ' ';
		len += ip_print(h->family, h->dst_ip, line + len);
		line[len++] = ' ';
		len += number_print(h->src_port, line + len);
		line[len++] = ' ';
		len += number_print(h->dst_port, line + len);
	}
	len += text_put(line + len, "\r\n");
	if (len > cap)
		return -1;
	memcpy(out, line, len);
	return (int)len;
}

/* Appends TLVs at out + at; the new end, or 0 where they would not fit. */
static size_t tlvs_put(uint8_t *out, size_t cap, size_t at, const struct pp_tlv *tlvs, size_t tlv_count)
{
	for (size_t i = 0; i < tlv_count; i++) {
		if (cap - at < TLV_PREFIX_LEN + (size_t)tlvs[i].len)
			return 0;
		out[at] = tlvs[i].type;
		be16_put(out + at + 1, tlvs[i].len);
		if (tlvs[i].len > 0)
			memcpy(out + at + TLV_PREFIX_LEN, tlvs[i].value, tlvs[i].len);
		at += TLV_PREFIX_LEN + (size_t)tlvs[i].len;
	}
	return at;
}

static void v2_addresses_put(uint8_t *out, const struct pp_header *h)
{
	size_t ip_len = h->family == PP_FAMILY_INET ? 4 : 16;

	if (h->family == PP_FAMILY_UNIX) {
		memset(out, 0, (size_t)2 * PP_UNIX_PATH_LEN);
		if (h->src_path != NULL)
			memcpy(out, h->src_path, PP_UNIX_PATH_LEN);
		if (h->dst_path != NULL)
			memcpy(out + PP_UNIX_PATH_LEN, h->dst_path, PP_UNIX_PATH_LEN);
		return;
	}
	memcpy(out, h->src_ip, ip_len);
	memcpy(out + ip_len, h->dst_ip, ip_len);
	be16_put(out + 2 * ip_len, h->src_port);
	be16_put(out + 2 * ip_len + 2, h->dst_port);
}

int pp_write_v2(uint8_t *out, size_t cap, const struct pp_header *h, const struct pp_tlv *tlvs,
		size_t tlv_count, bool has_crc)
{
	bool is_bare = h->is_local || h->family == PP_FAMILY_NONE || h->transport == PP_TRANSPORT_NONE;
	size_t at = PP_V2_PREFIX_LEN, crc_at = 0;

	if (h->family > PP_FAMILY_UNIX || h->transport > PP_TRANSPORT_DGRAM)
		return -1;
	if (!is_bare)
		at += addresses_len(h->family);
	if (cap < at)
		return -1;
	memcpy(out, v2_signature, sizeof(v2_signature));
	out[12] = h->is_local ? 0x20 : 0x21;
	out[13] = (uint8_t)(is_bare ? 0 : h->family << 4 | h->transport);
	if (!is_bare) {
		v2_addresses_put(out + PP_V2_PREFIX_LEN, h);
		at = tlvs_put(out, cap, at, tlvs, tlv_count);
		if (at == 0)
			return -1;
		if (has_crc) {
			const uint8_t zero[4] = { 0 };
			const struct pp_tlv crc = { .type = PP_TLV_CRC32C, .len = 4, .value = zero };

			crc_at = at + TLV_PREFIX_LEN;
			at = tlvs_put(out, cap, at, &crc, 1);
			if (at == 0)
				return -1;
		}
	}
	if (at > PP_V2_MAX)
		return -1;
	be16_put(out + 14, at - PP_V2_PREFIX_LEN);
	if (crc_at > 0)
		be32_put(out + crc_at, crc32c_of(out, at, crc_at));
	return (int)at;
}

int pp_ssl_write(uint8_t *out, size_t cap, uint8_t client, uint32_t verify, const struct pp_tlv *tlvs,
		 size_t tlv_count)
{
	size_t at;

	if (cap < SSL_PREFIX_LEN)
		return -1;
	out[0] = client;
	be32_put(out + 1, verify);
	at = tlvs_put(out, cap, SSL_PREFIX_LEN, tlvs, tlv_count);
	return at == 0 || at > UINT16_MAX ? -1 : (int)at;
}

const char *pp_error_text(int error)
{
	static const char *const texts[PP_ERR_COUNT] = {
		[PP_OK] = "no error",
		[PP_ERR_SIGNATURE] = "no PROXY protocol header",
		[PP_ERR_SYNTAX] = "malformed PROXY line",
		[PP_ERR_VERSION] = "unknown version or command in the PROXY header",
		[PP_ERR_ADDRESS] = "bad address in the PROXY header",
		[PP_ERR_TOO_LONG] = "PROXY header over its bound",
		[PP_ERR_TLV] = "malformed TLV in the PROXY header",
		[PP_ERR_CRC] = "wrong checksum in the PROXY header",
	};
	size_t row = (size_t)(error < 0 ? -(long)error : error);

	return row < PP_ERR_COUNT ? texts[row] : "unknown error";
}
