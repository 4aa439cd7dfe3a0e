/* The PROXY protocol, versions 1 (text) and 2 (binary): read, written, and its TLVs.
 *
 * Addresses are plain bytes in network order, ports are numbers: sockets are above.
 * Called by: proxy/listener (read, before TLS), proxy/connect (written, to a backend).  Allocates nothing. */
#ifndef WIRE_PROXY_PROTOCOL_H
#define WIRE_PROXY_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PP_V1_MAX = 107,	/* bytes of a version 1 line, CRLF included */
	PP_V2_PREFIX_LEN = 16,	/* bytes before the addresses */
	PP_V2_MAX = 16 + 65535, /* what a version 2 header can come to */
	PP_UNIX_PATH_LEN = 108
};

enum pp_error {
	PP_OK,
	PP_ERR_SIGNATURE, /* neither version's first bytes */
	PP_ERR_SYNTAX,	  /* version 1: not a line of the grammar */
	PP_ERR_VERSION,	  /* version 2: another version or command */
	PP_ERR_ADDRESS,	  /* an address or port that is none, or an address block shorter than its family's */
	PP_ERR_TOO_LONG,  /* over 107 bytes (version 1) or over the caller's bound (version 2) */
	PP_ERR_TLV,	  /* a TLV that runs over the end, or a malformed one of a known type */
	PP_ERR_CRC,	  /* the CRC32C is there, and wrong */
	PP_ERR_COUNT
};

enum pp_family { PP_FAMILY_NONE, PP_FAMILY_INET, PP_FAMILY_INET6, PP_FAMILY_UNIX };
enum pp_transport { PP_TRANSPORT_NONE, PP_TRANSPORT_STREAM, PP_TRANSPORT_DGRAM };

enum pp_tlv_type {
	PP_TLV_ALPN = 0x01,
	PP_TLV_AUTHORITY = 0x02, /* the host name the client asked for: SNI */
	PP_TLV_CRC32C = 0x03,
	PP_TLV_NOOP = 0x04,
	PP_TLV_UNIQUE_ID = 0x05, /* at most 128 bytes */
	PP_TLV_SSL = 0x20,
	PP_TLV_SSL_VERSION = 0x21, /* sub-TLVs of PP_TLV_SSL */
	PP_TLV_SSL_CN = 0x22,
	PP_TLV_SSL_CIPHER = 0x23,
	PP_TLV_SSL_SIG_ALG = 0x24,
	PP_TLV_SSL_KEY_ALG = 0x25,
	PP_TLV_NETNS = 0x30
};

enum { PP_SSL_CLIENT_SSL = 0x01, PP_SSL_CLIENT_CERT_CONN = 0x02, PP_SSL_CLIENT_CERT_SESS = 0x04 };

struct pp_header {
	uint8_t version;    /* 1 or 2 */
	uint8_t family;	    /* enum pp_family */
	uint8_t transport;  /* enum pp_transport */
	bool is_local;	    /* LOCAL, UNKNOWN or unspecified: the connection's own addresses count */
	uint8_t src_ip[16]; /* 4 or 16 bytes used */
	uint8_t dst_ip[16];
	uint16_t src_port; /* host order */
	uint16_t dst_port;
	const uint8_t *src_path; /* family UNIX: PP_UNIX_PATH_LEN bytes in the input, zero-padded */
	const uint8_t *dst_path;
	const uint8_t *tlvs;	 /* in the input; version 2 only, and none where is_local */
	size_t tlvs_len;
};

struct pp_tlv {
	uint8_t type; /* enum pp_tlv_type, or another */
	uint16_t len;
	const uint8_t *value;
};

struct pp_ssl {
	uint8_t client;	     /* PP_SSL_CLIENT_* */
	uint32_t verify;     /* 0: the client's certificate was verified */
	const uint8_t *tlvs; /* sub-TLVs, for pp_tlv_next */
	size_t tlvs_len;
};

/* Parses a header of either version at the start of a connection.
 *
 *   in, len   borrowed; `out` points into it (paths, TLVs)
 *   max_len   bound of a version 2 header in bytes, at most PP_V2_MAX
 *   out       set only when the result is > 0; its TLVs are whole and its CRC32C, if there is one, is right
 *
 * Returns the header's length in bytes, 0 if more are needed, or -PP_ERR_*. */
int pp_parse(const uint8_t *in, size_t len, size_t max_len, struct pp_header *out);

/* The next TLV of *tlvs, *len, which move on.  1, 0 at the end, or -PP_ERR_TLV. */
int pp_tlv_next(const uint8_t **tlvs, size_t *len, struct pp_tlv *out);
/* The first TLV of a type: 1 and `out`, or 0. */
int pp_tlv_find(const uint8_t *tlvs, size_t len, uint8_t type, struct pp_tlv *out);
/* Opens a PP_TLV_SSL.  0, or -PP_ERR_TLV. */
int pp_ssl_parse(const struct pp_tlv *tlv, struct pp_ssl *out);

/* Write a header; version, tlvs and tlvs_len of `h` are not looked at.  What version 1 cannot say (UNIX,
 * datagrams) becomes UNKNOWN.  PP_V1_MAX is always enough.  The length, or -1 where it would not fit. */
int pp_write_v1(uint8_t *out, size_t cap, const struct pp_header *h);
/* `has_crc` appends a CRC32C over the whole.  A local header, or one of no family, is the bare 16 bytes. */
int pp_write_v2(uint8_t *out, size_t cap, const struct pp_header *h, const struct pp_tlv *tlvs,
		size_t tlv_count, bool has_crc);
/* Writes the value of a PP_TLV_SSL with its sub-TLVs; -1 where it would not fit. */
int pp_ssl_write(uint8_t *out, size_t cap, uint8_t client, uint32_t verify, const struct pp_tlv *tlvs,
		 size_t tlv_count);

/* One clause for the log; takes an error as returned or positive; never NULL. */
const char *pp_error_text(int error);

#endif
