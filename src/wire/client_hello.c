/* A look at a TLS ClientHello (RFC 8446 4.1.2, 5.1; RFC 6066 3; RFC 7301 3.1).
 *
 * Two passes: the first walks the records and finds where the message ends, the second reads it when all of
 * it is there.  Both jump over what they do not need: a hello that drips in costs little each time. */
#include "wire/client_hello.h"

#include <string.h>

enum {
	RECORD_HEADER_LEN = 5,
	RECORD_MAX = 16384, /* RFC 8446 5.1 */
	RECORD_HANDSHAKE = 22,
	MESSAGE_HEADER_LEN = 4,
	MESSAGE_CLIENT_HELLO = 1,
	EXTENSION_SERVER_NAME = 0,
	EXTENSION_ALPN = 16
};

/* ---- pass 1: records ---- */

/* Length of the record that begins here, 0 for more, or an error.  Judged octet by octet, so a cut changes
 * nothing. */
static int record_header_check(const uint8_t *in, size_t len, bool is_first)
{
	int error = is_first ? -CLIENT_HELLO_ERR_NOT_TLS : -CLIENT_HELLO_ERR_SYNTAX;
	int size;

	if (len > 0 && in[0] != RECORD_HANDSHAKE)
		return error;
	if (len > 1 && in[1] != 3)
		return error;
	if (len < RECORD_HEADER_LEN)
		return 0;
	size = in[3] << 8 | in[4];
	return size == 0 || size > RECORD_MAX ? error : size;
}

/* What the message header says, as far as it is there: the length of the whole message once it is known, else
 * the header's own; or an error. */
static int message_header_check(const uint8_t *header, size_t len)
{
	int size;

	if (len > 0 && header[0] != MESSAGE_CLIENT_HELLO)
		return -CLIENT_HELLO_ERR_NOT_TLS;
	if (len < MESSAGE_HEADER_LEN)
		return MESSAGE_HEADER_LEN;
	size = (header[1] << 16 | header[2] << 8 | header[3]) + MESSAGE_HEADER_LEN;
	return size > CLIENT_HELLO_MAX ? -CLIENT_HELLO_ERR_TOO_LONG : size;
}

/* Finds the end of the message: its offset in the input, 0 for more, or an error. */
static int message_end_find(const uint8_t *in, size_t len, size_t *message_len)
{
	uint8_t header[MESSAGE_HEADER_LEN];
	size_t at = 0, got = 0, need = MESSAGE_HEADER_LEN;

	while (got < need) {
		int record_len = record_header_check(in + at, len - at, at == 0);
		size_t left;

		if (record_len <= 0)
			return record_len;
		at += RECORD_HEADER_LEN;
		left = (size_t)record_len;
		while (left > 0 && got < need) {
			size_t part = left < need - got ? left : need - got;
			bool is_cut = part > len - at;

			if (at + part > CLIENT_HELLO_INPUT_MAX)
				return -CLIENT_HELLO_ERR_TOO_LONG;
			if (is_cut)
				part = len - at;
			if (got < MESSAGE_HEADER_LEN) {
				int size;

				memcpy(header + got, in + at, part);
				size = message_header_check(header, got + part);
				if (size < 0)
					return size;
				need = (size_t)size;
			}
			if (is_cut)
				return 0;
			got += part;
			at += part;
			left -= part;
		}
	}
	*message_len = need;
	return (int)at;
}

/* ---- pass 2: the message ---- */

/* Reads across records; all bytes are known to be there. */
struct reader {
	const uint8_t *at;
	size_t record_left; /* bytes of the record at `at` */
	size_t left;	    /* bytes of the message */
};

/* The next `len` bytes of the message, copied where `out` is not NULL; false if it has not so many. */
static bool bytes_take(struct reader *r, size_t len, uint8_t *out)
{
	if (len > r->left)
		return false;
	r->left -= len;
	while (len > 0) {
		size_t part;

		if (r->record_left == 0) {
			r->record_left = (size_t)(r->at[3] << 8 | r->at[4]);
			r->at += RECORD_HEADER_LEN;
		}
		part = len < r->record_left ? len : r->record_left;
		if (out != NULL) {
			memcpy(out, r->at, part);
			out += part;
		}
		r->at += part;
		r->record_left -= part;
		len -= part;
	}
	return true;
}

/* A number of 1 or 2 bytes. */
static bool number_take(struct reader *r, size_t size, size_t *out)
{
	uint8_t bytes[2];

	if (!bytes_take(r, size, bytes))
		return false;
	*out = size == 1 ? bytes[0] : (size_t)(bytes[0] << 8 | bytes[1]);
	return true;
}

/* A vector behind its length, skipped. */
static bool vector_skip(struct reader *r, size_t size, size_t min_len, size_t max_len)
{
	size_t len;

	return number_take(r, size, &len) && len >= min_len && len <= max_len && bytes_take(r, len, NULL);
}

/* Lower-cases a host name in place; false if it is none.  A final dot is dropped (RFC 6066 3 has none). */
static bool name_normalise(char *name, uint16_t *len)
{
	if (*len > 0 && name[*len - 1] == '.')
		--*len;
	name[*len] = '\0';
	for (size_t i = 0; i < *len; i++) {
		char c = name[i];

		if (c >= 'A' && c <= 'Z')
			name[i] = (char)(c - 'A' + 'a');
		else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
			   c == '_'))
			return false;
	}
	return *len > 0;
}

/* RFC 6066 3: a list of names, of which one is a host name. */
static int server_name_read(struct reader *r, size_t len, struct client_hello *out)
{
	size_t end = r->left - len; /* bytes of the message that follow the extension */
	size_t list_len, type, name_len;

	if (!number_take(r, 2, &list_len) || list_len == 0 || r->left != end + list_len)
		return -CLIENT_HELLO_ERR_SYNTAX;
	while (r->left > end) {
		if (r->left - end < 3 || !number_take(r, 1, &type) || !number_take(r, 2, &name_len) ||
		    name_len > r->left - end)
			return -CLIENT_HELLO_ERR_SYNTAX;
		if (type != 0) {
			bytes_take(r, name_len, NULL);
			continue;
		}
		if (out->name_len > 0)
			return -CLIENT_HELLO_ERR_SYNTAX;
		if (name_len == 0 || name_len > CLIENT_HELLO_NAME_MAX)
			return -CLIENT_HELLO_ERR_NAME;
		bytes_take(r, name_len, (uint8_t *)out->name);
		out->name_len = (uint16_t)name_len;
		if (!name_normalise(out->name, &out->name_len))
			return -CLIENT_HELLO_ERR_NAME;
	}
	return 0;
}

/* RFC 7301 3.1: a list of protocol names. */
static int alpn_read(struct reader *r, size_t len, struct client_hello *out)
{
	size_t end = r->left - len;
	size_t list_len, name_len;

	if (!number_take(r, 2, &list_len) || list_len == 0 || r->left != end + list_len)
		return -CLIENT_HELLO_ERR_SYNTAX;
	while (r->left > end) {
		size_t at = out->alpn_len;

		if (!number_take(r, 1, &name_len) || name_len == 0 || name_len > r->left - end)
			return -CLIENT_HELLO_ERR_SYNTAX;
		if (1 + name_len > sizeof(out->alpn) - at) {
			bytes_take(r, name_len, NULL);
			continue;
		}
		out->alpn[at] = (uint8_t)name_len;
		bytes_take(r, name_len, out->alpn + at + 1);
		out->alpn_len = (uint16_t)(at + 1 + name_len);
	}
	return 0;
}

static int extensions_read(struct reader *r, struct client_hello *out)
{
	bool has_name = false, has_alpn = false;
	size_t total, type, len;

	if (r->left == 0)
		return 0; /* none at all: TLS 1.2 allows it (RFC 5246 7.4.1.2) */
	if (!number_take(r, 2, &total) || total != r->left)
		return -CLIENT_HELLO_ERR_SYNTAX;
	while (r->left > 0) {
		int error = 0;

		if (!number_take(r, 2, &type) || !number_take(r, 2, &len) || len > r->left)
			return -CLIENT_HELLO_ERR_SYNTAX;
		if (type == EXTENSION_SERVER_NAME) {
			/* Twice is forbidden (RFC 8446 4.2), and would let two readers see two names. */
			error = has_name || len < 2 ? -CLIENT_HELLO_ERR_SYNTAX
						    : server_name_read(r, len, out);
			has_name = true;
		} else if (type == EXTENSION_ALPN) {
			error = has_alpn || len < 2 ? -CLIENT_HELLO_ERR_SYNTAX : alpn_read(r, len, out);
			has_alpn = true;
		} else {
			bytes_take(r, len, NULL);
		}
		if (error < 0)
			return error;
	}
	return 0;
}

int client_hello_peek(const uint8_t *in, size_t len, struct client_hello *out)
{
	struct client_hello hello = { 0 };
	size_t message_len = 0, version;
	int end = message_end_find(in, len, &message_len);
	struct reader r = { .at = in, .left = message_len };
	int error;

	if (end <= 0)
		return end;
	if (!bytes_take(&r, MESSAGE_HEADER_LEN, NULL) || !number_take(&r, 2, &version) || version >> 8 != 3 ||
	    !bytes_take(&r, 32, NULL) ||	      /* random */
	    !vector_skip(&r, 1, 0, 32) ||	      /* session id */
	    !vector_skip(&r, 2, 2, UINT16_MAX - 1) || /* cipher suites */
	    !vector_skip(&r, 1, 1, UINT8_MAX))	      /* compression methods */
		return -CLIENT_HELLO_ERR_SYNTAX;
	error = extensions_read(&r, &hello);
	if (error < 0)
		return error;
	*out = hello;
	return end;
}

bool client_hello_has_alpn(const struct client_hello *hello, const char *protocol, size_t len)
{
	for (size_t at = 0; at < hello->alpn_len; at += 1 + (size_t)hello->alpn[at]) {
		if (hello->alpn[at] == len && memcmp(hello->alpn + at + 1, protocol, len) == 0)
			return true;
	}
	return false;
}

const char *client_hello_error_text(int error)
{
	static const char *const texts[CLIENT_HELLO_ERR_COUNT] = {
		[CLIENT_HELLO_OK] = "no error",
		[CLIENT_HELLO_ERR_NOT_TLS] = "not a TLS ClientHello",
		[CLIENT_HELLO_ERR_SYNTAX] = "malformed TLS ClientHello",
		[CLIENT_HELLO_ERR_TOO_LONG] = "TLS ClientHello over its bound",
		[CLIENT_HELLO_ERR_NAME] = "server name in the TLS ClientHello is no host name",
	};
	size_t row = (size_t)(error < 0 ? -(long)error : error);

	return row < CLIENT_HELLO_ERR_COUNT ? texts[row] : "unknown error";
}
