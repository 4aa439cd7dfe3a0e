/* wire/sockjs: any bytes as a path, a form, a callback and a message.
 *
 * Always: a session lies in the path, without '/' and '.'; a string that is written is read back as JSON; a frame in a
 * script holds no '<'. */
#include "wire/json.h"
#include "wire/sockjs.h"

#include "must.h"

#include <string.h>

static void strings_look(const char *in, size_t size)
{
	struct str s, script;
	struct json j;
	char *back = malloc(6 * size + 2);
	size_t len;

	MUST(back != NULL);
	str_init_heap(&s, 6 * size + 64);
	str_init_heap(&script, 36 * size + 256);
	sockjs_write_string(&s, in, size);
	j = json_of(s.at, s.len);
	MUST(!s.is_cut && json_string(&j, back, &len) && json_is_done(&j));
	sockjs_write_frame(&script, SOCKJS_JSONP, "cb", s.at, s.len);
	MUST(!script.is_cut && memchr(script.at, '<', script.len) == NULL);
	str_done(&script);
	str_done(&s);
	free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *in = malloc(size > 0 ? size : 1), out[64];
	struct sockjs_target t;
	long len;

	MUST(in != NULL);
	if (size > 0)
		memcpy(in, data, size);
	sockjs_target_parse(in, size, &t);
	if (t.page == SOCKJS_TRANSPORT) {
		MUST(t.session > in && t.session_len > 0 && t.session + t.session_len < in + size);
		MUST(memchr(t.session, '/', t.session_len) == NULL && memchr(t.session, '.', t.session_len) == NULL);
	}
	len = sockjs_parameter(in, size, "c", out, sizeof(out));
	MUST(len <= (long)sizeof(out));
	if (len > 0 && sockjs_callback_is_good(out, (size_t)len))
		MUST(len <= SOCKJS_CALLBACK_MAX && memchr(out, '(', (size_t)len) == NULL);
	strings_look(in, size);
	free(in);
	return 0;
}
