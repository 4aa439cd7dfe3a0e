#include "guard/deny_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NETWORKS_MAX 10000000u
#define LINE_LEN     512

/* Cuts the comment and the white space around it off; empty: nothing stands there. */
static char *line_trim(char *line)
{
	size_t len;

	line[strcspn(line, "#\r\n")] = '\0';
	line += strspn(line, " \t");
	len = strlen(line);
	while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		line[--len] = '\0';
	return line;
}

static bool list_add(struct cidr **list, size_t *count, size_t *cap, const struct cidr *c)
{
	if (*count == *cap) {
		size_t more = *cap == 0 ? 256 : *cap * 2;
		struct cidr *grown = realloc(*list, more * sizeof(**list));

		if (grown == NULL)
			return false;
		*list = grown;
		*cap = more;
	}
	(*list)[(*count)++] = *c;
	return true;
}

static void add_line_error(struct config_errors *errors, const char *path, unsigned line, const char *text, int err)
{
	config_errors_add(errors, path, line, 1, false,
			  err == -ERANGE ? "\"%.64s\" has bits set past its length: 10.0.0.0/8, not 10.0.0.1/8" :
					   "\"%.64s\" is no address and no network: 192.0.2.1, 10.0.0.0/8, 2001:db8::/32",
			  text);
}

/* The rest of a line that was longer than any network is. */
static void line_skip(FILE *in)
{
	int c;

	while ((c = getc_unlocked(in)) != EOF && c != '\n')
		;
}

bool deny_file_read(const char *path, struct cidr **list, size_t *count, struct config_errors *errors)
{
	FILE *in = fopen(path, "re");
	size_t cap = 0, before = errors->errors_count;
	char line[LINE_LEN];

	*list = NULL;
	*count = 0;
	for (unsigned number = 1; in != NULL && fgets(line, sizeof(line), in) != NULL; number++) {
		bool is_cut = strchr(line, '\n') == NULL && !feof(in);
		char *text = line_trim(line);
		struct cidr c;
		int err = *text != '\0' ? cidr_parse(&c, text) : 0;

		if (is_cut)
			line_skip(in);
		if (err != 0) {
			add_line_error(errors, path, number, text, err);
		} else if (*text != '\0' && (*count >= NETWORKS_MAX || !list_add(list, count, &cap, &c))) {
			config_errors_add(errors, path, number, 1, false, "too many networks, or no memory for them");
			break;
		}
	}
	if (in == NULL || ferror(in))
		config_errors_add(errors, path, 0, 0, false, "cannot be read: %s", strerror(errno));
	if (in != NULL)
		fclose(in);
	if (errors->errors_count == before)
		return true;
	free(*list);
	*list = NULL;
	*count = 0;
	return false;
}
