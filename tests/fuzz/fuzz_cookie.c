/* wire/cookie: any bytes as a list of cookies.
 *
 * Always: pairs lie in the input, one behind the other, with a name; a list moves on and ends. */
#include "wire/cookie.h"

#include "must.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *in = malloc(size > 0 ? size : 1);
	const char *list = in, *behind = in;
	size_t len = size;
	struct cookie c, found, *after = NULL;
	struct http_field f = { "cookie", in, (uint32_t)size, 6, HTTP_COOKIE };
	struct http_head head;
	size_t count = 0;

	MUST(in != NULL);
	if (size > 0)
		memcpy(in, data, size);
	http_head_init(&head, &f, 1);
	head.field_count = 1;
	head.seen = HTTP_BIT(HTTP_COOKIE);
	while (cookie_next(&list, &len, &c)) {
		MUST(c.name_len > 0 && c.name >= behind && c.name + c.name_len < c.value);
		MUST(c.value + c.value_len <= in + size && list + len == in + size);
		behind = c.value + c.value_len;
		count += c.name_len == 1 && c.name[0] == 'a';
	}
	while (cookie_find(&head, "a", 1, after, &c)) {
		MUST(count-- > 0);
		found = c;
		after = &found;
	}
	MUST(count == 0);
	free(in);
	return 0;
}
