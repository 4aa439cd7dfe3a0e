#include "guard/origin.h"

#include "wire/headers.h"

#include <string.h>

static bool is_host_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

/* What stands for the asterisk: at least one byte of a name. */
static bool is_name_part(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!is_host_char(text[i]))
			return false;
	return len > 0 && text[0] != '.';
}

static bool origin_matches(const char *pattern, const char *origin, size_t len)
{
	const char *star = strchr(pattern, '*');
	size_t before = star != NULL ? (size_t)(star - pattern) : 0, after;

	if (star == NULL)
		return http_text_is(origin, len, pattern, strlen(pattern));
	after = strlen(star + 1);
	if (len <= before + after)
		return false;
	return http_text_is(origin, before, pattern, before) &&
	       http_text_is(origin + len - after, after, star + 1, after) &&
	       is_name_part(origin + before, len - before - after);
}

bool origin_is_listed(char *const *list, size_t count, const char *origin, size_t len)
{
	for (size_t i = 0; i < count; i++)
		if (origin_matches(list[i], origin, len))
			return true;
	return false;
}
