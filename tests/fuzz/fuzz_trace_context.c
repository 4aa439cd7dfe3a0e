/* wire/trace_context: what is read is written and read again as the same. */
#include "wire/trace_context.h"

#include "must.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trace_context t, again;
	char text[TRACE_FIELD_LEN];
	char *copy = malloc(size + 1);

	MUST(copy != NULL);
	memcpy(copy, data, size);
	if (trace_context_parse(copy, size, &t)) {
		MUST(size >= TRACE_FIELD_LEN);
		MUST(strlen(t.id) == TRACE_ID_LEN && strlen(t.parent) == TRACE_PARENT_LEN);
		trace_context_write(&t, text);
		MUST(trace_context_parse(text, sizeof(text), &again));
		MUST(strcmp(t.id, again.id) == 0 && strcmp(t.parent, again.parent) == 0 && t.is_sampled == again.is_sampled);
	}
	free(copy);
	return 0;
}
