/* wire/http1_parse and wire/http1_write: an octet of settings, then a head.
 *
 * Always: cut anywhere, the result is the same; text stays within the head; what is written from a head
 * parses again, and says the same. */
#include "wire/http1_parse.h"

#include "must.h"

#include <string.h>

#include "wire/http1_write.h"

enum { FIELDS_MAX = 40, WRITTEN_MAX = 16384 };

static int parse(bool is_request, const uint8_t *in, size_t len, const struct http1_limits *limits,
		 struct http1_scan *scan, struct http_head *head)
{
	return is_request ? http1_parse_request(in, len, limits, scan, head)
			  : http1_parse_response(in, len, limits, scan, head);
}

/* In blocks of their own, so that no byte but those given is read. */
static int parse_stepwise(bool is_request, const uint8_t *in, size_t len, const struct http1_limits *limits,
			  size_t step, struct http_field *fields)
{
	struct http1_scan scan = { 0 };
	struct http_head head;
	size_t n = 0;
	int result;

	http_head_init(&head, fields, FIELDS_MAX);
	do {
		uint8_t *copy;

		n = len - n < step ? len : n + step;
		copy = malloc(n > 0 ? n : 1);
		MUST(copy != NULL);
		memcpy(copy, in, n);
		result = parse(is_request, copy, n, limits, &scan, &head);
		free(copy);
	} while (n < len && result == 0);
	return result;
}

static void check_cuts(bool is_request, const uint8_t *in, size_t len, const struct http1_limits *limits,
		       int want)
{
	static const size_t steps[] = { 1, 2, 3, 7, 61 };
	struct http_field fields[FIELDS_MAX];

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		int got = parse_stepwise(is_request, in, len, limits, steps[i], fields);

		if (got == 0 && want < 0) { /* noticed only where the head ends */
			uint8_t *longer = malloc(len + 4);

			MUST(longer != NULL);
			memcpy(longer, in, len);
			memcpy(longer + len, "\r\n\r\n", 4);
			got = parse_stepwise(is_request, longer, len + 4, limits, steps[i], fields);
			free(longer);
		}
		MUST(got == want);
	}
}

static void check_within(const char *text, size_t text_len, const uint8_t *in, size_t len)
{
	MUST((const uint8_t *)text >= in && (const uint8_t *)text + text_len <= in + len);
}

static void check_head(bool is_request, const struct http_head *head, const uint8_t *in, size_t len)
{
	uint64_t seen = 0, length;

	MUST(len >= 4 && memcmp(in + len - 2, "\r\n", 2) == 0);
	MUST((const uint8_t *)head->fields_end == in + len - 2);
	MUST(head->field_count <= FIELDS_MAX);
	for (uint32_t i = 0; i < head->field_count; i++) {
		const struct http_field *f = &head->fields[i];

		check_within(f->name, f->name_len, in, len);
		check_within(f->value, f->value_len, in, len);
		MUST(http_text_is_token(f->name, f->name_len));
		MUST(http_text_is_field_value(f->value, f->value_len));
		MUST(f->id == http_id_of(f->name, f->name_len));
		seen |= HTTP_BIT(f->id);
	}
	MUST(seen == head->seen);
	MUST(!head->is_chunked || head->content_length < 0);
	MUST(!head->is_chunked || head->version_minor == 1);
	if (is_request) {
		check_within(head->method, head->method_len, in, len);
		check_within(head->target, head->target_len, in, len);
		MUST(head->host != NULL || head->version_minor == 0);
		if (head->host != NULL)
			check_within(head->host, head->host_len, in, len);
		MUST(head->path_len > 0 || head->method_id == HTTP_METHOD_CONNECT);
		http1_request_body(head, &length);
	} else {
		MUST(head->status >= 100 && head->status <= 999);
		http1_response_body(head, HTTP_METHOD_GET, &length);
	}
}

static size_t add(size_t n, long len)
{
	MUST(len >= 0);
	return n + (size_t)len;
}

/* A head with the same start line, in origin form, and the same fields, one by one. */
static size_t write_head(bool is_request, const struct http_head *head, uint8_t *out)
{
	size_t n = 0;

	if (is_request)
		n = add(n,
			http1_write_request_line(out, WRITTEN_MAX, head->method, head->method_len, head->path,
						 head->path_len, head->query, head->query_len));
	else
		n = add(n, http1_write_status_line(out, WRITTEN_MAX, head->status, head->reason,
						   head->reason_len));
	for (uint32_t i = 0; i < head->field_count; i++) {
		const struct http_field *f = &head->fields[i];

		n = add(n, http1_write_field(out + n, WRITTEN_MAX - n, f->name, f->name_len, f->value,
					     f->value_len));
	}
	return add(n, http1_write_head_end(out + n, WRITTEN_MAX - n));
}

static void check_written(bool is_request, const struct http_head *head)
{
	static uint8_t out[WRITTEN_MAX];
	const struct http1_limits limits = { 0 };
	struct http_field fields[FIELDS_MAX];
	struct http_head again;
	size_t len = write_head(is_request, head, out);

	http_head_init(&again, fields, FIELDS_MAX);
	MUST(parse(is_request, out, len, &limits, NULL, &again) == (int)len);
	MUST(again.field_count == head->field_count && again.seen == head->seen);
	for (uint32_t i = 0; i < head->field_count; i++) {
		const struct http_field *a = &head->fields[i], *b = &fields[i];

		MUST(a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0);
		MUST(a->value_len == b->value_len && memcmp(a->value, b->value, a->value_len) == 0);
	}
	MUST(again.path_len == head->path_len && again.query_len == head->query_len);
	MUST((again.query == NULL) == (head->query == NULL));
	MUST(again.content_length == head->content_length && again.is_chunked == head->is_chunked);
	MUST(again.status == head->status && again.reason_len == head->reason_len);
	MUST(again.keep_alive == head->keep_alive && again.expect_continue == head->expect_continue);
}

/* What is forwarded is a field section of which nothing belongs to the hop. */
static void check_forwarded(const struct http_head *head)
{
	static uint8_t out[WRITTEN_MAX];
	long len = http1_write_forwarded_fields(out, sizeof out, head, HTTP_BIT(HTTP_HOST));
	size_t at = 0;
	uint32_t count = 0;

	MUST(len >= 0);
	while (at < (size_t)len) {
		struct http_field f;
		int used = http1_parse_field(out + at, (size_t)len - at, &f);

		MUST(used > 0);
		MUST(f.id != HTTP_HOST && f.id != HTTP_CONNECTION);
		MUST(!http_field_is_hop_by_hop(head, &f));
		at += (size_t)used;
		count++;
	}
	for (uint32_t i = 0; i < head->field_count; i++) {
		const struct http_field *f = &head->fields[i];

		if (f->id != HTTP_HOST && !http_field_is_hop_by_hop(head, f))
			count--;
	}
	MUST(count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http1_limits limits = { 0 };
	struct http_field fields[FIELDS_MAX];
	struct http_head head;
	bool is_request;
	int result;

	if (size == 0 || size > 4096)
		return 0;
	is_request = (data[0] & 1) == 0;
	if ((data[0] & 2) != 0)
		limits = (struct http1_limits){ .head_bytes = 200, .target_bytes = 40, .field_count = 6 };
	data++;
	size--;
	http_head_init(&head, fields, FIELDS_MAX);
	result = parse(is_request, data, size, &limits, NULL, &head);
	MUST(result <= (int)size && result > -HTTP1_ERR_COUNT);
	check_cuts(is_request, data, size, &limits, result);
	if (result <= 0)
		return 0;
	check_head(is_request, &head, data, (size_t)result);
	/* It is written as HTTP/1.1, for which an older one may lack a Host; CONNECT is never forwarded. */
	if (head.version_minor == 1 && head.target_form != HTTP_TARGET_AUTHORITY)
		check_written(is_request, &head);
	check_forwarded(&head);
	return 0;
}
