/* wire/uri and the lists of wire/headers: one text, read in every way.
 *
 * Always: a normalised path is as long as its input at most, has no dot segments, and normalises to
 * itself; an authority is put together again from its parts. */
#include "wire/uri.h"

#include "must.h"

#include <stdio.h>
#include <string.h>

#include "wire/headers.h"

static void check_path(const char *in, size_t len)
{
	char *out = malloc(len + 1), *again = malloc(len + 1);
	long n;

	MUST(out != NULL && again != NULL);
	n = uri_path_normalise(in, len, out, len);
	if (n >= 0) {
		MUST(n >= 1 && (size_t)n <= len && out[0] == '/');
		MUST(uri_path_normalise(out, (size_t)n, again, (size_t)n) == n);
		MUST(memcmp(out, again, (size_t)n) == 0);
		out[n] = '\0';
		MUST(strlen(out) == (size_t)n);
		MUST(strstr(out, "/../") == NULL && strstr(out, "/./") == NULL);
		MUST(n < 3 || strcmp(out + n - 3, "/..") != 0);
		MUST(n < 2 || strcmp(out + n - 2, "/.") != 0);
		MUST(uri_path_normalise(in, len, again, (size_t)n - 1) == -1);
	}
	n = uri_decode(in, len, true, out, len);
	MUST(n >= -1 && n <= (long)len);
	free(out);
	free(again);
}

static void check_authority(const char *in, size_t len)
{
	struct uri_authority a, b;
	char *text;
	int n;

	if (!uri_authority_parse(in, len, &a))
		return;
	MUST(a.host == in && a.host_len > 0 && a.host_len <= len);
	text = malloc(len + 8);
	MUST(text != NULL);
	n = a.port != 0 ? snprintf(text, len + 8, "%.*s:%u", (int)a.host_len, a.host, a.port)
			: snprintf(text, len + 8, "%.*s", (int)a.host_len, a.host);
	MUST(uri_authority_parse(text, (size_t)n, &b));
	MUST(a.host_len == b.host_len && a.port == b.port && a.is_ipv6 == b.is_ipv6);
	MUST(uri_host_is(a.host, a.host_len, b.host, b.host_len));
	free(text);
}

static void check_query(const char *in, size_t len)
{
	const char *path, *query, *value;
	size_t path_len, query_len, value_len;

	uri_split(in, len, &path, &path_len, &query, &query_len);
	MUST(path == in && path_len <= len);
	MUST(query == NULL ? path_len == len && query_len == 0 : path_len + 1 + query_len == len);
	if (uri_query_find(query, query_len, "a", 1, &value, &value_len))
		MUST(value >= query && value + value_len <= query + query_len);
}

static void check_list(const char *in, size_t len)
{
	const char *list = in, *element;
	size_t left = len, element_len;

	while (http_list_next(&list, &left, &element, &element_len)) {
		MUST(element_len > 0 && element >= in && element + element_len <= list);
		MUST(list + left == in + len);
		MUST(http_list_has(in, len, element, element_len));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *in;

	if (size > 4096)
		return 0;
	in = malloc(size > 0 ? size : 1);
	MUST(in != NULL);
	memcpy(in, data, size);
	check_path(in, size);
	check_authority(in, size);
	check_query(in, size);
	check_list(in, size);
	free(in);
	return 0;
}
