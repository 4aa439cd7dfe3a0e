#include "wire/trace_context.h"

#include <stdint.h>
#include <string.h>

enum { VERSION_AT = 0, ID_AT = 3, PARENT_AT = 36, FLAGS_AT = 53 };

/* 0..15, or -1: upper case is wrong here (3.2.2.1). */
static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* All digits; *is_zero: all of them 0. */
static bool is_hex(const char *at, size_t len, bool *is_zero)
{
	int all = 0;

	for (size_t i = 0; i < len; i++) {
		int d = digit(at[i]);

		if (d < 0)
			return false;
		all |= d;
	}
	*is_zero = all == 0;
	return true;
}

bool trace_context_parse(const char *value, size_t len, struct trace_context *out)
{
	bool is_zero, no_id, no_parent;
	int version;

	if (len < TRACE_FIELD_LEN || value[2] != '-' || value[35] != '-' || value[52] != '-' ||
	    !is_hex(value + VERSION_AT, 2, &is_zero) || !is_hex(value + ID_AT, TRACE_ID_LEN, &no_id) ||
	    !is_hex(value + PARENT_AT, TRACE_PARENT_LEN, &no_parent) || no_id || no_parent ||
	    digit(value[FLAGS_AT]) < 0 || digit(value[FLAGS_AT + 1]) < 0)
		return false;
	version = digit(value[0]) * 16 + digit(value[1]);
	if (version == 0xff || (version == 0 && len != TRACE_FIELD_LEN) ||
	    (len > TRACE_FIELD_LEN && value[TRACE_FIELD_LEN] != '-'))
		return false;
	memcpy(out->id, value + ID_AT, TRACE_ID_LEN);
	out->id[TRACE_ID_LEN] = '\0';
	memcpy(out->parent, value + PARENT_AT, TRACE_PARENT_LEN);
	out->parent[TRACE_PARENT_LEN] = '\0';
	out->is_sampled = (digit(value[FLAGS_AT + 1]) & 1) != 0;
	return true;
}

void trace_context_write(const struct trace_context *t, char out[TRACE_FIELD_LEN])
{
	memcpy(out, "00-", 3);
	memcpy(out + ID_AT, t->id, TRACE_ID_LEN);
	out[35] = '-';
	memcpy(out + PARENT_AT, t->parent, TRACE_PARENT_LEN);
	memcpy(out + 52, t->is_sampled ? "-01" : "-00", 3);
}
