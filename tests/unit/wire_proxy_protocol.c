/* wire/proxy_protocol: both versions, byte by byte, and what is written read again. */
#include "wire/proxy_protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define LINE_107                                                                                         \
	"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff " \
	"65535 65535\r\n"

/* Feeds one byte more each time, in blocks that end where the input ends, until there is a result. */
static int parse_byte_by_byte(const uint8_t *in, size_t len, size_t max_len, struct pp_header *out)
{
	static uint8_t *block;
	int got = 0;

	for (size_t n = 0; n <= len && got == 0; n++) {
		free(block);
		block = malloc(n > 0 ? n : 1); /* kept for `out` until the next call */
		assert_non_null(block);
		if (n > 0)
			memcpy(block, in, n);
		got = pp_parse(block, n, max_len, out);
	}
	if (len == 0) {
		free(block);
		block = NULL;
	}
	return got;
}

/* clang-format off */
static const struct {
	const char *line;
	int want; /* 0: the whole line */
	uint8_t family;
} lines[] = {
	{ "PROXY TCP4 192.168.0.1 10.0.0.255 56324 443\r\n", 0, PP_FAMILY_INET },
	{ "PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", 0, PP_FAMILY_INET },
	{ "PROXY TCP6 2001:db8::1 ::1 1 2\r\n", 0, PP_FAMILY_INET6 },
	{ "PROXY TCP6 :: 1:2:3:4:5:6:7:8 1 2\r\n", 0, PP_FAMILY_INET6 },
	{ "PROXY TCP6 1:2:3:4:5:6:7:: ::ffff:1.2.3.4 1 2\r\n", 0, PP_FAMILY_INET6 },
	{ "PROXY TCP6 fe80::ABCD:0 1:2:3:4:5:6:1.2.3.4 1 2\r\n", 0, PP_FAMILY_INET6 },
	{ "PROXY UNKNOWN\r\n", 0, PP_FAMILY_NONE },
	{ "PROXY UNKNOWN \r\n", 0, PP_FAMILY_NONE },
	{ LINE_107, 0, PP_FAMILY_NONE },
	{ "PROXY UNKNOWNS\r\n", -PP_ERR_SYNTAX, 0 },
	{ "PROXY \r\n", -PP_ERR_SYNTAX, 0 },
	{ "PROXY \n", -PP_ERR_SYNTAX, 0 },
	{ "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", -PP_ERR_SYNTAX, 0 },
	{ "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", -PP_ERR_SYNTAX, 0 },
	{ "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", -PP_ERR_SYNTAX, 0 },
	{ "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", -PP_ERR_SYNTAX, 0 },
	{ "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", -PP_ERR_SYNTAX, 0 },
	{ "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", -PP_ERR_SYNTAX, 0 },
	{ "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", -PP_ERR_SYNTAX, 0 },
	{ "PROXY TCP4 ::1 1.2.3.4 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP6 1.2.3.4 ::1 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP4 1.2.3.4.5 1.2.3.4 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP4 1.2..4 1.2.3.4 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP4 1.2.3.4 1.2.3.4 1 02\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP4 1.2.3.4 1.2.3.4 1 -2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP6 :::1 ::1 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP6 1::2::3 ::1 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP6 1:2:3:4:5:6:7:8:: ::1 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP6 1:2:3:4:5:6:7: ::1 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP6 :1:2:3:4:5:6:7 ::1 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP6 12345::1 ::1 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP6 g::1 ::1 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP6 1:2:3:4:5:6:7:1.2.3.4 ::1 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", -PP_ERR_ADDRESS, 0 },
	{ "GET / HTTP/1.1\r\n", -PP_ERR_SIGNATURE, 0 },
	{ "PROXX", -PP_ERR_SIGNATURE, 0 },
	{ "\r\n\r\nX", -PP_ERR_SIGNATURE, 0 },
	{ "x" LINE_107, -PP_ERR_SIGNATURE, 0 },
};
/* clang-format on */

static void line_is_the_same_however_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		const uint8_t *in = (const uint8_t *)lines[i].line;
		size_t len = strlen(lines[i].line);
		int want = lines[i].want == 0 ? (int)len : lines[i].want;
		struct pp_header h, whole;
		int got = parse_byte_by_byte(in, len, PP_V2_MAX, &h);

		if (got != want)
			fail_msg("%s: %d, want %d", lines[i].line, got, want);
		assert_int_equal(pp_parse(in, len, PP_V2_MAX, &whole), want);
		if (got <= 0)
			continue;
		assert_memory_equal(&h, &whole, sizeof(h));
		assert_int_equal(h.version, 1);
		assert_int_equal(h.family, lines[i].family);
		assert_int_equal(h.is_local, h.family == PP_FAMILY_NONE);
	}
	parse_byte_by_byte(NULL, 0, 0, &(struct pp_header){ 0 });
}

static void line_gives_its_addresses(void **state)
{
	struct pp_header h;

	(void)state;
	assert_true(pp_parse((const uint8_t *)lines[0].line, strlen(lines[0].line), 0, &h) > 0);
	assert_memory_equal(h.src_ip, "\xc0\xa8\0\1", 4);
	assert_memory_equal(h.dst_ip, "\x0a\0\0\xff", 4);
	assert_int_equal(h.src_port, 56324);
	assert_int_equal(h.dst_port, 443);
	assert_int_equal(h.transport, PP_TRANSPORT_STREAM);
	assert_true(pp_parse((const uint8_t *)lines[4].line, strlen(lines[4].line), 0, &h) > 0);
	assert_memory_equal(h.src_ip, "\0\1\0\2\0\3\0\4\0\5\0\6\0\7\0\0", 16);
	assert_memory_equal(h.dst_ip, "\0\0\0\0\0\0\0\0\0\0\xff\xff\1\2\3\4", 16);
	assert_true(pp_parse((const uint8_t *)lines[5].line, strlen(lines[5].line), 0, &h) > 0);
	assert_memory_equal(h.src_ip, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\xab\xcd\0\0", 16);
}

static void line_over_107_bytes_is_refused(void **state)
{
	char line[300] = "PROXY UNKNOWN ";
	struct pp_header h;

	(void)state;
	memset(line + 14, 'x', sizeof(line) - 14);
	assert_int_equal(pp_parse((const uint8_t *)line, 106, PP_V2_MAX, &h), 0);
	assert_int_equal(pp_parse((const uint8_t *)line, 107, PP_V2_MAX, &h), -PP_ERR_TOO_LONG);
	memcpy(line + 106, "\r\n", 2);
	assert_int_equal(pp_parse((const uint8_t *)line, 108, PP_V2_MAX, &h), -PP_ERR_TOO_LONG);
	memcpy(line + 105, "\r\n", 2);
	assert_int_equal(pp_parse((const uint8_t *)line, 108, PP_V2_MAX, &h), 107);
}

#define V2(tail) SIGNATURE tail, sizeof(SIGNATURE tail) - 1
/* clang-format off */
static const struct {
	const char *name;
	const char *in;
	size_t len;
	size_t max_len;
	int want; /* 0: all of it */
	bool is_local;
	size_t tlvs_len;
} binaries[] = {
	{ "TCP over IPv4", V2("\x21\x11\0\x0c\1\2\3\4\5\6\7\10\0\x50\1\xbb"), 100, 0, false, 0 },
	{ "UDP over IPv4", V2("\x21\x12\0\x0c\1\2\3\4\5\6\7\10\0\x50\1\xbb"), 100, 0, false, 0 },
	{ "with a TLV", V2("\x21\x11\0\x11\1\2\3\4\5\6\7\10\0\x50\1\xbb\1\0\2h2"), 100, 0, false, 5 },
	{ "LOCAL", V2("\x20\0\0\0"), 100, 0, true, 0 },
	{ "LOCAL, and its rest skipped", V2("\x20\x11\0\3abc"), 100, 0, true, 0 },
	{ "PROXY of nothing", V2("\x21\0\0\3\1\0\1"), 100, 0, true, 0 },
	{ "no transport", V2("\x21\x10\0\0"), 100, 0, true, 0 },
	{ "version 1 in binary", V2("\x11\x11\0\0"), 100, -PP_ERR_VERSION, false, 0 },
	{ "another command", V2("\x22\x11\0\0"), 100, -PP_ERR_VERSION, false, 0 },
	{ "another family", V2("\x21\x41\0\0"), 100, -PP_ERR_ADDRESS, false, 0 },
	{ "another transport", V2("\x21\x13\0\0"), 100, -PP_ERR_ADDRESS, false, 0 },
	{ "addresses cut short", V2("\x21\x11\0\x0b\1\2\3\4\5\6\7\10\0\x50\1"), 100, -PP_ERR_ADDRESS, false,
	  0 },
	{ "IPv6 in the room of IPv4", V2("\x21\x21\0\x0c\1\2\3\4\5\6\7\10\0\x50\1\xbb"), 100,
	  -PP_ERR_ADDRESS, false, 0 },
	{ "over the caller's bound", V2("\x21\x11\0\x0c\1\2\3\4\5\6\7\10\0\x50\1\xbb"), 27,
	  -PP_ERR_TOO_LONG, false, 0 },
	{ "at the caller's bound", V2("\x21\x11\0\x0c\1\2\3\4\5\6\7\10\0\x50\1\xbb"), 28, 0, false, 0 },
	{ "a TLV over the end", V2("\x21\x11\0\x11\1\2\3\4\5\6\7\10\0\x50\1\xbb\1\0\3h2"), 100, -PP_ERR_TLV,
	  false, 0 },
	{ "half a TLV", V2("\x21\x11\0\x0e\1\2\3\4\5\6\7\10\0\x50\1\xbb\1\0"), 100, -PP_ERR_TLV, false, 0 },
	{ "a CRC of three bytes", V2("\x21\x11\0\x12\1\2\3\4\5\6\7\10\0\x50\1\xbb\3\0\3abc"), 100,
	  -PP_ERR_TLV, false, 0 },
	{ "a wrong CRC", V2("\x21\x11\0\x13\1\2\3\4\5\6\7\10\0\x50\1\xbb\3\0\4abcd"), 100, -PP_ERR_CRC,
	  false, 0 },
	{ "an SSL TLV too short", V2("\x21\x11\0\x13\1\2\3\4\5\6\7\10\0\x50\1\xbb\x20\0\4abcd"), 100,
	  -PP_ERR_TLV, false, 0 },
	{ "a bad TLV in it", V2("\x21\x11\0\x15\1\2\3\4\5\6\7\10\0\x50\1\xbb\x20\0\6\1\0\0\0\0x"), 100,
	  -PP_ERR_TLV, false, 0 },
};
/* clang-format on */

static void binary_is_the_same_however_it_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(binaries); i++) {
		const uint8_t *in = (const uint8_t *)binaries[i].in;
		int want = binaries[i].want == 0 ? (int)binaries[i].len : binaries[i].want;
		struct pp_header h = { 0 };
		int got = parse_byte_by_byte(in, binaries[i].len, binaries[i].max_len, &h);

		if (got != want)
			fail_msg("%s: %d, want %d", binaries[i].name, got, want);
		assert_int_equal(pp_parse(in, binaries[i].len, binaries[i].max_len, &h), want);
		if (got <= 0)
			continue;
		assert_int_equal(h.version, 2);
		assert_int_equal(h.is_local, binaries[i].is_local);
		assert_int_equal(h.tlvs_len, binaries[i].tlvs_len);
		if (h.is_local)
			continue;
		assert_memory_equal(h.src_ip, "\1\2\3\4", 4);
		assert_memory_equal(h.dst_ip, "\5\6\7\10", 4);
		assert_int_equal(h.src_port, 80);
		assert_int_equal(h.dst_port, 443);
	}
	parse_byte_by_byte(NULL, 0, 0, &(struct pp_header){ 0 });
}

static void checksum_is_crc32c_over_the_whole(void **state)
{
	/* Computed apart from this code, with the CRC32C of RFC 3720 B.4. */
	static const char in[] = SIGNATURE "\x21\x11\0\x13\1\2\3\4\5\6\7\10\0\x50\1\xbb\3\0\4"
					   "\x5c\x04\x43\xc9";
	uint8_t bent[sizeof(in) - 1];
	struct pp_header h;

	(void)state;
	assert_int_equal(pp_parse((const uint8_t *)in, sizeof(in) - 1, 100, &h), sizeof(in) - 1);
	for (size_t i = 16; i < sizeof(bent); i++) {
		memcpy(bent, in, sizeof(bent));
		bent[i] ^= 0x10;
		assert_true(pp_parse(bent, sizeof(bent), 100, &h) <= 0 || i == 28); /* 28: the TLV's type */
	}
}

static void header_written_is_the_one_parsed(void **state)
{
	static const uint8_t path[2][PP_UNIX_PATH_LEN] = { "/run/a", "/run/b" };
	static const struct pp_tlv ssl_tlvs[] = { { PP_TLV_SSL_VERSION, 7, (const uint8_t *)"TLSv1.3" },
						  { PP_TLV_SSL_CN, 2, (const uint8_t *)"me" } };
	uint8_t ssl[64], out[600];
	int ssl_len = pp_ssl_write(ssl, sizeof(ssl), PP_SSL_CLIENT_SSL, 7, ssl_tlvs, 2);
	struct pp_tlv tlvs[] = { { PP_TLV_ALPN, 2, (const uint8_t *)"h2" },
				 { PP_TLV_AUTHORITY, 11, (const uint8_t *)"example.com" },
				 { PP_TLV_SSL, (uint16_t)ssl_len, ssl } };

	(void)state;
	assert_int_equal(ssl_len, 5 + 10 + 5);
	assert_int_equal(pp_ssl_write(out, 19, 0, 0, ssl_tlvs, 2), -1);
	for (uint8_t family = PP_FAMILY_NONE; family <= PP_FAMILY_UNIX; family++) {
		for (int crc = 0; crc < 2; crc++) {
			struct pp_header h = { .family = family,
					       .transport = PP_TRANSPORT_STREAM,
					       .src_port = 1,
					       .dst_port = 65535,
					       .src_ip = { 1, 2, 3 },
					       .dst_ip = { 9, 8, 7 } },
					 got;
			struct pp_tlv tlv;
			struct pp_ssl opened;
			int len;

			if (family == PP_FAMILY_UNIX) {
				h.src_path = path[0];
				h.dst_path = path[1];
			}
			len = pp_write_v2(out, sizeof(out), &h, tlvs, 3, crc);
			assert_true(len >= 16);
			for (int cap = 0; cap < len; cap++)
				assert_int_equal(pp_write_v2(out, (size_t)cap, &h, tlvs, 3, crc), -1);
			assert_int_equal(pp_write_v2(out, (size_t)len, &h, tlvs, 3, crc), len);
			assert_int_equal(pp_parse(out, sizeof(out), sizeof(out), &got), len);
			assert_int_equal(got.family, family);
			assert_int_equal(got.is_local, family == PP_FAMILY_NONE);
			if (family == PP_FAMILY_NONE)
				continue;
			if (family == PP_FAMILY_UNIX) {
				assert_memory_equal(got.src_path, path[0], PP_UNIX_PATH_LEN);
				assert_memory_equal(got.dst_path, path[1], PP_UNIX_PATH_LEN);
			} else {
				assert_memory_equal(got.src_ip, h.src_ip, 16);
				assert_memory_equal(got.dst_ip, h.dst_ip, 16);
				assert_int_equal(got.src_port, 1);
				assert_int_equal(got.dst_port, 65535);
			}
			assert_int_equal(pp_tlv_find(got.tlvs, got.tlvs_len, PP_TLV_AUTHORITY, &tlv), 1);
			assert_memory_equal(tlv.value, "example.com", 11);
			assert_int_equal(pp_tlv_find(got.tlvs, got.tlvs_len, PP_TLV_NETNS, &tlv), 0);
			assert_int_equal(pp_tlv_find(got.tlvs, got.tlvs_len, PP_TLV_CRC32C, &tlv), crc);
			assert_int_equal(pp_tlv_find(got.tlvs, got.tlvs_len, PP_TLV_SSL, &tlv), 1);
			assert_int_equal(pp_ssl_parse(&tlv, &opened), 0);
			assert_int_equal(opened.client, PP_SSL_CLIENT_SSL);
			assert_int_equal(opened.verify, 7);
			assert_int_equal(pp_tlv_find(opened.tlvs, opened.tlvs_len, PP_TLV_SSL_CN, &tlv), 1);
			assert_int_equal(tlv.len, 2);
		}
	}
}

static void line_written_is_the_one_parsed(void **state)
{
	struct pp_header h = { .family = PP_FAMILY_INET,
			       .transport = PP_TRANSPORT_STREAM,
			       .src_ip = { 10, 0, 200, 255 },
			       .dst_ip = { 1, 2, 3, 4 },
			       .src_port = 1024,
			       .dst_port = 80 },
			 got;
	uint8_t out[PP_V1_MAX];
	int len;

	(void)state;
	len = pp_write_v1(out, sizeof(out), &h);
	assert_int_equal(len, strlen("PROXY TCP4 10.0.200.255 1.2.3.4 1024 80\r\n"));
	assert_memory_equal(out, "PROXY TCP4 10.0.200.255 1.2.3.4 1024 80\r\n", (size_t)len);
	assert_int_equal(pp_write_v1(out, (size_t)len - 1, &h), -1);

	h.family = PP_FAMILY_INET6;
	memset(h.src_ip, 0xff, 16);
	memset(h.dst_ip, 0, 16);
	h.dst_ip[1] = 0x20;
	h.dst_ip[15] = 0x0a;
	h.src_port = h.dst_port = 65535;
	len = pp_write_v1(out, sizeof(out), &h);
	assert_true(len > 0);
	assert_int_equal(pp_parse(out, (size_t)len, 0, &got), len);
	assert_memory_equal(got.src_ip, h.src_ip, 16);
	assert_memory_equal(got.dst_ip, h.dst_ip, 16);
	memset(h.dst_ip, 0xff, 16);
	assert_int_equal(pp_write_v1(out, sizeof(out), &h), PP_V1_MAX - 3); /* TCP6 is shorter than UNKNOWN */

	h.family = PP_FAMILY_UNIX;
	len = pp_write_v1(out, sizeof(out), &h);
	assert_int_equal(len, 15);
	assert_memory_equal(out, "PROXY UNKNOWN\r\n", 15);
	h.family = PP_FAMILY_INET;
	h.is_local = true;
	assert_int_equal(pp_write_v1(out, sizeof(out), &h), 15);
	assert_int_equal(pp_write_v2(out, sizeof(out), &h, NULL, 0, true), 16);
	assert_memory_equal(out, SIGNATURE "\x20\0\0\0", 16);
}

static void every_error_has_a_text(void **state)
{
	(void)state;
	for (int error = 0; error < PP_ERR_COUNT; error++) {
		assert_true(strlen(pp_error_text(error)) > 5);
		assert_string_equal(pp_error_text(error), pp_error_text(-error));
	}
	assert_non_null(pp_error_text(-99));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_is_the_same_however_it_is_cut),
		cmocka_unit_test(line_gives_its_addresses),
		cmocka_unit_test(line_over_107_bytes_is_refused),
		cmocka_unit_test(binary_is_the_same_however_it_is_cut),
		cmocka_unit_test(checksum_is_crc32c_over_the_whole),
		cmocka_unit_test(header_written_is_the_one_parsed),
		cmocka_unit_test(line_written_is_the_one_parsed),
		cmocka_unit_test(every_error_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
