/* wire/ws_handshake: the input is a field value.
 *
 * Always: elements and parameters lie in the input and in order; what the filter leaves is a good list of
 * permessage-deflate alone, never longer than before; parameters written are read again; a list of tokens
 * names each of its tokens. */
#include "wire/ws_handshake.h"

#include "must.h"

#include <string.h>

/* The count of elements, or -1. */
static int extensions_walk(const char *list, size_t len)
{
	const char *end = list + len, *last = list;
	struct ws_extension e;
	struct ws_param p;
	int count = 0, got;

	while ((got = ws_extension_next(&list, &len, &e)) == 1) {
		const char *params = e.params;
		size_t params_len = e.params_len;

		MUST(e.name >= last && e.name_len > 0 && e.params == e.name + e.name_len);
		MUST(e.params + e.params_len <= list && list + len == end);
		while ((got = ws_param_next(&params, &params_len, &p)) == 1)
			MUST(p.name_len > 0 && (p.value == NULL ? p.value_len == 0 : p.value_len > 0));
		MUST(got == 0); /* checked with the element */
		last = list;
		count++;
	}
	MUST(got == -1 || len == 0);
	return got == -1 ? -1 : count;
}

static void deflate_check(const char *list, size_t len, enum ws_negotiation side)
{
	char text[WS_DEFLATE_TEXT_MAX];
	struct ws_deflate d, again;
	int text_len;

	if (ws_deflate_find(list, len, side, &d) != 1)
		return;
	text_len = ws_deflate_write(text, sizeof(text), &d);
	MUST(text_len > 0);
	MUST(ws_deflate_find(text, (size_t)text_len, side, &again) == 1);
	MUST(memcmp(&d, &again, sizeof(d)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *list = (const char *)data, *at = list;
	char *kept = malloc(size + 1);
	size_t left = size;
	struct ws_token token;
	bool is_list = true;
	struct ws_deflate d;
	long kept_len;
	int got;

	MUST(kept != NULL);
	kept_len = ws_extensions_filter(list, size, true, kept, size);
	MUST(kept_len <= (long)size);
	MUST((kept_len >= 0) == (extensions_walk(list, size) >= 0));
	if (kept_len >= 0) {
		MUST(ws_extensions_filter(list, size, false, kept + size, 0) == 0);
		MUST(ws_deflate_find(list, size, WS_OFFER, &d) ==
		     ws_deflate_find(kept, (size_t)kept_len, WS_OFFER, &d));
		MUST((kept_len > 0) == ws_extensions_contain(list, size, "permessage-deflate", 18));
		MUST(extensions_walk(kept, (size_t)kept_len) >= 0);
	} else {
		MUST(ws_deflate_find(list, size, WS_OFFER, &d) == -1);
	}
	deflate_check(list, size, WS_OFFER);
	deflate_check(list, size, WS_ANSWER);
	free(kept);

	while ((got = ws_token_next(&at, &left, &token)) == 1)
		MUST(token.len > 0 && token.at >= list && token.at + token.len <= at);
	is_list = got == 0;
	for (at = list, left = size; is_list && ws_token_next(&at, &left, &token) == 1;)
		MUST(ws_protocols_contain(list, size, token.at, token.len));

	if (ws_key_is_valid(list, size)) {
		char accept[WS_ACCEPT_LEN + 1];

		ws_accept_compute(list, accept);
		MUST(ws_accept_matches(list, accept, WS_ACCEPT_LEN));
	}
	return 0;
}
