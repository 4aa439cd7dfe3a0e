/* wire/event_stream and wire/json: any bytes as the body of a fallback request.
 *
 * Always: a record lies in what it used; cut before its end it is not there yet; a string that was read and is written
 * reads the same again; what is skipped is what would be read. */
#include "wire/event_stream.h"
#include "wire/json.h"

#include "must.h"

#include <string.h>

static void value_look(const char *in, size_t len)
{
	struct json j = json_of(in, len), again;
	char *text = malloc(len + 1), *second;
	size_t text_len, second_len;
	struct str s;

	MUST(text != NULL);
	if (json_peek(&j) == JSON_STRING && json_string(&j, text, &text_len)) {
		MUST(text_len < len);
		again = json_of(in, len);
		MUST(json_skip(&again) && again.at == j.at);
		str_init_heap(&s, len * 6 + 64);
		str_json(&s, text, text_len);
		second = malloc(s.len);
		MUST(second != NULL && !s.is_cut);
		again = json_of(s.at, s.len);
		MUST(json_string(&again, second, &second_len) && json_is_done(&again));
		MUST(second_len == text_len && memcmp(second, text, text_len) == 0);
		free(second);
		str_done(&s);
	} else if (json_peek(&j) != JSON_STRING) {
		json_skip(&j);
	}
	MUST(j.at <= in + len);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *in = malloc(size > 0 ? size : 1);
	struct event_record r;
	size_t at = 0;
	long used;

	MUST(in != NULL);
	if (size > 0)
		memcpy(in, data, size);
	value_look(in, size);
	while ((used = event_record_parse(in + at, size - at, &r)) > 0) {
		struct event_record cut;

		MUST((size_t)used <= size - at);
		MUST(r.data == NULL || (r.data >= in + at && r.data + r.data_len <= in + at + used));
		MUST(r.event == NULL || (r.event >= in + at && r.event + r.event_len <= in + at + used));
		MUST(r.id == NULL || (r.id >= in + at && r.id + r.id_len <= in + at + used));
		MUST(event_record_parse(in + at, (size_t)used - 1, &cut) <= 0);
		if (r.data != NULL)
			value_look(r.data, r.data_len);
		at += (size_t)used;
	}
	free(in);
	return 0;
}
