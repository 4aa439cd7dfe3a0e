/* wire/http1_body: an octet of settings, then what follows a head.
 *
 * Always: cut anywhere, the payload, the trailers and the end are the same; trailers written again decode
 * to themselves. */
#include "wire/http1_body.h"

#include "must.h"

#include <string.h>

#include "wire/http1_write.h"

enum { INPUT_MAX = 4096, TRAILERS_MAX = 64 };

struct decoded {
	uint8_t payload[INPUT_MAX];
	size_t payload_len;
	size_t used;
	enum http1_error error;
	bool is_over;
};

static void body_begin(struct http1_body *body, uint8_t settings)
{
	http1_body_init(body, (enum http1_body_kind)(settings & 3), settings >> 3,
			(settings & 4) != 0 ? 40 : 0);
}

static void decode(struct http1_body *body, const uint8_t *in, size_t len, size_t step, struct decoded *out)
{
	size_t have = 0;

	out->payload_len = out->used = 0;
	out->error = HTTP1_OK;
	while (have < len && !http1_body_is_over(body) && out->error == HTTP1_OK) {
		have = len - have < step ? len : have + step;
		while (out->used < have && !http1_body_is_over(body) && out->error == HTTP1_OK) {
			size_t size = have - out->used, data_len;
			uint8_t *copy = malloc(size);
			const uint8_t *data;
			long used;

			MUST(copy != NULL);
			memcpy(copy, in + out->used, size);
			used = http1_body_decode(body, copy, size, &data, &data_len);
			MUST(used != 0 && used <= (long)size);
			if (used < 0) {
				out->error = (enum http1_error) - used;
			} else {
				MUST(data >= copy && data + data_len <= copy + used);
				memcpy(out->payload + out->payload_len, data, data_len);
				out->payload_len += data_len;
				out->used += (size_t)used;
			}
			free(copy);
		}
	}
	out->is_over = http1_body_is_over(body);
	MUST(out->is_over ? http1_body_eof(body) == HTTP1_OK : true);
}

static void check_trailers(const struct http1_body *a, const struct http1_body *b)
{
	static uint8_t out[2 * INPUT_MAX];
	struct http_field fields[TRAILERS_MAX], others[TRAILERS_MAX];
	uint32_t count = http1_body_trailers(a, fields, TRAILERS_MAX);
	struct http1_body again;
	const uint8_t *data;
	size_t data_len;
	long len;

	MUST(http1_body_has_trailers(a) == http1_body_has_trailers(b));
	MUST(http1_body_trailers(b, others, TRAILERS_MAX) == count);
	len = http1_write_last_chunk(out, sizeof out, fields, count);
	MUST(len > 0);
	http1_body_init(&again, HTTP1_BODY_CHUNKED, 0, 0);
	MUST(http1_body_decode(&again, out, (size_t)len, &data, &data_len) == len);
	MUST(http1_body_is_over(&again) && data_len == 0);
	MUST(http1_body_trailers(&again, others, TRAILERS_MAX) == count);
	for (uint32_t i = 0; i < count; i++) {
		MUST(http_field_may_trail(&fields[i]));
		MUST(fields[i].name_len == others[i].name_len && fields[i].value_len == others[i].value_len);
		MUST(memcmp(fields[i].name, others[i].name, fields[i].name_len) == 0);
		MUST(memcmp(fields[i].value, others[i].value, fields[i].value_len) == 0);
	}
	http1_body_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = { 1, 2, 3, 5, 19 };
	static struct decoded whole, cut;
	struct http1_body body, other;

	if (size == 0 || size > INPUT_MAX)
		return 0;
	body_begin(&body, data[0]);
	decode(&body, data + 1, size - 1, INPUT_MAX, &whole);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		body_begin(&other, data[0]);
		decode(&other, data + 1, size - 1, steps[i], &cut);
		MUST(cut.error == whole.error && cut.is_over == whole.is_over);
		/* What came before an error in the same call is not given. */
		MUST(whole.error != HTTP1_OK
			     ? cut.payload_len >= whole.payload_len
			     : cut.payload_len == whole.payload_len && cut.used == whole.used);
		MUST(memcmp(cut.payload, whole.payload, whole.payload_len) == 0);
		if (whole.is_over)
			check_trailers(&body, &other);
		http1_body_done(&other);
	}
	http1_body_done(&body);
	return 0;
}
