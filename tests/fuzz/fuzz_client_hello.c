/* wire/client_hello: one octet of settings, then the start of a connection.
 *
 * Always: cut anywhere, the same result; the same message in other records says the same. */
#include "wire/client_hello.h"

#include "must.h"

#include <string.h>

static void result_check(const struct client_hello *h)
{
	size_t at = 0;

	MUST(h->name_len <= CLIENT_HELLO_NAME_MAX && strlen(h->name) == h->name_len);
	while (at < h->alpn_len) {
		MUST(h->alpn[at] > 0);
		at += 1 + (size_t)h->alpn[at];
	}
	MUST(at == h->alpn_len && at <= CLIENT_HELLO_ALPN_MAX);
}

/* The message out of its records; its length. */
static size_t message_extract(const uint8_t *in, size_t len, uint8_t *out)
{
	size_t at = 0, size = 0;

	while (at < len) {
		size_t part = (size_t)(in[at + 3] << 8 | in[at + 4]);

		at += 5;
		part = part < len - at ? part : len - at;
		memcpy(out + size, in + at, part);
		size += part;
		at += part;
	}
	return size;
}

static size_t records_make(const uint8_t *message, size_t len, size_t step, uint8_t *out)
{
	size_t at = 0;

	for (size_t done = 0; done < len; done += step) {
		size_t part = len - done < step ? len - done : step;
		const uint8_t header[5] = { 22, 3, 3, (uint8_t)(part >> 8), (uint8_t)part };

		memcpy(out + at, header, 5);
		memcpy(out + at + 5, message + done, part);
		at += 5 + part;
	}
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t message[CLIENT_HELLO_MAX], records[6 * CLIENT_HELLO_MAX];
	struct client_hello h = { 0 }, other = { 0 };
	int got, step = 0;
	size_t len, record_max;

	if (size < 1)
		return 0;
	record_max = 1 + (size_t)data[0];
	data++;
	size--;
	got = client_hello_peek(data, size, &h);
	MUST(got <= (int)size && got > -CLIENT_HELLO_ERR_COUNT);
	for (size_t n = 0; n <= size && step == 0; n++)
		step = client_hello_peek(data, n, &other);
	MUST(step == got);
	if (got <= 0)
		return 0;
	MUST(got <= CLIENT_HELLO_INPUT_MAX);
	MUST(memcmp(&h, &other, sizeof(h)) == 0);
	result_check(&h);

	len = message_extract(data, (size_t)got, message);
	len = records_make(message, len, record_max, records);
	got = client_hello_peek(records, len, &other);
	MUST(len > CLIENT_HELLO_INPUT_MAX ? got == -CLIENT_HELLO_ERR_TOO_LONG : (size_t)got == len);
	MUST(got < 0 || memcmp(&h, &other, sizeof(h)) == 0);
	return 0;
}
