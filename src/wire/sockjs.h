/* SockJS (protocol 0.3.3): paths, frames and what has to be escaped where.  Text in, text out. */
#ifndef WIRE_SOCKJS_H
#define WIRE_SOCKJS_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sockjs_transport {
	SOCKJS_XHR,
	SOCKJS_XHR_STREAMING,
	SOCKJS_EVENTSOURCE,
	SOCKJS_HTMLFILE,
	SOCKJS_JSONP,
	SOCKJS_XHR_SEND,
	SOCKJS_JSONP_SEND,
	SOCKJS_WEBSOCKET,
	SOCKJS_TRANSPORT_COUNT
};

enum sockjs_page {
	SOCKJS_NOTHING, /* 404 */
	SOCKJS_GREETING,
	SOCKJS_INFO,
	SOCKJS_IFRAME,
	SOCKJS_RAW_WEBSOCKET,
	SOCKJS_TRANSPORT
};

struct sockjs_target {
	enum sockjs_page page;
	enum sockjs_transport transport; /* of SOCKJS_TRANSPORT */
	const char *session;		 /* in the path */
	size_t session_len;
};

#define SOCKJS_CALLBACK_MAX 32

/* The path behind the base: "", or what begins with '/'. */
void sockjs_target_parse(const char *path, size_t len, struct sockjs_target *out);

/* A JSON string with its quotes, as every browser's own eval() and JSON takes it: what is not UTF-8 as \ufffd. */
void sockjs_write_string(struct str *s, const void *bytes, size_t len);
/* c[CODE,"REASON"]; code 0 is 1005. */
void sockjs_write_close(struct str *s, unsigned code, const void *reason, size_t len);
/* A frame as the transport has it: framed, and escaped for where it stands. */
void sockjs_write_frame(struct str *s, enum sockjs_transport t, const char *callback, const char *frame, size_t len);
/* What goes before the first frame; nothing for most. */
void sockjs_write_prelude(struct str *s, enum sockjs_transport t, const char *callback);

bool sockjs_callback_is_good(const char *text, size_t len);
/* The value of a parameter of a query or form, decoded ('+' and %XX).  Its length, -1: there is none, or it does not fit. */
long sockjs_parameter(const char *text, size_t len, const char *name, char *out, size_t cap);

#endif
