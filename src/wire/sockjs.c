#include "wire/sockjs.h"

#include "base/utf8.h"
#include "wire/chars.h"

static const char *const names[SOCKJS_TRANSPORT_COUNT] = {
	[SOCKJS_XHR] = "xhr",		    [SOCKJS_XHR_STREAMING] = "xhr_streaming",
	[SOCKJS_EVENTSOURCE] = "eventsource", [SOCKJS_HTMLFILE] = "htmlfile",
	[SOCKJS_JSONP] = "jsonp",	    [SOCKJS_XHR_SEND] = "xhr_send",
	[SOCKJS_JSONP_SEND] = "jsonp_send", [SOCKJS_WEBSOCKET] = "websocket",
};

/* ---- paths ---- */

static bool is_text(const char *at, size_t len, const char *want)
{
	return strlen(want) == len && memcmp(at, want, len) == 0;
}

/* /iframe[0-9-.a-z_]*.html */
static bool is_iframe(const char *path, size_t len)
{
	static const char head[] = "/iframe", tail[] = ".html";

	if (len < sizeof(head) - 1 + sizeof(tail) - 1 || memcmp(path, head, sizeof(head) - 1) != 0 ||
	    memcmp(path + len - (sizeof(tail) - 1), tail, sizeof(tail) - 1) != 0)
		return false;
	for (size_t i = sizeof(head) - 1; i < len - (sizeof(tail) - 1); i++) {
		char c = path[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_'))
			return false;
	}
	return true;
}

/* A part of the path between slashes: not empty, without a dot. */
static const char *part_read(const char *at, const char *end, const char **part, size_t *len)
{
	const char *slash;

	if (at == NULL || at == end || *at != '/')
		return NULL;
	slash = memchr(at + 1, '/', (size_t)(end - at - 1));
	*part = at + 1;
	*len = (size_t)((slash != NULL ? slash : end) - at - 1);
	if (*len == 0 || memchr(*part, '.', *len) != NULL)
		return NULL;
	return *part + *len;
}

void sockjs_target_parse(const char *path, size_t len, struct sockjs_target *out)
{
	const char *at = path, *end = path + len, *server, *name;
	size_t server_len, name_len;

	*out = (struct sockjs_target){ .page = SOCKJS_NOTHING };
	if (len == 0 || is_text(path, len, "/"))
		out->page = SOCKJS_GREETING;
	else if (is_text(path, len, "/info"))
		out->page = SOCKJS_INFO;
	else if (is_text(path, len, "/websocket"))
		out->page = SOCKJS_RAW_WEBSOCKET;
	else if (is_iframe(path, len))
		out->page = SOCKJS_IFRAME;
	if (out->page != SOCKJS_NOTHING)
		return;
	if (end[-1] == '/')
		end--;
	at = part_read(at, end, &server, &server_len);
	at = part_read(at, end, &out->session, &out->session_len);
	at = part_read(at, end, &name, &name_len);
	if (at != end)
		return;
	for (int t = 0; t < SOCKJS_TRANSPORT_COUNT; t++)
		if (is_text(name, name_len, names[t])) {
			out->page = SOCKJS_TRANSPORT;
			out->transport = (enum sockjs_transport)t;
		}
}

/* ---- strings ---- */

static void escape_write(struct str *s, uint32_t unit)
{
	static const char digits[] = "0123456789abcdef";
	char text[6] = { '\\', 'u', digits[unit >> 12 & 15], digits[unit >> 8 & 15], digits[unit >> 4 & 15], digits[unit & 15] };

	str_bytes(s, text, sizeof(text));
}

/* Characters that some browser's eval() or transport loses or changes. */
static bool is_escaped(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0xad || (c >= 0x300 && c <= 0x36f) || (c >= 0x600 && c <= 0x604) ||
	       c == 0x70f || (c >= 0x17b4 && c <= 0x17b5) || (c >= 0x200c && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff0 && c <= 0xffff);
}

void sockjs_write_string(struct str *s, const void *bytes, size_t len)
{
	const uint8_t *at = bytes, *end = at + len;

	str_char(s, '"');
	while (at < end) {
		uint32_t c = 0xfffd;
		size_t n = utf8_read(at, (size_t)(end - at), &c);

		if (is_escaped(c)) {
			escape_write(s, c);
		} else {
			if (c == '"' || c == '\\')
				str_char(s, '\\');
			str_bytes(s, at, n);
		}
		at += n > 0 ? n : 1;
	}
	str_char(s, '"');
}

void sockjs_write_close(struct str *s, unsigned code, const void *reason, size_t len)
{
	str_cstr(s, "c[");
	str_dec(s, code != 0 ? code : 1005);
	str_char(s, ',');
	sockjs_write_string(s, reason, len);
	str_char(s, ']');
}

/* ---- frames ---- */

/* Within a string of a script: frames are ASCII controls free, so that quotes, backslashes and '<' remain. */
static void script_write(struct str *s, const char *frame, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (frame[i] == '<') {
			str_cstr(s, "\\u003c");
			continue;
		}
		if (frame[i] == '"' || frame[i] == '\\')
			str_char(s, '\\');
		str_char(s, frame[i]);
	}
}

/* The client runs decodeURI() over it. */
static void event_write(struct str *s, const char *frame, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (frame[i] == '%')
			str_cstr(s, "%25");
		else
			str_char(s, frame[i]);
}

void sockjs_write_frame(struct str *s, enum sockjs_transport t, const char *callback, const char *frame, size_t len)
{
	switch (t) {
	case SOCKJS_EVENTSOURCE:
		str_cstr(s, "data: ");
		event_write(s, frame, len);
		str_cstr(s, "\r\n\r\n");
		break;
	case SOCKJS_HTMLFILE:
		str_cstr(s, "<script>\np(\"");
		script_write(s, frame, len);
		str_cstr(s, "\");\n</script>\r\n");
		break;
	case SOCKJS_JSONP:
		str_cstr(s, "/**/");
		str_cstr(s, callback);
		str_cstr(s, "(\"");
		script_write(s, frame, len);
		str_cstr(s, "\");\r\n");
		break;
	case SOCKJS_WEBSOCKET:
		str_bytes(s, frame, len);
		break;
	default:
		str_bytes(s, frame, len);
		str_char(s, '\n');
	}
}

void sockjs_write_prelude(struct str *s, enum sockjs_transport t, const char *callback)
{
	size_t from = s->len;

	if (t == SOCKJS_XHR_STREAMING) {
		for (int i = 0; i < 2048; i++)
			str_char(s, 'h');
		str_char(s, '\n');
	} else if (t == SOCKJS_EVENTSOURCE) {
		str_cstr(s, "\r\n");
	} else if (t == SOCKJS_HTMLFILE) {
		str_cstr(s, "<!doctype html>\n<html><head>\n"
			    "  <meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\" />\n"
			    "  <meta http-equiv=\"Content-Type\" content=\"text/html; charset=UTF-8\" />\n"
			    "</head><body><h2>Don't panic!</h2>\n  <script>\n    document.domain = document.domain;\n    var c = parent.");
		str_cstr(s, callback);
		str_cstr(s, ";\n    c.start();\n    function p(d) {c.message(d);};\n    window.onload = function() {c.stop();};\n"
			    "  </script>\n");
		while (s->len - from < 1024 + 16 && !s->is_cut)
			str_char(s, ' ');
		str_cstr(s, "\r\n\r\n");
	}
}

/* ---- parameters ---- */

bool sockjs_callback_is_good(const char *text, size_t len)
{
	if (len == 0 || len > SOCKJS_CALLBACK_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.'))
			return false;
	}
	return true;
}

static long value_decode(const char *at, const char *end, char *out, size_t cap)
{
	size_t n = 0;

	for (; at < end; at++) {
		char c = *at == '+' ? ' ' : *at;

		if (c == '%' && end - at > 2 && char_hex((uint8_t)at[1]) >= 0 && char_hex((uint8_t)at[2]) >= 0) {
			c = (char)(char_hex((uint8_t)at[1]) * 16 + char_hex((uint8_t)at[2]));
			at += 2;
		}
		if (n == cap)
			return -1;
		out[n++] = c;
	}
	return (long)n;
}

long sockjs_parameter(const char *text, size_t len, const char *name, char *out, size_t cap)
{
	const char *at = text, *end = text + len;
	size_t name_len = strlen(name);

	while (at < end) {
		const char *next = memchr(at, '&', (size_t)(end - at));

		next = next != NULL ? next : end;
		if ((size_t)(next - at) > name_len && memcmp(at, name, name_len) == 0 && at[name_len] == '=')
			return value_decode(at + name_len + 1, next, out, cap);
		at = next < end ? next + 1 : end;
	}
	return -1;
}
