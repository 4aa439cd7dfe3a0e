/* config/: the whole load, from bytes.
 *
 * Always: there is a snapshot or there is an error; messages are single lines in order of their places; a
 * snapshot printed loads again, without an error, to an equal one. */
#include "config/config.h"

#include "must.h"

#include <string.h>

static char *config_text(const struct config *c, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	MUST(out != NULL);
	MUST(config_print(c, out) == 0);
	MUST(fclose(out) == 0);
	return text;
}

static void errors_check(const struct config_errors *e)
{
	for (size_t i = 0; i < e->list_count; i++) {
		MUST(strchr(e->list[i].text, '\n') == NULL);
		MUST(i == 0 || e->list[i - 1].line <= e->list[i].line);
		MUST((e->list[i].line == 0) == (e->list[i].column == 0));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_errors errors;
	struct config *first, *second;
	size_t len = 0;
	char *text;

	if (size > 65536)
		return 0;
	config_errors_init(&errors);
	first = config_load_bytes("f", (const char *)data, size, &errors);
	MUST((first == NULL) == (errors.errors_count > 0));
	errors_check(&errors);
	config_errors_done(&errors);
	if (first == NULL)
		return 0;
	text = config_text(first, &len);
	config_errors_init(&errors);
	second = config_load_bytes("f", text, len, &errors);
	if (second == NULL)
		config_errors_print(&errors, stderr);
	MUST(second != NULL);
	MUST(config_is_equal(first, second));
	config_errors_done(&errors);
	config_unref(first);
	config_unref(second);
	free(text);
	return 0;
}
