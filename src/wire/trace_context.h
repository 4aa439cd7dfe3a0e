/* W3C Trace Context: the traceparent field, by which the spans of one request find one another.
 *
 *   traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
 *                version, trace id, parent id, flags
 *
 * Called by: proxy/request, proxy/head_request. */
#ifndef WIRE_TRACE_CONTEXT_H
#define WIRE_TRACE_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>

#define TRACE_ID_LEN	 32 /* hexadecimal digits, lower case */
#define TRACE_PARENT_LEN 16
#define TRACE_FIELD_LEN	 55

struct trace_context {
	char id[TRACE_ID_LEN + 1]; /* "": there is none */
	char parent[TRACE_PARENT_LEN + 1];
	bool is_sampled;
};

/* Reads a field's value (section 3.2); of a version to come, what this one knows of it.  false: it is to be passed over, as
 * if it were not there, and `out` is as it was. */
bool trace_context_parse(const char *value, size_t len, struct trace_context *out);

/* Writes the value, of version 00, without a NUL. */
void trace_context_write(const struct trace_context *t, char out[TRACE_FIELD_LEN]);

#endif
