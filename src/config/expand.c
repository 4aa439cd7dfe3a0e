/* The environment in values. */
#include "config/expand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/tree.h"

static bool is_name_byte(char c, bool is_first)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
	       (!is_first && c >= '0' && c <= '9');
}

/* One "${...}" at `p`: writes its value, gives where it ends, or NULL with an error. */
static const char *variable_write(const char *p, FILE *out, char *error, size_t error_len)
{
	const char *name = p + 2, *end = name, *close = strchr(name, '}'), *value;
	char copy[128];

	if (close == NULL) {
		snprintf(error, error_len, "\"${\" is never closed: add }, or write $${ for a plain ${");
		return NULL;
	}
	while (is_name_byte(*end, end == name))
		end++;
	if (end == name || (*end != '}' && strncmp(end, ":-", 2) != 0) ||
	    (size_t)(end - name) >= sizeof(copy)) {
		snprintf(error, error_len,
			 "\"${%.*s}\" is no environment variable: write ${NAME} or ${NAME:-default}, or $${ "
			 "for a "
			 "plain ${",
			 (int)(close - name > 60 ? 60 : close - name), name);
		return NULL;
	}
	memcpy(copy, name, (size_t)(end - name));
	copy[end - name] = '\0';
	value = getenv(copy);
	if (*end == ':' && (value == NULL || *value == '\0')) {
		fwrite(end + 2, 1, (size_t)(close - end - 2), out);
	} else if (value != NULL) {
		fputs(value, out);
	} else {
		snprintf(error, error_len,
			 "environment variable %.100s is not set: set it, or give a default, ${%.100s:-...}",
			 copy, copy);
		return NULL;
	}
	return close + 1;
}

static bool text_write(const char *text, FILE *out, char *error, size_t error_len)
{
	while (text != NULL && *text != '\0') {
		if (strncmp(text, "$${", 3) == 0) {
			fputs("${", out);
			text += 3;
		} else if (strncmp(text, "${", 2) == 0) {
			text = variable_write(text, out, error, error_len);
		} else {
			fputc(*text++, out);
		}
		if (ftell(out) > (long)EXPAND_MAX_BYTES) {
			snprintf(error, error_len, "longer than 1 MiB with its environment variables");
			return false;
		}
	}
	return text != NULL;
}

char *expand_text(char *text, struct config_memory *memory, char *error, size_t error_len)
{
	char *buffer = NULL, *copy = NULL;
	size_t size = 0, offset;
	bool is_good;
	FILE *out;

	if (strstr(text, "${") == NULL)
		return text;
	snprintf(error, error_len, "out of memory");
	out = open_memstream(&buffer, &size);
	if (out == NULL)
		return NULL;
	is_good = text_write(text, out, error, error_len);
	if (fclose(out) == 0 && is_good) {
		if (!utf8_check(buffer, size, &offset))
			snprintf(error, error_len, "an environment variable in it is not UTF-8");
		else
			copy = config_memory_text(memory, buffer, size);
	}
	free(buffer);
	return copy;
}
